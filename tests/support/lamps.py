"""A domain for tests of live coaching: a few states, each with a level and a sentence of its own or shared."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from drivecoach.domain import Domain, Explanation

Level = Literal["hint", "warning", "danger"]


class Lamp(BaseModel):
    """What is so."""

    shows: Literal["a", "b", "c", "d", "e", "f", "g", "h"]


class Call(BaseModel):
    """What is called out."""

    level: Level
    text: str


CALLS: dict[str, tuple[Level, str]] = {
    "a": ("hint", "go on"),
    "b": ("hint", "look left and then look right again"),
    "c": ("warning", "too fast"),
    "d": ("warning", "too slow, much too slow"),
    "e": ("danger", "stop at once"),
    "f": ("danger", "fire, get out of the car and run"),
    "g": ("danger", "too fast"),  # the same words as c
    "h": ("hint", "stop at once"),  # and as e
}


class Lamps(Domain[Lamp, Call]):
    """Knows what to call."""

    levels = ("hint", "warning", "danger")

    def teach(self, value: Lamp) -> Call:
        """By the table."""
        level, text = CALLS[value.shows]
        return Call(level=level, text=text)

    def level(self, answer: Call) -> str:
        """Its own."""
        return answer.level

    def spoken(self, answer: Call) -> str:
        """The text."""
        return answer.text

    def explain(self, value: Lamp) -> Explanation:
        """By the lamp."""
        return Explanation(f"rule {value.shows}", "the table says so", "", {"shows": value.shows})


LAMPS = Lamps("lamps", Lamp, Call)
