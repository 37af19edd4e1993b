"""Drawing states: training pairs by rule, item and answer, so that rare situations are taught; test states evenly."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import TypeVar

from drivecoach.domains.driving.instruction import Instruction
from drivecoach.domains.driving.line import render_line
from drivecoach.domains.driving.state import VehicleState, legal_states
from drivecoach.domains.driving.teacher import Advice, teach
from drivecoach.domains.driving.words import Action

_T = TypeVar("_T")
_Drawn = tuple[VehicleState, Advice]

_FLATTENING = 0.35
"""Exponent of a rule's share of the pairs: 1 would draw states evenly, 0 rules evenly."""


def draw_pairs(count: int, seed: int, taught: Callable[[str], bool]) -> list[_Drawn]:
    """Draw ``count`` different states with the teacher's advice; the same seed draws the same, in the same order.

    Every rule gets a share by the 0.35th power of how many states it answers (drawn evenly, three quarters of all
    pairs would be an open door, a belt or a stalled engine), or by half the number of its lists of actions where that
    is more and there are states enough (16 a list); inside a rule every exam item gets the same share, and inside an
    item every different instruction.

    ``taught`` tells whether a canonical line belongs to the training split. Some lists of actions are right for one
    or two states only; where none of these would be taught, none is drawn: nothing is tested that was never shown.
    Raises ValueError when ``count`` is less than the number of rules or more than there are states to draw.
    """
    groups: dict[str, dict[str, dict[Instruction, list[_Drawn]]]] = {}
    shown: set[tuple[str, str, tuple[Action, ...]]] = set()
    for state in legal_states():
        advice = teach(state)
        items = groups.setdefault(advice.rule.id, {})
        items.setdefault(state.item, {}).setdefault(advice.instruction, []).append((state, advice))
        if taught(render_line(state)):
            shown.add(_lesson(state, advice))
    for items in groups.values():
        for answers in items.values():
            for instruction, states in list(answers.items()):
                if _lesson(*states[0]) not in shown:
                    del answers[instruction]
    sizes = {rule: sum(map(_size, items.values())) for rule, items in groups.items()}
    if not len(sizes) <= count <= sum(sizes.values()):
        raise ValueError(f"count must be from {len(sizes)} (one a rule) to {sum(sizes.values())} (all that are taught)")
    weights = {rule: max(size**_FLATTENING, min(_lists(groups[rule]), size / 16) / 2) for rule, size in sizes.items()}
    quotas = _shares(weights, sizes, count)
    generator = random.Random(seed)  # noqa: S311  # reproducible, not secret
    drawn: list[_Drawn] = []
    for rule, items in groups.items():
        for item, quota in _evenly({item: _size(answers) for item, answers in items.items()}, quotas[rule]).items():
            answers = items[item]
            for instruction, share in _evenly({key: len(states) for key, states in answers.items()}, quota).items():
                drawn += generator.sample(answers[instruction], share)
    generator.shuffle(drawn)
    return drawn


def uniform(count: int, without: Collection[str], seed: int = 20_240_601) -> list[tuple[str, Instruction]]:
    """Draw ``count`` lines evenly from all legal states, leaving out the lines in ``without``; with their answers."""
    states = [(line, state) for state in legal_states() if (line := render_line(state)) not in without]
    chosen = random.Random(seed).sample(states, min(count, len(states)))  # noqa: S311
    return [(line, teach(state).instruction) for line, state in chosen]


def _lesson(state: VehicleState, advice: Advice) -> tuple[str, str, tuple[Action, ...]]:
    """What a pair teaches: a rule, an item, a list of actions (the night light aside)."""
    actions = advice.instruction.actions
    return advice.rule.id, state.item, actions[:-1] if advice.light else actions


def _lists(items: dict[str, dict[Instruction, list[_Drawn]]]) -> int:
    """How many different lists of actions a rule has (the night light aside)."""
    return len({_lesson(*states[0])[2] for answers in items.values() for states in answers.values()})


def _size(answers: dict[Instruction, list[_Drawn]]) -> int:
    return sum(map(len, answers.values()))


def _evenly(limits: dict[_T, int], total: int) -> dict[_T, int]:
    return _shares(dict.fromkeys(limits, 1.0), limits, total)


def _shares(weights: dict[_T, float], limits: dict[_T, int], total: int) -> dict[_T, int]:
    """Split ``total`` by ``weights``, at least one each where it suffices, none past its limit."""
    shares = dict.fromkeys(weights, 0)
    for _ in range(total):
        open_keys = [key for key in weights if shares[key] < limits[key]]
        # the key that is furthest behind its weight; ties go to the first
        key = min(open_keys, key=lambda key: (shares[key] + 0.5) / weights[key] if shares[key] else -1 / weights[key])
        shares[key] += 1
    return shares
