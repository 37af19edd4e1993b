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
    sessions: int = 64
    """Live sessions at once."""
    readers: int = 128
    """Clients that read events at once, of all sessions together."""
    idle_seconds: float = 60.0
    """After how long without a state a live session ends."""
    read_seconds: float = 30.0
    """How long a client may take to read what it was sent of a session's events."""
    drive_seconds: float = 10.0
    """After how long without a word from its page a drive in the cockpit ends."""
    replays: int = 4
    """Recorded drives that are replayed at once."""
    replayed: int = 5000
    """States in a recorded drive."""


LIMITS = Limits()
"""Those of `drivecoach serve`."""
