"""Scores of a runtime on questions whose right answers are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Generic, TypeAlias

from pydantic import BaseModel, JsonValue, RootModel

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.domain import Domain, JsonObject
from drivecoach.evaluate.own_pairs import DIFFERENCES, Differing
from drivecoach.infer import Answer, Engine, Input, Outcome, Question
from drivecoach.runtime import Runtime


@dataclass(frozen=True)
class Case(Generic[Answer]):
    """A question and its right answer."""

    question: Question
    expected: Answer


AnyCase: TypeAlias = Case[Any]


class Mistake(BaseModel):
    """One wrong answer beside the right one: a line of the file of mistakes."""

    test: str
    input: str
    wrong: list[str]
    """The parts that are wrong, as in `Scores.right`."""
    expected: JsonValue
    rules: JsonValue = None
    """What the rules say, where the expected answer is a pair's that says something else."""
    outcome: JsonObject
    """What became of the answer, as in an outcome file."""


class Danger(BaseModel):
    """How the answers fared whose right level is the gravest."""

    level: str
    rows: int
    kept: int
    """Answers that have this level too."""
    lowered: int
    """Answers of a lower level; the rest is no answer."""


class Scores(BaseModel):
    """What was measured; shares are from 0 to 1 of ``rows``."""

    rows: int
    schema_valid: float
    """Share of answers that follow the schema."""
    right: dict[str, float]
    """For every part the domain compares (the whole answer, its fields, …) the share that is right."""
    danger: Danger | None
    """None where the domain has no levels, or no right answer here has the gravest."""
    below: int | None
    """Answers whose level is below the right one; None where the domain has no levels."""
    violations: int | None
    """Answers that break an invariant; None where the domain has none."""
    mistakes: int
    """Answers with a wrong part; all of them are in the file of mistakes."""
    differing: Differing | None = None
    """Pairs that say something else than the rules: of this test, or of all where the right answers are the rules'."""
    milliseconds: float
    """Median time of one answer with no other in flight (the first answers, asked one by one)."""


class Evaluation(RootModel[dict[str, Scores]]):
    """The result of the evaluate stage: the name of a test to its scores."""


MISTAKES = "mistakes.jsonl"
_ALONE = 20
"""Answers asked one by one, for a time that queueing does not blur."""


def score(
    runtime: Runtime,
    domain: Domain[Input, Answer],
    cases: Sequence[Case[Answer]],
    advance: Callable[[], None] = lambda: None,
    *,
    constrain: bool = False,
    test: str = "",
    mistakes: list[Mistake] | None = None,
    beside: Differing | None = None,
) -> Scores:
    """Ask every question once and compare; ``advance`` is called once per answer, for a progress bar.

    ``constrain``: answers are decoded under the answer's schema. Every wrong answer is added to ``mistakes``, as one of
    the ``test``. ``beside``: what to say of pairs that differ, where the right answers are the rules'.
    """
    tally = _Tally(domain, len(cases))
    hosts = Hosts([lambda: runtime])
    engine = Engine(hosts.generate, domain, asks=1, constrain=constrain)
    for case, outcome in zip(cases, _outcomes(hosts, engine, cases), strict=True):
        mistake = tally.add(case, outcome, test)
        if mistake is not None and mistakes is not None:
            mistakes.append(mistake)
        advance()
    return tally.scores(beside)


def told(scores: Scores, folder: Path) -> Iterator[str]:
    """The scores in words, line by line; ``folder`` is where the evaluation's files lie."""
    yield ", ".join(f"{part} {share:.2%}" for part, share in scores.right.items())
    if (danger := scores.danger) is not None:
        lost = danger.rows - danger.kept - danger.lowered
        yield (
            f"{danger.level} kept {danger.kept / danger.rows:.2%} of {danger.rows:,}, {danger.lowered:,} lowered"
            + (f", {lost:,} without an answer" if lost else "")
        )
    if scores.below is not None:
        yield f"{scores.below:,} {'answer' if scores.below == 1 else 'answers'} below the right level"
    violations = "" if scores.violations is None else f"invariant violations {scores.violations}, "
    yield f"valid by schema {scores.schema_valid:.2%}, {violations}{scores.milliseconds:.1f} ms per answer"
    if scores.mistakes:
        yield f"{scores.mistakes:,} wrong answers: {folder / MISTAKES}"
    if scores.differing is not None:
        yield from told_differing(scores.differing, folder)


def told_differing(own: Differing, folder: Path) -> Iterator[str]:
    """What to say of pairs that say something else than the rules."""
    if own.as_pairs is None:
        yield f"warning: compared with the rules, though {own.count:,} of {own.among:,} pairs say something else"
    else:
        yield (
            f"{own.count:,} of these pairs say something else than the rules, and are what counts: the model answers "
            f"{own.as_pairs:,} as the pairs, {own.as_rules:,} as the rules"
        )
    yield f"all of them in {folder / DIFFERENCES}, such as"
    yield from own.first


class _Tally(Generic[Input, Answer]):
    """Counts answers one by one."""

    def __init__(self, domain: Domain[Input, Answer], rows: int) -> None:
        self._domain = domain
        self._rows = rows
        self._right: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._differ: list[str] = []
        self._seconds: list[float] = []

    def add(self, case: Case[Answer], outcome: Outcome[Answer], test: str) -> Mistake | None:
        domain, counts, given, expected = self._domain, self._counts, outcome.answer, case.expected
        parts = domain.compare(expected, given)
        self._right.update({part: int(agrees) for part, agrees in parts.items()})
        self._seconds.append(outcome.seconds)
        counts["valid"] += given is not None
        counts["violations"] += bool(outcome.violations)
        if domain.levels:
            is_below = given is not None and domain.is_below(given, expected)
            counts["below"] += is_below
            if domain.level(expected) == domain.levels[-1]:
                counts["danger"] += 1
                counts["kept"] += given is not None and not is_below
                counts["lowered"] += is_below
        rules = _other_by_the_rules(domain, case)
        if rules is not None:
            self._differ.append(case.question.text)
            counts["as pairs"] += all(parts.values())
            counts["as rules"] += all(domain.compare(rules, given).values())
        if all(parts.values()):
            return None
        counts["mistakes"] += 1
        return Mistake(
            test=test,
            input=case.question.text,
            wrong=[part for part, agrees in parts.items() if not agrees],
            expected=domain.answer.dump(expected),
            rules=None if rules is None else domain.answer.dump(rules),
            outcome={key: value for key, value in outcome.to_json(domain).items() if key not in ("row", "input")},
        )

    def scores(self, beside: Differing | None) -> Scores:
        domain, counts = self._domain, self._counts
        differing = Differing.of_inputs(self._differ, self._rows) or beside
        if differing is not None and self._differ:
            differing.as_pairs, differing.as_rules = counts["as pairs"], counts["as rules"]
        danger = None
        if counts["danger"]:
            danger = Danger(
                level=domain.levels[-1], rows=counts["danger"], kept=counts["kept"], lowered=counts["lowered"]
            )
        return Scores(
            rows=self._rows,
            schema_valid=counts["valid"] / self._rows,
            right={part: count / self._rows for part, count in self._right.items()},
            danger=danger,
            below=counts["below"] if domain.levels else None,
            violations=counts["violations"] if domain.has_invariants else None,
            mistakes=counts["mistakes"],
            differing=differing,
            milliseconds=1000 * median(self._seconds[:_ALONE]),
        )


def _other_by_the_rules(domain: Domain[Input, Answer], case: Case[Answer]) -> Answer | None:
    """What the rules say, where that is something else than what is expected; they know of no turns before."""
    if not domain.has_teacher or case.question.history:
        return None
    taught = domain.teach(domain.read_input(case.question.text))
    return None if taught is None or all(domain.compare(taught, case.expected).values()) else taught


def _outcomes(hosts: Hosts, engine: Engine[Input, Answer], cases: Sequence[Case[Answer]]) -> Iterator[Outcome[Answer]]:
    """The first few alone, the rest as many at once as the runtime takes."""
    for case in cases[:_ALONE]:
        yield from Answerer(hosts, engine).answer_all([case.question])
    yield from Answerer(hosts, engine).answer_all(case.question for case in cases[_ALONE:])
