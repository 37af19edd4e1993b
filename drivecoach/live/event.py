"""What a live session tells: what is said, what is kept silent and why, and what went wrong on the way in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Literal

from drivecoach.domain import JsonObject

Kind = Literal["say", "silent", "trouble", "end"]


class Trouble(StrEnum):
    """What went wrong; the session goes on."""

    BROKEN = "no state could be read"
    DISORDER = "a state that is older than the last one was left out"
    CLOCK = "the clock of the states was set back"
    LATE = "newer states came before the answer, which was dropped"
    FAILED = "the model gave no answer"
    MISSED = "the oldest events are no longer there"


REFUSED = frozenset({Trouble.BROKEN, Trouble.DISORDER})
"""What a state was left out for; what was true before it is so still."""


class End(StrEnum):
    """Why a session ended."""

    CLOSED = "it was closed"
    IDLE = "no state came for too long"
    STOPPED = "the server stops"


@dataclass(frozen=True)
class Event:
    """One thing that a session tells. What is shown on the screen is the ``answer`` of the last say or silent event."""

    kind: Kind
    time: float
    """Seconds on the session's clock; for a file, on the file's."""
    number: int = 0
    """Its place among the session's events, from 1."""
    reason: str = ""
    """Why nothing is said, what went wrong, or why the session ended: the words of `Reason`, `Trouble` or `End`."""
    detail: str = ""
    """More about it: the faults of a state, how often, what the guard did."""
    speech: str = ""
    """What is said, or would be."""
    level: str = ""
    interrupts: bool = False
    """Cut off what is being said first."""
    seconds: float = 0.0
    """About how long it takes to say."""
    state: str = ""
    """The state that the answer is for, in its canonical form."""
    answer: object = None
    """The whole answer; null where there is none yet."""
    status: str = ""
    source: str = ""
    """``model`` or ``rules``, where the guard replaced the answer."""
    milliseconds: float = 0.0
    """How long the answer took."""
    why: JsonObject | None = None
    """By which rule the domain's teacher answers, its reason, and what it reads; null where the domain cannot say."""
    skipped: int = 0
    """How many states or events were passed over."""

    def to_json(self) -> JsonObject:
        """The event by the names of its fields, without those that say nothing."""
        empty = ("", None, 0, False)
        kept = ("kind", "time", "number")
        return {name: value for name, value in asdict(self).items() if name in kept or value not in empty}
