"""Drawing states: training pairs by rule and item, so that rare situations are taught; test states evenly."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from typing import TypeVar

from drivecoach.domain.instruction import Instruction
from drivecoach.domain.line import render_line
from drivecoach.domain.state import VehicleState, legal_states
from drivecoach.domain.teacher import Advice, teach

_T = TypeVar("_T")


def draw_pairs(count: int, seed: int) -> list[tuple[VehicleState, Advice]]:
    """Draw ``count`` different states with the teacher's advice; the same seed draws the same, in the same order.

    Every rule gets a share by the square root of how many states it answers (drawn evenly, three quarters of all
    pairs would be an open door, a belt or a stalled engine), and inside a rule every exam item gets the same share.
    Raises ValueError when ``count`` is less than the number of rules or more than there are legal states.
    """
    by_rule: dict[str, dict[str, list[tuple[VehicleState, Advice]]]] = {}
    for state in legal_states():
        advice = teach(state)
        by_rule.setdefault(advice.rule.id, {}).setdefault(state.item, []).append((state, advice))
    sizes = {rule: sum(map(len, items.values())) for rule, items in by_rule.items()}
    if not len(sizes) <= count <= sum(sizes.values()):
        raise ValueError(
            f"count must be from {len(sizes)} (one a rule) to {sum(sizes.values())} (all states)"
        )
    quotas = _shares({rule: math.sqrt(size) for rule, size in sizes.items()}, sizes, count)
    generator = random.Random(seed)  # noqa: S311  # reproducible, not secret
    drawn: list[tuple[VehicleState, Advice]] = []
    for rule, items in by_rule.items():
        item_sizes = {item: len(states) for item, states in items.items()}
        for item, quota in _shares(dict.fromkeys(items, 1.0), item_sizes, quotas[rule]).items():
            drawn += generator.sample(items[item], quota)
    generator.shuffle(drawn)
    return drawn


def uniform(count: int, without: Collection[str], seed: int = 20_240_601) -> list[tuple[str, Instruction]]:
    """Draw ``count`` lines evenly from all legal states, leaving out the lines in ``without``; with their answers."""
    states = [(line, state) for state in legal_states() if (line := render_line(state)) not in without]
    chosen = random.Random(seed).sample(states, min(count, len(states)))  # noqa: S311
    return [(line, teach(state).instruction) for line, state in chosen]


def _shares(weights: dict[_T, float], limits: dict[_T, int], total: int) -> dict[_T, int]:
    """Split ``total`` by ``weights``, at least one each where it suffices, none past its limit."""
    shares = dict.fromkeys(weights, 0)
    for _ in range(total):
        open_keys = [key for key in weights if shares[key] < limits[key]]
        # the key that is furthest behind its weight; ties go to the first
        key = min(
            open_keys,
            key=lambda key: (shares[key] + 0.5) / weights[key] if shares[key] else -1 / weights[key],
        )
        shares[key] += 1
    return shares
