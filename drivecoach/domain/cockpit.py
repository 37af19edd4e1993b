"""What a domain brings for a page in which a person drives what it coaches: the simulated thing, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivecoach.domain.node import JsonObject


class Driven(Protocol):
    """One simulated thing that a person drives; time passes in it by `step` alone."""

    def steer(self, given: object) -> None:
        """Hands and feet do this from now on. Raises InputError with every fault, and leaves all as it was."""

    def step(self) -> None:
        """A step of time passes."""

    @property
    def time(self) -> float:
        """Seconds since it was begun."""

    @property
    def state(self) -> str:
        """What its sensors say: the canonical text of an input of the domain."""

    @property
    def shown(self) -> JsonObject:
        """What its instruments show."""


class Cockpit(Protocol):
    """The page of a domain, and what is driven in it."""

    package: str
    """The package whose ``templates/cockpit.html.jinja`` is the page and whose ``static`` holds its files."""
    seconds: float
    """How much time passes in a step."""
    noted: int
    """After how many steps the sensors are read."""

    def data(self) -> JsonObject:
        """What the page has to know."""

    def begin(self, given: object) -> Driven:
        """Something to drive, chosen by ``given``. Raises InputError with every fault."""

    def recorded(self) -> Sequence[str]:
        """The names of recorded drives."""

    def record(self, name: str) -> str:
        """A recorded drive, a state a line: ``{"time": seconds, "state": line}``. Raises KeyError for another name."""
