"""Server-sent events as an answer: sent as they come, and a client that does not read them is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from drivecoach.serve.limits import Limits
from drivecoach.serve.wire import WireError
from drivecoach.serve.work import client_left
from drivecoach.text import escaped

HEARTBEAT = 15.0
"""Seconds after which a comment is sent where nothing happens, so that nothing on the way takes it for dead."""


class Readers:
    """How many clients read events, of all streams of a server together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.count = 0

    def stream(self, pieces: AsyncGenerator[str, None]) -> Response:
        """An answer that sends these pieces of text, each one or more whole events.

        Raises WireError 503 where too many clients read.
        """
        if self.count >= self.limits.readers:
            raise WireError(503, f"{self.count} clients read events; no more are allowed")
        return _EventStream(self, pieces)


class _EventStream(Response):
    def __init__(self, readers: Readers, pieces: AsyncGenerator[str, None]) -> None:
        super().__init__(
            headers={"cache-control": "no-store", "x-accel-buffering": "no"}, media_type="text/event-stream"
        )
        del self.headers["content-length"]
        self.readers, self.pieces = readers, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.readers.count += 1
        gone = asyncio.ensure_future(client_left(receive))
        coming: asyncio.Future[str | None] | None = None
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            text: str | None = "retry: 1000\n\n"
            while text is not None and await self._out(send, text):
                coming = coming or asyncio.ensure_future(anext(self.pieces, None))
                watched: set[asyncio.Future[Any]] = {coming, gone}
                await asyncio.wait(watched, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                text = ": nothing new\n\n"
                if coming.done():
                    text, coming = coming.result(), None
            if text is None:
                await self._out(send, "", more=False)
        finally:
            self.readers.count -= 1
            gone.cancel()
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})
            await self.pieces.aclose()

    async def _out(self, send: Send, text: str, *, more: bool = True) -> bool:
        """Whether it was read in time."""
        body: Message = {"type": "http.response.body", "body": escaped(text).encode(), "more_body": more}
        with anyio.move_on_after(self.readers.limits.read_seconds) as scope:
            await send(body)
        return not scope.cancelled_caught
