"""Checking pairs: every malformed, unknown, duplicate or conflicting row of a file, with its number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivecoach.chat import template
from drivecoach.data.read import Row, read_rows
from drivecoach.errors import Fault, InputError
from drivecoach.files import write_text
from drivecoach.registry import Domain


@dataclass(frozen=True)
class Pair:
    """One accepted training pair: the canonical input and the output with its reasoning."""

    row: int
    input: str
    output: str


@dataclass(frozen=True)
class Refusal:
    """One row that was not accepted, and why."""

    row: int
    kind: str
    """``malformed``, ``input``, ``output``, ``duplicate`` or ``conflict``."""
    reason: str
    value: Any


@dataclass
class Report:
    """What a check found. ``warnings`` are rows that were accepted although they break an invariant."""

    pairs: list[Pair] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """For every label of the domain (feature, level, …) how many accepted pairs have each value."""

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return len(self.pairs) + len(self.refusals)

    def kinds(self) -> dict[str, int]:
        """How many rows were refused, by kind."""
        return dict(Counter(refusal.kind for refusal in self.refusals))

    def write_rejects(self, target: Path) -> None:
        """Write the refused rows as JSONL: row number, kind, reason, and the row as it was."""
        lines = [
            json.dumps(
                {"row": r.row, "kind": r.kind, "reason": r.reason, "value": r.value}, ensure_ascii=False
            )
            for r in self.refusals
        ]
        write_text(target, "".join(line + "\n" for line in lines))

    def write_accepted(self, target: Path) -> None:
        """Write the accepted pairs as JSONL."""
        lines = [json.dumps({"input": p.input, "output": p.output}, ensure_ascii=False) for p in self.pairs]
        write_text(target, "".join(line + "\n" for line in lines))


@dataclass(frozen=True)
class _Read:
    """A row that is well formed on its own: parsed, but not yet compared with the others."""

    pair: Pair
    state: Any
    answer: Any
    value: Any


def check(path: Path, domain: Domain) -> Report:
    """Read every row of ``path`` and sort it into accepted, refused and warned.

    A conflict is one input with different answers; since nothing says which is right, all its rows are refused.
    A duplicate is one input with the same answer again; the first row stays.
    Raises DataError when the file is no data file at all.
    """
    report = Report()
    reads = list(_well_formed(read_rows(path), domain, report))
    rows_of: dict[str, list[_Read]] = {}
    for read in reads:
        rows_of.setdefault(read.pair.input, []).append(read)
    for read in reads:
        _compare(read, rows_of[read.pair.input], domain, report)
    report.refusals.sort(key=lambda refusal: refusal.row)
    return report


def _well_formed(rows: Iterable[Row], domain: Domain, report: Report) -> Iterable[_Read]:
    for row in rows:
        problem = row.problem or _shape_problem(row.value)
        if problem:
            report.refusals.append(Refusal(row.number, "malformed", problem, row.value))
            continue
        kind = "input"
        try:
            template.refuse_control_tokens("input", row.value["input"])
            state = domain.read_input(row.value["input"])
            kind = "output"
            parts = template.split(row.value["output"])
            template.refuse_control_tokens("output", parts.thinking + parts.text)
            answer = domain.read_answer(parts.text)
        except InputError as error:
            report.refusals.append(Refusal(row.number, kind, _one_line(error), row.value))
            continue
        pair = Pair(row.number, domain.write_input(state), row.value["output"])
        yield _Read(pair, state, answer, row.value)


def _shape_problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"a row is an object with input and output, this is a {type(value).__name__}"
    faults = []
    for key in ("input", "output"):
        if key not in value:
            faults.append(f"no {key!r} (keys found: {', '.join(map(str, value)) or 'none'})")
        elif not isinstance(value[key], str):
            faults.append(f"{key!r} is a {type(value[key]).__name__}, not text")
        elif not value[key].strip():
            faults.append(f"{key!r} is empty")
    return "; ".join(faults) or None


def _compare(read: _Read, same_input: list[_Read], domain: Domain, report: Report) -> None:
    first = same_input[0]
    rows = ", ".join(str(other.pair.row) for other in same_input)
    if any(other.answer != first.answer for other in same_input):
        report.refusals.append(
            Refusal(read.pair.row, "conflict", f"one input, different answers in rows {rows}", read.value)
        )
    elif read is not first:
        report.refusals.append(
            Refusal(read.pair.row, "duplicate", f"the same pair as row {first.pair.row}", read.value)
        )
    else:
        report.pairs.append(read.pair)
        broken = domain.violations(read.state, read.answer)
        if broken:
            reason = "; ".join(str(item) for item in broken)
            report.warnings.append(Refusal(read.pair.row, "invariant", reason, read.value))
        for label, value in domain.describe(read.state, read.answer).items():
            report.counts.setdefault(label, Counter())[value] += 1


def _one_line(error: InputError) -> str:
    faults: list[Fault | str] = [*error.faults] or [error.message]
    return "; ".join(str(fault) for fault in faults)
