"""The questions of an evaluation, split by split: held-out rows, states drawn evenly, and hard ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivecoach.chat.family import ANY_CONTROL
from drivecoach.chat.template import split
from drivecoach.config import SourceConfig, read_recipe
from drivecoach.data.check import Pair, Refusal, scan
from drivecoach.data.prepare import read_pairs
from drivecoach.data.split import SPLITS
from drivecoach.domain import AnyDomain
from drivecoach.domain.explanation import with_value
from drivecoach.errors import DataError, Fault
from drivecoach.evaluate.scores import AnyCase, Case
from drivecoach.evaluate.target import Target
from drivecoach.infer import Question
from drivecoach.text import fraction

STATES = 5000
"""Inputs of a split that is drawn, where no recipe says how many."""
_SALT = "hard"
"""What pairs are drawn by is another number of theirs, so that the order here says nothing of how rare a state is."""


@dataclass(frozen=True)
class Questions:
    """What a target is asked."""

    splits: dict[str, list[AnyCase]]
    train: list[Pair]
    """The pairs that the target was trained on; empty where that is not known."""
    notes: list[str]
    """What is not asked, and why."""


def find_questions(target: Target, data: Path | None = None, limit: int | None = None) -> Questions:
    """The questions for ``target``: a file's, or those of its run, at most ``limit`` a split, spread over all.

    Raises DataError where there are none, or rows of the file cannot be read.
    """
    domain = target.domain
    if data is not None:
        return Questions({data.stem: spread(list(_cases_of_file(data, target)), limit)}, [], [])
    pairs: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    states, rows, notes = STATES, limit, []
    if target.run is not None:
        settings = read_recipe(target.run).evaluate
        states, rows = settings.states, limit or settings.rows
        pairs = {name: list(read_pairs(target.run / "data" / f"{name}.jsonl")) for name in SPLITS}
    elif domain.has_teacher and domain.is_finite:
        notes.append("its training rows are not known, so some of these inputs may be among them")
    wanted = states if limit is None else min(states, limit)
    seen = {pair.input for rows in pairs.values() for pair in rows}
    found = {
        "test": spread(cases_of(pairs["test"], domain), rows),
        "uniform": [Case(Question(text), answer) for text, answer in domain.uniform(wanted, seen)],
        "hard": hard_cases(domain, pairs["train"], seen, wanted),
    }
    if target.chat is not None and target.chat.thinking == "mixed":
        found["test, not thinking"] = [
            Case(replace(case.question, think=False), case.expected) for case in found["test"]
        ]
    splits = {name: cases for name, cases in found.items() if cases}
    if not splits:
        raise DataError(
            f"there is nothing to ask {target.name}: no held-out rows, and no inputs whose answers are known",
            hint="name questions with their right answers: --data FILE",
        )
    if not (domain.has_teacher and domain.is_finite):
        reason = "no teacher" if not domain.has_teacher else "more inputs than can be walked"
        notes.append(f"not every input can be asked: the domain {domain.name} has {reason}; the bounds are of samples")
    return Questions(splits, pairs["train"], notes)


def cases_of(pairs: Iterable[Pair], domain: AnyDomain) -> list[AnyCase]:
    """Pairs as questions with their right answers."""
    return [
        Case(Question(pair.input, pair.history), domain.read_answer(split(pair.output).text)) for pair in pairs
    ]


def hard_cases(domain: AnyDomain, train: Sequence[Pair], seen: Collection[str], count: int) -> list[AnyCase]:
    """States one feature away from a training state, whose right answer is another; none of ``seen``.

    One for each training state, both chosen by a hash, until there are ``count``. Empty for a domain without a teacher.
    """
    if not domain.has_teacher:
        return []
    found: dict[str, AnyCase] = {}
    for text in sorted((pair.input for pair in train if not pair.history), key=lambda text: fraction(_SALT, text)):
        if len(found) >= count:
            break
        value = domain.read_input(text)
        right = domain.teach(value)
        for changed in _neighbours(domain, value) if right is not None else ():
            answer = domain.teach(changed)
            if answer is None or all(domain.compare(right, answer).values()):
                continue
            line = domain.write_input(changed)
            if line not in seen and line not in found:
                found[line] = Case(Question(line), answer)
                break
    return list(found.values())


def _neighbours(domain: AnyDomain, value: Any) -> Iterator[Any]:
    """Every input that differs in one closed field, in an order that a hash decides."""
    dumped = domain.input.dump(value)
    if not isinstance(dumped, dict):
        return
    changes = [
        (name, other)
        for name, node in domain.input.node.fields.items()
        for other in (node.values if node.kind == "closed" else ())
        if other != dumped.get(name)
    ]
    whole = domain.write_input(value)
    for name, other in sorted(changes, key=lambda change: fraction(_SALT, f"{whole} {change}")):
        if (changed := with_value(domain, dumped, name, other)) is not None:
            yield changed


def spread(rows: Sequence[Any], count: int | None) -> list[Any]:
    """``count`` of the rows, spread evenly over all of them; None takes every one."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[at * len(rows) // count] for at in range(count)]


def _cases_of_file(path: Path, target: Target) -> Iterator[AnyCase]:
    control = ANY_CONTROL if target.chat is None else re.compile(target.chat.family.control)
    refused: list[Fault] = []
    pairs: list[Pair] = []
    for verdict in scan([SourceConfig(path=str(path))], target.domain, control):
        if isinstance(verdict, Refusal):
            if verdict.kind == "duplicate":  # asking once is enough
                continue
            refused.append(Fault(f"row {verdict.row}", f"{verdict.kind}: {verdict.reason}"))
        else:
            pairs.append(verdict.pair)
    if refused:
        raise DataError(
            f"{len(refused):,} rows of {path} cannot be asked",
            faults=refused[:20],
            hint=f"correct them: drivecoach data check {path}",
        )
    yield from cases_of(pairs, target.domain)
