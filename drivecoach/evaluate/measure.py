"""Counting: replies held against the right answers, as the figures of one split."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from pydantic import JsonValue

from drivecoach.chat.template import split
from drivecoach.domain import AnyDomain
from drivecoach.domain.node import Node, text_of
from drivecoach.domain.scores import WHOLE, at, same
from drivecoach.errors import InputError
from drivecoach.evaluate.answers import Advance, Reply, ask_alone
from drivecoach.evaluate.result import Cell, Confusion, Gravest, Rate, Speed, SplitFigures, Wrong
from drivecoach.evaluate.scores import AnyCase
from drivecoach.evaluate.target import Target
from drivecoach.infer import flat
from drivecoach.text import escaped

ALONE = 20
"""Answers asked one by one, for a time that queueing does not blur."""


@dataclass(frozen=True)
class Place:
    """Where an input stands: the rule that answers it, its value on the map, and its closed features."""

    rule: str
    map: str
    values: dict[str, str]


@dataclass(frozen=True)
class Judged:
    """One reply beside the right answer."""

    case: AnyCase
    reply: Reply
    text: str
    """What was said, without reasoning."""
    answer: Any | None
    parts: dict[str, bool]
    violations: list[str]
    reason: str

    @property
    def right(self) -> bool:
        """Whether the whole answer is right."""
        return all(self.parts.values())


def place_of(domain: AnyDomain, text: str) -> Place:
    """Where the input with this text stands."""
    value = domain.read_input(text)
    dumped = domain.input.dump(value)
    values = {
        ".".join(path): text_of(at(dumped, path))
        for path, node in domain.input.node.leaves()
        if node.kind == "closed"
    }
    explained = domain.explain(value)
    return Place(explained.rule if explained else "", values.get(domain.map_by, ""), values)


def judge_reply(domain: AnyDomain, case: AnyCase, reply: Reply) -> Judged:
    """Hold a reply against the right answer, the schema and the invariants."""
    text = split(reply.text).text
    if reply.error:
        return Judged(case, reply, text, None, domain.compare(case.expected, None), [], reply.error)
    try:
        answer = domain.read_answer(text)
    except InputError as error:
        reason = flat(error) if reply.finished else "the answer was cut by the token limit"
        return Judged(case, reply, text, None, domain.compare(case.expected, None), [], f"schema: {reason}")
    broken = list(domain.violations(domain.read_input(case.question.text), answer))
    reason = "invariants: " + "; ".join(map(str, broken)) if broken else ""
    parts = domain.compare(case.expected, answer)
    return Judged(case, reply, text, answer, parts, [violation.id for violation in broken], reason)


def figures(
    domain: AnyDomain, name: str, judged: Sequence[Judged], places: Sequence[Place], *, constrained: bool = False
) -> SplitFigures:
    """The figures of one split; ``places`` are those of its inputs, in the same order."""
    rows = len(judged)

    def rate(count: int) -> Rate:
        return Rate.of(count, rows)

    exact = rate(sum(one.right for one in judged))
    by_rule, by_map, cells = _Slices(), _Slices(), _Slices()
    by_value: defaultdict[str, _Slices] = defaultdict(_Slices)
    for one, where in zip(judged, places, strict=True):
        by_rule.add(where.rule, one.right)
        by_map.add(where.map, one.right)
        if where.map and where.rule:
            cells.add((where.rule, where.map), one.right)
        for field, value in where.values.items():
            by_value[field].add(value, one.right)
    parts = [part for part in judged[0].parts if part != WHOLE]
    broken = Counter(id for one in judged for id in set(one.violations))
    text = domain.answer.node.kind == "text"
    return SplitFigures(
        split=name,
        constrained=constrained,
        exact=exact,
        wrong_at_most=exact.missing_at_most,
        fields={part: rate(sum(one.parts[part] for one in judged)) for part in parts},
        order_free={
            ".".join(path): rate(sum(_alike_without_order(domain, one, path, node) for one in judged))
            for path, node in domain.answer.node.leaves()
            if node.kind == "list"
        },
        confusion=_confusion(domain, judged),
        gravest=_gravest(domain, judged),
        below=sum(is_below(domain, one) for one in judged) if domain.levels else None,
        violations=dict(sorted(broken.items())) if domain.has_invariants else None,
        violating=rate(sum(bool(one.violations) for one in judged)) if domain.has_invariants else None,
        json_valid=None if text else rate(sum(_is_json(one.text) for one in judged)),
        schema_valid=rate(sum(one.answer is not None for one in judged)),
        cut=sum(not one.reply.finished for one in judged),
        failed=sum(bool(one.reply.error) for one in judged),
        by_rule=by_rule.rates(),
        by_map=by_map.rates(),
        by_value={field: slices.rates() for field, slices in by_value.items()},
        cells=[Cell(rule=rule, value=value, exact=found) for (rule, value), found in cells.rates().items()],
    )


def wrong_of(domain: AnyDomain, name: str, one: Judged, where: Place, *, constrained: bool) -> Wrong:
    """A wrong answer as a line of the file of wrong answers."""
    return Wrong(
        split=name,
        constrained=constrained,
        input=one.case.question.text,
        rule=where.rule,
        map=where.map,
        wrong=[part for part, right in one.parts.items() if not right],
        expected=domain.answer.dump(one.case.expected),
        given=None if one.answer is None else domain.answer.dump(one.answer),
        said=escaped(one.text),
        reason=one.reason,
    )


def measure_speed(target: Target, cases: Sequence[AnyCase], advance: Advance = lambda: None) -> Speed | None:
    """What an answer to the first cases costs, each asked alone; None where none was answered."""
    found = list(ask_alone(target, cases[:ALONE], advance))
    if not found:
        return None
    return Speed(
        rows=len(found),
        milliseconds=1000 * median(answer.seconds for answer in found),
        prompt_tokens=fmean(answer.prompt_tokens for answer in found),
        answer_tokens=fmean(answer.completion_tokens for answer in found),
    )


class _Slices:
    """Right answers of all, by what they are sliced by; a slice without a name is left out."""

    def __init__(self) -> None:
        self._rows: Counter[Any] = Counter()
        self._right: Counter[Any] = Counter()

    def add(self, key: Any, right: bool) -> None:
        """Count one answer."""
        if key:
            self._rows[key] += 1
            self._right[key] += right

    def rates(self) -> dict[Any, Rate]:
        """By name."""
        return {key: Rate.of(self._right[key], self._rows[key]) for key in sorted(self._rows)}


def is_below(domain: AnyDomain, one: Judged) -> bool:
    """Whether an answer errs on the dangerous side."""
    return one.answer is not None and domain.is_below(one.answer, one.case.expected)


def _confusion(domain: AnyDomain, judged: Sequence[Judged]) -> Confusion | None:
    if not domain.levels:
        return None
    levels = list(domain.levels)
    counts = [[0] * (len(levels) + 1) for _ in levels]
    for one in judged:
        said = len(levels) if one.answer is None else levels.index(domain.level(one.answer))
        counts[levels.index(domain.level(one.case.expected))][said] += 1
    return Confusion(levels=levels, rows=counts)


def _gravest(domain: AnyDomain, judged: Sequence[Judged]) -> Gravest | None:
    if not domain.levels:
        return None
    gravest = domain.levels[-1]
    must = [one for one in judged if domain.level(one.case.expected) == gravest]
    said = [one for one in judged if one.answer is not None and domain.level(one.answer) == gravest]
    both = sum(domain.level(one.case.expected) == gravest for one in said)
    return Gravest(
        level=gravest,
        recall=Rate.of(both, len(must)) if must else None,
        precision=Rate.of(both, len(said)) if said else None,
        lowered=sum(is_below(domain, one) for one in must),
    )


def _alike_without_order(domain: AnyDomain, one: Judged, path: tuple[str, ...], node: Node) -> bool:
    if one.answer is None:
        return False
    given, expected = (
        _sorted(at(domain.answer.dump(answer), path)) for answer in (one.answer, one.case.expected)
    )
    return same(node, expected, given)


def _sorted(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return sorted(value, key=lambda item: json.dumps(item, ensure_ascii=False, sort_keys=True))
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
