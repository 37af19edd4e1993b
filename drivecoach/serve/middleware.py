"""What stands around the endpoints: the key, Host and Origin, and a request's size and time."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drivecoach.serve.limits import Limits

PROBES = frozenset({"/health", "/health/live", "/health/ready"})
"""What is answered without a key: yes or no, to those who start and balance servers."""


class Origin:
    """Refuses what a web page of another origin sends: without CORS a browser would still send simple requests.

    Our own pages are let in where no other page can pretend to be one: by an address or a name of this machine. A name
    of another kind may have been rebound to this server by whoever owns it; ``origins`` lets it in.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Request(scope).headers
            origin = headers.get("origin")
            allowed = not self.origins.isdisjoint({origin, "*"})
            if origin and not allowed and not _is_own(origin, headers.get("host", "")):
                await PlainTextResponse("", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _is_own(origin: str, host: str) -> bool:
    """Whether a page of this very server asks, under a name that DNS cannot give to another."""
    name = _host_name(host)
    return name is not None and (name in LOCAL or _is_address(name)) and origin in (f"http://{host}", f"https://{host}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})


class LocalHost:
    """Refuses requests for another host's name, which a rebound DNS name would carry."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _host_name(Request(scope).headers.get("host", "")) not in LOCAL:
            await PlainTextResponse("", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None for what is no such header."""
    try:
        return urlsplit("//" + host).hostname
    except ValueError:  # brackets that hold no address
        return None


class Key:
    """Wants ``Authorization: Bearer KEY`` on every request but a probe."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self.wanted = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES:
            given = Request(scope).headers.get("authorization", "")
            if not secrets.compare_digest(given.encode("latin-1"), self.wanted):
                await JSONResponse({"error": "unauthorized"}, 401)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class Body:
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
