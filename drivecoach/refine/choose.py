"""Which states are taught next: those that are answered wrong, and those whose right answer hardly wins."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

import numpy as np

from drivecoach.data.check import Pair
from drivecoach.domain import AnyDomain, place
from drivecoach.verify.answers import LOWERED
from drivecoach.verify.run import MEASURED
from drivecoach.verify.states import rule_of, states

SPREAD = 0.5
"""How many logits of its margin a state's luck is worth: neighbours are much alike, and some of them will do."""
RULE_SHARE = 0.4
"""At most this share of a round's pairs is of one rule, unless the others do not need the room."""


@dataclass(frozen=True)
class _Candidate:
    rank: float
    input: str
    text: str
    rule: str


def choose(
    domain: AnyDomain, verified: Path, without: Collection[str], count: int, seed: int, source: str
) -> list[Pair]:
    """``count`` pairs at most, for what the verification in the folder ``verified`` found weak.

    Lowered dangers first, then by margin: how little the right answer wins, or by how much it loses; a hash of the
    input adds some luck. No input of ``without`` is drawn. Where a target tells no margins, only counterexamples are.
    """
    measured = np.load(verified / MEASURED)[:, 1:].tolist()
    by_rule: dict[str, list[_Candidate]] = defaultdict(list)
    for state, (margin, kind) in zip(states(domain), measured, strict=True):
        if state.input in without or (not kind and math.isnan(margin)):
            continue
        rank = (0.0 if math.isnan(margin) else margin) - (100 if kind == LOWERED else 0)
        rank += SPREAD * _luck(seed, state.input)
        candidate = _Candidate(rank, state.input, state.text, rule_of(domain, state.value))
        by_rule[candidate.rule].append(candidate)
        if len(by_rule[candidate.rule]) > 4 * count:  # memory holds what may still be drawn
            by_rule[candidate.rule] = nsmallest(count, by_rule[candidate.rule], key=lambda one: one.rank)
    ranked = sorted((one for some in by_rule.values() for one in some), key=lambda one: one.rank)
    most, taken = max(1, math.ceil(RULE_SHARE * count)), Counter[str]()
    chosen: list[_Candidate] = []
    rest: list[_Candidate] = []
    for one in ranked:
        (chosen if taken[one.rule] < most else rest).append(one)
        taken[one.rule] += 1
    chosen = (chosen + rest)[:count]
    return [Pair(row, one.input, one.text, source=source) for row, one in enumerate(chosen, start=1)]


def _luck(seed: int, text: str) -> float:
    """A number of the Gumbel distribution, by a hash: the smallest of ranks with it is a fair draw by weight."""
    share = (int.from_bytes(place(seed, text)[:8]) + 1) / (2**64 + 1)
    return math.log(-math.log(share))
