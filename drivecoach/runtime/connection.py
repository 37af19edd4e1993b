"""A connection to an Ollama server that may be slow, hostile or no Ollama: bounded in time and size, not redirected."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from drivecoach.errors import RuntimeFailure
from drivecoach.text import shown

_ADDRESS = "an address is 127.0.0.1:11434 or https://box.example, given by --host or OLLAMA_HOST"


def _no_address(host: str | None, reason: str) -> RuntimeFailure:
    given = host or os.environ.get("OLLAMA_HOST", "")
    return RuntimeFailure(f"{shown(given)!r} is no address of an Ollama: {shown(reason)}", hint=_ADDRESS)


try:
    import ollama
except (ValueError, httpx.InvalidURL) as error:  # as it is imported, it makes a client for OLLAMA_HOST
    raise _no_address(None, str(error)) from error

LARGEST = 8 << 20
"""Bytes that an answer may have; Ollama's largest, a list of all its models, has some hundred thousand."""
CONNECT = 10.0
"""Seconds until a server must have taken the connection …"""
STALL = 30.0
"""… and until it must have taken the next piece of what it is sent."""


def connect(host: str | None, seconds: float) -> ollama.Client:
    """The official client, for the server at ``host`` (None: OLLAMA_HOST, or 127.0.0.1:11434).

    A request has ``seconds`` from its first byte to the answer's last, unless it brings an `exchange` of its own. No
    request follows a redirect or goes through a proxy. Raises RuntimeFailure for an address that cannot be one; a
    request raises it for an answer that is too large, packed, or a redirect.
    """
    try:
        client = ollama.Client(
            host=host,
            timeout=exchange(seconds),
            follow_redirects=False,
            transport=_BoundedTransport(),
            headers={"Accept-Encoding": "identity"},  # a packed answer could unpack to any size
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise _no_address(host, str(error)) from error
    if client._client.base_url.scheme not in ("http", "https"):
        raise _no_address(host, "it is neither http nor https")
    return client


def exchange(seconds: float) -> httpx.Timeout:
    """What bounds one request: ``seconds`` in all, less for a server that is not there or takes nothing."""
    return httpx.Timeout(seconds, connect=min(CONNECT, seconds), write=min(STALL, seconds))


class _BoundedTransport(httpx.HTTPTransport):
    """One that reads every answer itself, within the time and the size that it may have."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline = _Deadline()
        self._pool._network_backend = _Network(self._pool._network_backend, self._deadline)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._deadline.at = time.monotonic() + request.extensions["timeout"]["read"]
        response = super().handle_request(request)
        try:
            server = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
            if response.has_redirect_location:
                raise RuntimeFailure(
                    f"{server} sends on to {shown(response.headers['location'], 100)}, which is not followed",
                    hint="give the address that the server really has, by --host or OLLAMA_HOST",
                )
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _not_ollama(server, "packs its answers")
            content = bytearray()
            for block in response.iter_raw():
                content += block
                if len(content) > LARGEST:
                    raise _not_ollama(server, f"gives answers of more than {LARGEST >> 20} MiB")
        finally:
            response.close()
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(content))


def _not_ollama(server: str, what: str) -> RuntimeFailure:
    return RuntimeFailure(f"{server} {what}, which no Ollama does", hint="check --host and OLLAMA_HOST")


class _Deadline(threading.local):
    """When the request under way in this thread must be done."""

    at = float("inf")

    def left(self, timeout: float | None, late: type[Exception]) -> float:
        """The seconds that the next read or write may take; raises ``late`` where none are left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise late("the time for the whole exchange is over")
        return left if timeout is None else min(left, timeout)


class _Network(httpcore.NetworkBackend):
    """Connections whose every read and write keeps the deadline: httpx's own timeouts begin anew with each byte."""

    def __init__(self, inner: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
