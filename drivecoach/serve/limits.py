"""What one client may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes, counts and seconds; what is past them is refused in words."""

    body_bytes: int = 1 << 20
    states: int = 256
    """States in one request to /coach."""
    queue: int = 512
    """Requests that wait, beyond those worked on; one more is a 503, as with OLLAMA_MAX_QUEUE."""
    seconds: float = 120.0
    """How long one answer may take, waiting included."""
    body_seconds: float = 30.0
    """How long a client may take to send the body of its request."""


LIMITS = Limits()
"""Those of `drivecoach serve`."""
