"""Scores of a runtime on questions whose right answers are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic

from pydantic import BaseModel, JsonValue, RootModel

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.domain import Domain
from drivecoach.infer import Answer, Engine, Input, Outcome, Question
from drivecoach.runtime import Runtime


@dataclass(frozen=True)
class Case(Generic[Answer]):
    """A question and its right answer."""

    question: Question
    expected: Answer


class Wrong(BaseModel):
    """One wrong answer beside the right one."""

    input: str
    expected: str
    outcome: dict[str, JsonValue]


class Scores(BaseModel):
    """What was measured; shares are from 0 to 1 of ``rows``."""

    rows: int
    schema_valid: float
    """Share of answers that follow the schema."""
    right: dict[str, float]
    """For every part the domain compares (the whole answer, its fields, …) the share that is right."""
    violations: int | None
    """Answers that break an invariant; None where the domain has none."""
    milliseconds: float
    """Median time of one answer with no other in flight (the first answers, asked one by one)."""
    wrong: list[Wrong]
    """The first few wrong answers, with what was expected."""


class Evaluation(RootModel[dict[str, Scores]]):
    """The result of the evaluate stage: the name of a test to its scores."""


_ALONE = 20
"""Answers asked one by one, for a time that queueing does not blur."""
_KEPT = 20


def score(
    runtime: Runtime,
    domain: Domain[Input, Answer],
    cases: Sequence[Case[Answer]],
    advance: Callable[[], None] = lambda: None,
    *,
    constrain: bool = False,
) -> Scores:
    """Ask every question once and compare; ``advance`` is called once per answer, for a progress bar.

    ``constrain``: answers are decoded under the answer's schema.
    """
    right: Counter[str] = Counter()
    wrong: list[Wrong] = []
    valid = violations = 0
    alone: list[float] = []
    engine = Engine(runtime.generate, domain, asks=1, constrain=constrain)
    for case, outcome in zip(cases, _outcomes(runtime, engine, cases), strict=True):
        parts = domain.compare(case.expected, outcome.answer)
        right.update({part: int(agrees) for part, agrees in parts.items()})
        valid += outcome.answer is not None
        violations += bool(outcome.violations)
        if len(alone) < _ALONE:
            alone.append(outcome.seconds)
        if not all(parts.values()) and len(wrong) < _KEPT:
            expected = domain.write_answer(case.expected)
            wrong.append(Wrong(input=case.question.text, expected=expected, outcome=outcome.to_json(domain)))
        advance()
    return Scores(
        rows=len(cases),
        schema_valid=valid / len(cases),
        right={part: count / len(cases) for part, count in right.items()},
        violations=violations if domain.has_invariants else None,
        milliseconds=1000 * median(alone),
        wrong=wrong,
    )


def _outcomes(
    runtime: Runtime, engine: Engine[Input, Answer], cases: Sequence[Case[Answer]]
) -> Iterator[Outcome[Answer]]:
    """The first few alone, the rest as many at once as the runtime takes."""
    hosts = Hosts([lambda: runtime])
    for case in cases[:_ALONE]:
        yield from Answerer(hosts, engine).answer_all([case.question])
    yield from Answerer(hosts, engine).answer_all(case.question for case in cases[_ALONE:])
