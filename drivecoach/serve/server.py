"""Binding the application to an address, and running it until it is told to stop."""

from __future__ import annotations

import errno
import ipaddress
import socket

import uvicorn
from starlette.applications import Starlette

from drivecoach.errors import RuntimeFailure

GRACE = 30
"""Seconds that answers under way get when the server is told to stop."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to bind to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises RuntimeFailure when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise RuntimeFailure(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="Ollama may be running there: stop it, or choose another --port" if taken else "check --bind",
        ) from None
    return listener


def run(app: Starlette, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first. Nothing sent by a user is logged."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=75,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listener])
