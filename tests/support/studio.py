"""Studios for tests: inside the test's process or in one of its own, and a browser's page on one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn

from drivecoach.serve.server import bind, configure
from drivecoach.studio.app import make_app
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import Workspace

ROOT = Path(__file__).parents[2]
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


class Studio:
    """`drivecoach studio FOLDER`, as a person starts it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "drivecoach", "studio", str(folder), "--no-open"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        assert self.process.stdout is not None
        self.address = next(line.strip() for line in self.process.stdout if "token=" in line)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()


class Page:
    """A page in a new profile."""

    def __init__(self, browser: Any, address: str, width: int = 1280, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US", **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(180_000)
        self.said: list[str] = []
        self.hosts: set[str | None] = set()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.goto(address)

    def press(self, selector: str, key: str = "Enter") -> None:
        """As one who has no mouse."""
        self.page.locator(selector).press(key)

    def close(self) -> None:
        """Nothing was complained of, and nothing was asked of another machine."""
        self.context.close()
        assert self.said == []
        assert self.hosts == {"127.0.0.1"}
