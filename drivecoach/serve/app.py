"""The ASGI application: the routes, and the middleware around them (key, origins, size, time)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drivecoach import __version__
from drivecoach.serve import openai
from drivecoach.serve.api import Api
from drivecoach.serve.model import ServedModel
from drivecoach.serve.wire import WireError
from drivecoach.serve.work import WorkQueue


@dataclass(frozen=True)
class Limits:
    """What one client may ask of the server."""

    body_bytes: int = 1 << 20
    queue: int = 512
    """Requests that wait, beyond those worked on; one more is a 503, as with OLLAMA_MAX_QUEUE."""
    seconds: float = 120.0
    """How long one answer may take, waiting included."""
    body_seconds: float = 30.0
    """How long a client may take to send its request."""


def make_app(
    model: ServedModel,
    *,
    key: str | None = None,
    origins: Sequence[str] = (),
    any_host: bool = False,
    limits: Limits = Limits(),
) -> Starlette:
    """The application on one model; it closes the model when it stops.

    ``key``: every request must carry it as a bearer token. ``origins``: web pages that may ask; none by default.
    ``any_host``: answer to any Host header; otherwise only to names of this machine, against DNS rebinding.
    """
    queue = WorkQueue(model.runtime.slots, limits.queue, limits.seconds)
    api = Api(model, queue, f"{__version__}-drivecoach")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        queue.close()
        model.runtime.close()

    # The outermost first: a browser's preflight carries no key.
    middleware = [Middleware(_Origin, origins=origins)]
    if origins:
        cors = Middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"])
        middleware.append(cors)
    if not any_host:
        middleware.append(Middleware(_LocalHost))
    if key:
        middleware.append(Middleware(_Key, key=key))
    middleware.append(Middleware(_Body, limits=limits))
    return Starlette(
        routes=[*api.routes(), *openai.routes(api)],
        middleware=middleware,
        exception_handlers={WireError: _refused, HTTPException: _no_route},
        lifespan=lifespan,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, WireError)  # noqa: S101  # Starlette's type is wider than its promise
    body = openai.error_body(error) if request.url.path.startswith("/v1/") else {"error": error.message}
    return JSONResponse(body, error.status)


async def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    texts = {404: "404 page not found", 405: "405 method not allowed"}
    return PlainTextResponse(texts.get(error.status_code, error.detail), error.status_code, headers=error.headers)


class _Origin:
    """Refuses what a web page of another origin sends: without CORS a browser would still send simple requests."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            origin = Request(scope).headers.get("origin")
            if origin and origin not in self.origins and "*" not in self.origins:
                await PlainTextResponse("", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _LocalHost:
    """Refuses requests for another host's name, which a rebound DNS name would carry."""

    _NAMES = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = urlsplit("//" + Request(scope).headers.get("host", "")).hostname
            if host not in self._NAMES:
                await PlainTextResponse("", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _Key:
    """Wants ``Authorization: Bearer KEY`` on every request."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self.wanted = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Request(scope).headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), self.wanted):
                await JSONResponse({"error": "unauthorized"}, 401)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _Body:
    """Reads a request's body whole, within its size and time, before anything looks at it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            with anyio.fail_after(self.limits.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self.limits.body_bytes:
                        refusal = JSONResponse(
                            {"error": f"request body is larger than {self.limits.body_bytes} bytes"},
                            413,
                            headers={"connection": "close"},
                        )
                        await refusal(scope, receive, send)
                        return
        except TimeoutError:
            refusal = JSONResponse({"error": "request body did not come in time"}, 408, headers={"connection": "close"})
            await refusal(scope, receive, send)
            return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)
