"""Binding the application to an address, and running it until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from drivecoach.errors import RuntimeFailure

_BACKLOG = 2048
GRACE = 30
"""Seconds that answers under way get when the server is told to stop."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to bind to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A socket to listen on; raises RuntimeFailure when the address is taken, not ours, or none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # now, since the address is told before the loop runs
    except (OSError, ValueError, TypeError, OverflowError) as error:  # all but the first: no address at all
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        said = error.strerror if isinstance(error, OSError) and error.strerror else "no such address"
        raise RuntimeFailure(
            f"cannot listen on {host[:80]}:{port}: {said}",
            hint="Ollama may be running there: stop it, or choose another --port"
            if taken
            else "--bind takes an address of this machine without a port: 127.0.0.1, ::1, 0.0.0.0",
        ) from None
    return listener


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 that closes a connection whose request does not get past its head in time, or has too long a head."""

    head_seconds = 10.0
    """How long a client may take to send the head of a request, once the connection or the request began."""
    head_bytes = 64 << 10
    """The longest head: the parser itself takes any."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._deadline: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request's time begins."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A later request's time begins with its first byte; until then the time to keep alive runs."""
        before = self.cycle
        is_head = before is None or not before.more_body
        super().data_received(data)
        if self.cycle is not before:
            self._drop_deadline()
            self._head = 0
        elif is_head:
            self._head += len(data)
            if self._head > self.head_bytes and not self.transport.is_closing():
                self.send_400_response(f"the head of the request is longer than {self.head_bytes} bytes")
            if before is not None and before.response_complete and self._deadline is None:
                self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._drop_deadline()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self.timeout_keep_alive_handler)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Loads the model anew on SIGHUP, and ends event streams before it stops."""

    def __init__(self, app: Starlette, reload: Callable[[], Awaitable[None]]) -> None:
        super().__init__(configure(app))
        self._stopping: Callable[[], None] = app.state.stopping
        self._reload = reload
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and heed the signal."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Event streams have no end of their own; they are ended, so that the rest is not waited for in vain."""
        self._stopping()
        await super().shutdown(sockets)

    def _begin(self) -> None:
        task = asyncio.ensure_future(self._reload())
        self._reloads.add(task)  # the loop itself holds no task fast
        task.add_done_callback(self._reloads.discard)


def configure(app: Starlette) -> uvicorn.Config:
    """How the application is run: quiet, without the client's words in any log."""
    return uvicorn.Config(
        app,
        http=Protocol,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=75,
        ws="none",
    )


def run(app: Starlette, listener: socket.socket, reload: Callable[[], Awaitable[None]], *, logs: bool) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first. SIGHUP calls ``reload``.

    ``logs``: a line a request goes to standard error, with nothing in it that a user sent; else errors alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logger = logging.getLogger("drivecoach")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if logs else logging.WARNING)
    logger.propagate = False
    _Server(app, reload).run(sockets=[listener])
