"""A recorded drive as a page plays it: a file of states in, everything that a live session tells of them out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from drivecoach.errors import RecipeError
from drivecoach.infer import Outcome
from drivecoach.live import Record, read_record, read_settings, replay
from drivecoach.serve.coach import as_json, problem
from drivecoach.serve.limits import Limits
from drivecoach.serve.live import LiveApi
from drivecoach.serve.wire import WireError
from drivecoach.serve.work import GONE, client_left


async def replayed(request: Request, live: LiveApi, limits: Limits) -> Response:
    """Every event with its time; answers count as there at once, so that the same file gives the same events."""
    lines = (await request.body()).decode("utf-8-sig", "replace").splitlines()
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise WireError(400, 'the file is empty; it holds {"time": seconds, "state": …}, a state a line')
    if len(lines) > limits.replayed:
        raise WireError(413, f"{len(lines)} lines; a drive of up to {limits.replayed} states is replayed")
    try:
        settings = read_settings({name: value for name, value in request.query_params.items() if name == "voice"})
    except RecipeError as error:
        return as_json(problem(error), 422)
    loop, stopped, domain = asyncio.get_running_loop(), threading.Event(), live.current.served.domain

    def ask(text: str, value: Any) -> Outcome[Any]:
        return asyncio.run_coroutine_threadsafe(live.ask(text, value), loop).result()

    def records() -> Iterator[Record]:
        for line in lines:
            if stopped.is_set():
                return
            yield read_record(line, domain)

    def told() -> Response:
        events = [event.to_json() for event in replay(domain, records(), ask, settings)]
        return as_json({"states": len(lines), "events": events})  # here, for it takes the loop too long

    work = asyncio.ensure_future(asyncio.to_thread(told))
    gone = asyncio.ensure_future(client_left(request.receive))
    try:
        watched: set[asyncio.Future[Any]] = {work, gone}
        await asyncio.wait(watched, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise WireError(GONE, "the client is gone") if gone.done() else WireError(504, "the replay took too long")
        return work.result()
    finally:
        stopped.set()
        gone.cancel()
