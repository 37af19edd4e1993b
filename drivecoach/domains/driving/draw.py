"""Drawing training pairs by rule, item and answer, so that rare situations are taught, and by hash inside of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from drivecoach.domain import place
from drivecoach.domain.base import share_of
from drivecoach.domains.driving.instruction import Given
from drivecoach.domains.driving.state import State
from drivecoach.domains.driving.teacher import Advice

Key = TypeVar("Key", bound=Hashable)

FLATTENING = 0.35
"""Exponent of a rule's share of the pairs: 1 would draw states evenly, 0 rules evenly."""
LIST_SHARE = 16
"""A list of actions counts for a rule's share once for so many states that the rule answers."""
HELD_OUT = 0.2
"""What recipes usually hold out: 10% validation, 10% test."""


class Space:
    """All legal states by the rule, the exam item and the instruction that they get: the cells to draw from.

    Some lists of actions are right for one or two states only; where none of these would be trained on, they are
    left out: nothing is tested that was never shown.
    """

    def __init__(
        self,
        states: Iterable[State],
        advise: Callable[[State], Advice[Given]],
        write: Callable[[State], str],
    ) -> None:
        self.states: Counter[str] = Counter()
        """How many legal states each rule answers."""
        self.levels: Counter[str] = Counter()
        """How many legal states have each level."""
        cells: dict[str, dict[str, dict[Given, tuple[Advice[Given], list[str]]]]] = {}
        taught = set()
        for state in states:
            advice, line = advise(state), write(state)
            self.states[advice.rule.id] += 1
            self.levels[advice.instruction.level] += 1
            answers = cells.setdefault(advice.rule.id, {}).setdefault(state.item, {})
            answers.setdefault(advice.instruction, (advice, []))[1].append(line)
            if share_of(line) >= HELD_OUT:
                taught.add((advice.rule.id, state.item, _lesson(advice)))
        self._cells: dict[str, dict[str, list[list[str]]]] = {}
        self._lists: dict[str, int] = {}
        """How many different lists of actions a rule has (the night light aside)."""
        self.untaught = 0
        """How many states are left out."""
        for rule, items in cells.items():
            lessons = set()
            for item, answers in items.items():
                kept = self._cells.setdefault(rule, {}).setdefault(item, [])
                for advice, lines in answers.values():
                    if (rule, item, _lesson(advice)) in taught:
                        kept.append(lines)
                        lessons.add(_lesson(advice))
                    else:
                        self.untaught += len(lines)
            self._lists[rule] = len(lessons)

    def draw(self, count: int, seed: int) -> list[str]:
        """``count`` different canonical lines; the same seed draws the same, in the same order.

        Every rule gets a share by the 0.35th power of how many states it answers (drawn evenly, three quarters of all
        pairs would be an open door, a belt or a stalled engine), or by half the number of its lists of actions where
        that is more and there are states enough (16 a list); inside a rule every exam item gets the same share, and
        inside an item every different instruction. Inside a cell, and for the order of all, a hash of seed and line
        decides, so that a rule that is added or changed moves few of the others' pairs.
        Raises ValueError when ``count`` is less than the number of rules or more than there are states to draw.
        """
        sizes = {rule: sum(_size(cells) for cells in items.values()) for rule, items in self._cells.items()}
        if not len(sizes) <= count <= sum(sizes.values()):
            few, many = len(sizes), sum(sizes.values())
            raise ValueError(f"count must be from {few} (one a rule) to {many} (all that are taught)")
        weights = {
            rule: max(size**FLATTENING, min(self._lists[rule], size / LIST_SHARE) / 2) for rule, size in sizes.items()
        }
        drawn: list[str] = []
        for rule, quota in _shares(weights, sizes, count).items():
            items = self._cells[rule]
            for item, part in _evenly({item: _size(cells) for item, cells in items.items()}, quota).items():
                ranked = [sorted(cell, key=lambda line: place(seed, line)) for cell in items[item]]
                for number, some in _evenly(dict(enumerate(map(len, ranked))), part).items():
                    drawn += ranked[number][:some]
        return sorted(drawn, key=lambda line: place(seed, line))


def _lesson(advice: Advice[Given]) -> tuple[str, ...]:
    """The list of actions that a pair teaches (the night light aside)."""
    actions = advice.instruction.actions
    return actions[:-1] if advice.light else actions


def _size(cells: list[list[str]]) -> int:
    return sum(map(len, cells))


def _evenly(limits: Mapping[Key, int], total: int) -> dict[Key, int]:
    return _shares(dict.fromkeys(limits, 1.0), limits, total)


def _shares(weights: Mapping[Key, float], limits: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Split ``total`` by ``weights``, at least one each where it suffices, none past its limit."""
    shares = dict.fromkeys(weights, 0)
    for _ in range(total):
        open_keys = [key for key in weights if shares[key] < limits[key]]
        # the key that is furthest behind its weight; ties go to the first
        key = min(open_keys, key=lambda key: (shares[key] + 0.5) / weights[key] if shares[key] else -1 / weights[key])
        shares[key] += 1
    return shares
