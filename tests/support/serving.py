"""`drivecoach serve` inside the test process: the real application and engine on a free loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from drivecoach.domains.stored import find_domain
from drivecoach.infer import Guard
from drivecoach.serve.app import make_app
from drivecoach.serve.current import Current, Served
from drivecoach.serve.limits import Limits
from drivecoach.serve.model import ServedModel
from drivecoach.serve.server import bind, configure


@contextmanager
def serving(model: ServedModel | Served, *, guard: Guard = "strict", **settings: Any) -> Iterator[str]:
    """Serve ``model`` and yield the server's address; ``settings`` are `make_app`'s."""
    limits = settings.get("limits", Limits())
    if isinstance(model, ServedModel):
        domain = find_domain(model.runtime.metadata, model.name).domain
        model = Served(model.runtime, domain, guard, limits, model)
    listener = bind("127.0.0.1", 0)
    config = configure(make_app(Current(model), **settings))
    config.timeout_graceful_shutdown = 5
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
