"""The studio inside the test process: the real application on a free loopback port, and a client that has its token."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from drivecoach.serve.server import bind, configure
from drivecoach.studio.app import make_app
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import Workspace

TOKEN = "a-token-for-tests"


@contextmanager
def open_studio(folder: Path) -> Iterator[httpx.Client]:
    """A studio on this folder; the client's address with ``/?token=TOKEN`` is the page's."""
    workspace = Workspace(folder)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = configure(make_app(workspace, Jobs(workspace), TOKEN, port))
    config.timeout_graceful_shutdown = 5
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", params={"token": TOKEN}, timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def finished(client: httpx.Client, job: dict[str, Any], seconds: float = 120) -> dict[str, Any]:
    """A job once it has ended."""
    until = time.monotonic() + seconds
    while job["state"] == "running":
        assert time.monotonic() < until, job
        time.sleep(0.1)
        job = client.get(f"/api/jobs/{job['id']}").json()
    return job
