"""What a file of pairs covers, and what it lacks: values, pairs of values, rules, conflicts, neighbours."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel

from drivecoach.chat.template import split
from drivecoach.data.check import Pair, check
from drivecoach.domain import AnyDomain, JsonObject, changes, place
from drivecoach.domain.node import text_of
from drivecoach.domain.scores import at
from drivecoach.errors import DataError
from drivecoach.progress import progress

FEW = 10
"""A rule or a value with fewer pairs than this is hardly taught."""
_NAMED = 12
"""Things of a kind that are named at most."""
_SAMPLE = 400
"""Pairs around which the boundary is looked for."""
_SEED = 3407


class FieldCoverage(BaseModel):
    """The values of one field of the input."""

    name: str
    counts: dict[str, int]
    """Pairs by value; a value that is possible and never occurs has 0. Texts and numbers are counted by size."""
    closed: bool
    """Whether its values are a closed set."""

    @property
    def missing(self) -> list[str]:
        """Values that never occur."""
        return [value for value, count in self.counts.items() if not count]


class Together(BaseModel):
    """Two fields: how many pairs of their values occur."""

    first: str
    second: str
    seen: int
    possible: int
    missing: list[tuple[str, str]]
    """The first few that never occur, though they are possible."""


class RuleCoverage(BaseModel):
    """The pairs that one rule answers."""

    rule: str
    pairs: int
    inputs: int | None
    """All inputs that it answers; None where they cannot be counted."""
    reason: str


class Balance(BaseModel):
    """How evenly one field of the answer is spread."""

    name: str
    counts: dict[str, int]
    effective: float
    """As many values of equal weight would be as mixed (the exponential of the entropy)."""


class Neighbours(BaseModel):
    """Pairs of rows that differ in one field of the input alone."""

    field: str
    same: int
    """With the same answer: of little use beside each other."""
    other: int
    """With another answer: they show where the boundary is."""


class Boundary(BaseModel):
    """Two rows that one field tells apart, and their answers."""

    field: str
    rows: tuple[int, int]
    values: tuple[str, str]
    answers: tuple[str, str]
    input: str
    """Of the first."""


class Wanted(BaseModel):
    """Something to collect next."""

    kind: str
    """``rule``, ``value``, ``together`` or ``boundary``."""
    what: str
    pairs: int
    """How many there are now."""
    inputs: int | None = None
    """How many inputs there could be, where that is known."""


class Coverage(BaseModel):
    """All that is known of a file of pairs."""

    file: str
    domain: str
    pairs: int
    refused: dict[str, int]
    conflicts: list[str]
    """The first few rows that contradict others."""
    warnings: int
    """Pairs that break an invariant."""
    fields: list[FieldCoverage]
    together: list[Together]
    """Empty where the possible ones cannot be counted."""
    rules: list[RuleCoverage]
    balance: list[Balance]
    neighbours: list[Neighbours]
    boundaries: list[Boundary]
    repeats: int
    """Text inputs that are another one but for case, spaces and punctuation."""
    wanted: list[Wanted]


def coverage(path: Path, domain: AnyDomain) -> Coverage:
    """Look at every row of the file ``path``. Raises DataError where no row is accepted."""
    report = check(path, domain)
    if not report.pairs:
        raise DataError(
            f"{path}: all {len(report.refusals):,} rows are refused, so that there is nothing to look at",
            hint=f"see why: drivecoach data check {path}",
        )
    rows = _Rows(domain, report.pairs)
    space = _Space(domain) if domain.is_finite else None
    fields = list(_fields(domain, report.counts))
    together = list(rows.together(space)) if space else []
    rules = list(_rules(rows, space))
    kinds = Counter(refusal.kind for refusal in report.refusals)
    return Coverage(
        file=path.name,
        domain=domain.name,
        pairs=len(report.pairs),
        refused=dict(kinds),
        conflicts=[
            f"row {refusal.row}: {refusal.reason}" for refusal in report.refusals if refusal.kind == "conflict"
        ][:_NAMED],
        warnings=len(report.warnings),
        fields=fields,
        together=together,
        rules=rules,
        balance=list(_balance(domain, rows)),
        neighbours=rows.neighbours,
        boundaries=rows.boundaries,
        repeats=_repeats(report.pairs) if domain.input.node.kind == "text" else 0,
        wanted=[*_wanted(fields, together, rules), *_boundary(domain, rows)],
    )


class _Rows:
    """The accepted pairs, taken apart once."""

    def __init__(self, domain: AnyDomain, pairs: Sequence[Pair]) -> None:
        self.domain, self.pairs = domain, pairs
        self.states = [domain.read_input(pair.input) for pair in pairs]
        self.answers = [domain.read_answer(split(pair.output).text) for pair in pairs]
        self.texts = [domain.write_answer(answer) for answer in self.answers]
        self.paths = [path for path, _ in domain.input.node.leaves()]
        self.names = [".".join(path) for path in self.paths]
        self.values = [_record(domain.input.dump(state), self.paths) for state in self.states]
        self.neighbours: list[Neighbours] = []
        self.boundaries: list[Boundary] = []
        for field in range(len(self.names)) if len(self.names) > 1 else ():
            self._compare(field)

    def _compare(self, field: int) -> None:
        """Count the rows that differ in this field alone."""
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for row, values in enumerate(self.values):
            groups[(*values[:field], *values[field + 1 :])].append(row)
        found = Neighbours(field=self.names[field], same=0, other=0)
        shown = 0
        for rows in groups.values():
            for one, other in combinations(rows, 2):
                if self.texts[one] == self.texts[other]:
                    found.same += 1
                    continue
                found.other += 1
                if shown < 2:
                    shown += 1
                    self.boundaries.append(self._boundary(field, one, other))
        if found.same or found.other:
            self.neighbours.append(found)

    def _boundary(self, field: int, one: int, other: int) -> Boundary:
        return Boundary(
            field=self.names[field],
            rows=(self.pairs[one].row, self.pairs[other].row),
            values=(self.values[one][field], self.values[other][field]),
            answers=(self.texts[one], self.texts[other]),
            input=self.pairs[one].input,
        )

    def together(self, space: _Space) -> Iterator[Together]:
        """Every two fields, and which of their possible pairs of values occur."""
        table = space.coded(self.values)
        for one, other in combinations(range(len(space.names)), 2):
            possible = np.flatnonzero(space.counts(space.table, one, other))
            seen = set(np.flatnonzero(space.counts(table, one, other)).tolist())
            missing = [code for code in possible.tolist() if code not in seen]
            yield Together(
                first=space.names[one],
                second=space.names[other],
                seen=len(possible) - len(missing),
                possible=len(possible),
                missing=[space.decoded(one, other, code) for code in missing[:_NAMED]],
            )


class _Space:
    """Every possible input, as small numbers."""

    def __init__(self, domain: AnyDomain) -> None:
        self._paths = [path for path, _ in domain.input.node.leaves()]
        self.names = [".".join(path) for path in self._paths]
        self._codes: list[dict[str, int]] = [{} for _ in self.names]
        self.rules: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        coded = []
        with progress("possible inputs", unit="input") as task:
            for value in domain.inputs():
                coded.append(self._code(_record(domain.input.dump(value), self._paths)))
                if (why := domain.explain(value)) is not None:
                    self.rules[why.rule] += 1
                    self.reasons.setdefault(why.rule, why.reason)
                task.advance()
        self.table = np.array(coded, dtype=np.int32)

    def _code(self, record: Sequence[str]) -> list[int]:
        return [codes.setdefault(value, len(codes)) for codes, value in zip(self._codes, record, strict=True)]

    def coded(self, records: Sequence[Sequence[str]]) -> Any:
        """Records as rows of numbers."""
        return np.array([self._code(record) for record in records], dtype=np.int32)

    def counts(self, table: Any, one: int, other: int) -> Any:
        """How often every pair of values of two fields occurs, by the pair's number."""
        width = len(self._codes[other])
        return np.bincount(table[:, one] * width + table[:, other], minlength=len(self._codes[one]) * width)

    def decoded(self, one: int, other: int, code: int) -> tuple[str, str]:
        """The two values that a pair's number stands for."""
        first, second = divmod(code, len(self._codes[other]))
        return list(self._codes[one])[first], list(self._codes[other])[second]


def _record(dumped: Any, paths: Sequence[tuple[str, ...]]) -> list[str]:
    found = (at(dumped, path) for path in paths)
    return ["none" if value is None else text_of(value) for value in found]


def _fields(domain: AnyDomain, counts: Mapping[str, Counter[str]]) -> Iterator[FieldCoverage]:
    nodes = {".".join(path): node for path, node in domain.input.node.leaves()} or {"input": domain.input.node}
    for name, node in nodes.items():
        found = counts.get(name, Counter[str]())
        possible = dict.fromkeys((text_of(value) for value in node.values), 0) if node.kind == "closed" else {}
        counted = {**possible, **dict(found.most_common())}
        yield FieldCoverage(name=name, counts=counted, closed=node.kind == "closed")


def _rules(rows: _Rows, space: _Space | None) -> Iterator[RuleCoverage]:
    counts: Counter[str] = Counter()
    reasons: dict[str, str] = dict(space.reasons) if space else {}
    for state in rows.states:
        if (why := rows.domain.explain(state)) is not None:
            counts[why.rule] += 1
            reasons.setdefault(why.rule, why.reason)
    for rule in sorted({*counts, *(space.rules if space else ())}):
        inputs = space.rules[rule] if space else None
        yield RuleCoverage(rule=rule, pairs=counts[rule], inputs=inputs, reason=reasons.get(rule, ""))


def _balance(domain: AnyDomain, rows: _Rows) -> Iterator[Balance]:
    for path, node in domain.answer.node.leaves():
        values: Counter[str] = Counter()
        for answer in rows.answers:
            found = at(domain.answer.dump(answer), path)
            if node.kind == "closed":
                values[text_of(found)] += 1
            elif isinstance(found, list):
                values.update(text_of(item) for item in found)
        if values:
            yield _balanced(".".join(path), values)
    yield _balanced("answer", Counter(rows.texts))


def _balanced(name: str, counts: Counter[str]) -> Balance:
    total = counts.total()
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    return Balance(name=name, counts=dict(counts.most_common(60)), effective=math.exp(entropy))


def _repeats(pairs: Sequence[Pair]) -> int:
    seen = Counter(re.sub(r"[\W_]+", "", pair.input.casefold()) for pair in pairs)
    return sum(count - 1 for text, count in seen.items() if text)


def _wanted(
    fields: Sequence[FieldCoverage], together: Sequence[Together], rules: Sequence[RuleCoverage]
) -> Iterator[Wanted]:
    """What is not there at all, then what there is little of, as far as there could be more."""
    for rule in sorted(rules, key=lambda rule: rule.pairs):
        if rule.pairs < min(FEW, FEW if rule.inputs is None else rule.inputs):
            what = f"{rule.rule} {rule.reason}".strip()
            yield Wanted(kind="rule", what=what, pairs=rule.pairs, inputs=rule.inputs)
    for field in fields:
        for value, count in field.counts.items() if field.closed else ():
            if count < FEW:
                yield Wanted(kind="value", what=f"{field.name}:{value}", pairs=count)
    pairs = [
        Wanted(kind="together", what=f"{one.first}:{first}; {one.second}:{second}", pairs=0)
        for one in together
        for first, second in one.missing
    ]
    yield from pairs[:_NAMED]


def _boundary(domain: AnyDomain, rows: _Rows) -> Iterator[Wanted]:
    """Inputs one feature from a pair, with another right answer, that are not among the pairs: rare rules first."""
    if not (domain.has_teacher and len(rows.names) > 1):
        return
    there = {pair.input for pair in rows.pairs}
    counts = Counter(why.rule for state in rows.states if (why := domain.explain(state)))
    chosen = sorted(range(len(rows.pairs)), key=lambda row: place(_SEED, rows.pairs[row].input))[:_SAMPLE]
    found: dict[str, int] = {}
    for row in chosen:
        dumped = cast(JsonObject, domain.input.dump(rows.states[row]))
        for change in changes(domain, rows.states[row]):
            node = domain.input.node.fields[change.field]
            value = next(value for value in node.values if text_of(value) == change.values[0])
            text = domain.write_input(domain.input.parse({**dumped, change.field: value}))
            if text not in there:
                found.setdefault(text, counts[change.rule])
    for text, count in sorted(found.items(), key=lambda item: item[1])[:_NAMED]:
        yield Wanted(kind="boundary", what=text, pairs=count)
