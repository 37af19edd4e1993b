"""The map of rules and items: how many states each has, how many are answered wrong, and which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from drivecoach.report.answers import Case

SHOWN = 50
"""Cases that one cell shows at most …"""
ALL_SHOWN = 2000
"""… and all of them together, about; the file beside the certificate has the rest."""


@dataclass
class Cell:
    """One rule in one item."""

    rule: str
    item: str
    states: int
    wrong: int
    lowered: int
    cases: list[Case] = field(default_factory=list)

    @property
    def shade(self) -> str:
        """A class of the style sheet: how large the wrong share is."""
        share = self.wrong / self.states
        return next(name for name, most in (("w1", 0.01), ("w2", 0.05), ("w3", 0.2), ("w4", 1.0)) if share <= most)

    @property
    def count(self) -> str:
        """The wrong ones, short enough for a small square."""
        return str(self.wrong) if self.wrong < 100 else "99+"


@dataclass(frozen=True)
class Group:
    """Rules whose ids begin alike, and the items in which any of them answers."""

    name: str
    items: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int | None]]]
    """A rule, and for each item the place of its cell in `Grid.cells`."""
    states: int
    wrong: int


@dataclass(frozen=True)
class Grid:
    """All cells, and how they are laid out."""

    cells: Sequence[Cell]
    groups: Sequence[Group]
    worst: Sequence[int]
    """The cells with the most wrong answers."""
    reasons: Mapping[str, str]
    """A rule's reason, where it is known."""

    @property
    def failing(self) -> dict[int, dict[str, Any]]:
        """The cells with wrong answers by their place, as a page's script reads them."""
        return {
            place: {**asdict(cell), "reason": self.reasons.get(cell.rule, "")}
            for place, cell in enumerate(self.cells)
            if cell.wrong
        }


def grid(cells: Sequence[Cell], reasons: Mapping[str, str], order: Sequence[str] = ()) -> Grid:
    """Lay the cells out: rules in the order of their ids, items in their domain's ``order``, as far as it is known."""
    there = {cell.item for cell in cells}
    items = [*(item for item in order if item in there), *sorted(there - {*order})]
    groups: dict[str, dict[str, dict[str, int]]] = {}
    for place, cell in sorted(enumerate(cells), key=lambda found: found[1].rule):
        start = re.match(r"\D*", cell.rule)
        rows = groups.setdefault(start.group() if start else "", {})
        rows.setdefault(cell.rule, {})[cell.item] = place
    laid = [_group(name, rows, items, cells) for name, rows in groups.items()]
    bad = [place for place, cell in enumerate(cells) if cell.wrong]
    return Grid(cells, laid, sorted(bad, key=lambda place: -cells[place].wrong)[:12], reasons)


def cases_a_cell(cells: Sequence[Cell]) -> int:
    """How many cases each cell shows, so that a page of many wrong answers still opens at once."""
    return max(1, min(SHOWN, ALL_SHOWN // max(1, sum(cell.wrong > 0 for cell in cells))))


def _group(name: str, rows: Mapping[str, Mapping[str, int]], items: Sequence[str], cells: Sequence[Cell]) -> Group:
    here = [item for item in items if any(item in row for row in rows.values())]
    inside = [cells[place] for row in rows.values() for place in row.values()]
    return Group(
        name,
        here,
        [(rule, [row.get(item) for item in here]) for rule, row in rows.items()],
        sum(cell.states for cell in inside),
        sum(cell.wrong for cell in inside),
    )
