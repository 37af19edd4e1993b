"""How answers must behave when inputs are changed: CheckList's three kinds of tests (arXiv 2005.04118), and changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Literal

from drivecoach.errors import RecipeError

Change = Callable[[str, Random], str | None]
"""Makes another text of an input's; None where it cannot. The same random numbers give the same text."""
Kind = Literal["minimum functionality", "invariance", "direction"]


@dataclass(frozen=True)
class Expectation:
    """One behaviour that is expected of a model.

    With ``examples`` alone these inputs must have these answers (minimum functionality). With a ``change``, the answer
    to a changed input must stay the same (invariance), or ``holds(before, after)`` must say that it went the right way
    (direction). Raises RecipeError for one that expects nothing.
    """

    name: str
    change: Change | None = None
    holds: Callable[[Any, Any], bool] | None = None
    examples: Sequence[tuple[str, Any]] = ()

    def __post_init__(self) -> None:
        if bool(self.examples) == (self.change is not None) or (self.holds and not self.change):
            raise RecipeError(
                f"the expectation {self.name!r} needs either examples, or a change (with holds where the answer must "
                "not stay the same)",
                hint='e.g. Expectation("typing errors", change=mistype)',
            )

    @property
    def kind(self) -> Kind:
        """Which of the three it is."""
        if self.change is None:
            return "minimum functionality"
        return "direction" if self.holds else "invariance"


def mistype(text: str, random: Random) -> str | None:
    """A typing error: two neighbouring letters of one word in the wrong order."""
    places = [
        at
        for at, (one, other) in enumerate(pairwise(text))
        if one.isalpha() and other.isalpha() and one != other
    ]
    if not places:
        return None
    at = random.choice(places)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def swap_words(text: str, random: Random) -> str | None:
    """Two neighbouring words, as spaces part them, in the other order."""
    words = text.split(" ")
    places = [at for at, (one, other) in enumerate(pairwise(words)) if one != other]
    if not places:
        return None
    at = random.choice(places)
    return " ".join([*words[:at], words[at + 1], words[at], *words[at + 2 :]])
