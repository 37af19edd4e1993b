"""What an evaluation found: the typed JSON files in a run's folder ``evaluate/``, read by reports and model cards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import comb, sqrt
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, JsonValue

from drivecoach.files import write_json

FIGURES, WRONG, CHAIN, SWEEP, BASELINES = (
    "figures.json",
    "wrong.jsonl",
    "chain.json",
    "sweep.json",
    "baselines.json",
)
"""The names of the files; those of another link of the chain bear its name too, see `file_name`."""
_Z = 1.959963984540054
"""The normal distribution holds 95% between minus and plus this."""
_ALPHA = 0.05


class Result(BaseModel, frozen=True, extra="forbid"):
    """What all files have in common: they are read back strictly, and written whole."""

    def write(self, path: Path) -> None:
        """Write it as readable JSON, whole or not at all."""
        write_json(path, self.model_dump(mode="json"))


class Rate(Result):
    """How many of ``rows`` count, and between which shares the true one lies with 95% confidence (Wilson's score)."""

    count: int
    rows: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, rows: int) -> Self:
        """Raises ValueError without rows: of nothing there is no share."""
        if rows < 1:
            raise ValueError("a share needs rows")
        share, spread = count / rows, _Z * _Z / rows
        middle = (share + spread / 2) / (1 + spread)
        half = _Z * sqrt(share * (1 - share) / rows + spread / (4 * rows)) / (1 + spread)
        low = 0.0 if count == 0 else max(0.0, middle - half)
        high = 1.0 if count == rows else min(1.0, middle + half)
        return cls(count=count, rows=rows, share=share, low=low, high=high)

    @property
    def missing_at_most(self) -> float:
        """The share of what does not count that is not exceeded with 95% confidence.

        Where nothing is missing this is the exact form of the rule of three: about 3 / rows.
        """
        return float(1 - _ALPHA ** (1 / self.rows)) if self.count == self.rows else 1 - self.low


class Paired(Result):
    """Two models on the same questions: McNemar's test, exact (binomial) and two-sided, on where they differ."""

    rows: int
    both: int
    """Right by both."""
    first: int
    """Right by the first alone."""
    second: int
    """Right by the second alone."""
    p_value: float
    """How likely so one-sided a difference, or one more so, would be if both were equally good."""

    @property
    def differ(self) -> bool:
        """Whether one is better than the other, with 95% confidence."""
        return self.p_value < _ALPHA


def paired(first: Sequence[bool], second: Sequence[bool]) -> Paired:
    """Hold two models against each other: whether each answer to the same questions was right, in the same order."""
    pairs = list(zip(first, second, strict=True))
    gained, lost = sum(b and not a for a, b in pairs), sum(a and not b for a, b in pairs)
    discordant, fewer = gained + lost, min(gained, lost)
    tail = sum(comb(discordant, count) for count in range(fewer + 1))
    return Paired(
        rows=len(pairs),
        both=sum(a and b for a, b in pairs),
        first=lost,
        second=gained,
        p_value=min(1.0, 2 * tail / (1 << discordant)),
    )


class Measured(Result):
    """Which model was measured."""

    name: str
    kind: Literal["gguf", "weights", "ollama", "rules", "other"]
    digest: str
    """What tells it from any other: the file's SHA-256, Ollama's digest, …"""
    bytes: int | None = None
    """The size of its files, where they are here."""
    domain: str
    note: str = ""


class Confusion(Result):
    """Counts of answers by the level that is right and the level that was said."""

    levels: list[str]
    """From the mildest to the gravest."""
    rows: list[list[int]]
    """``rows[right][said]``; the last column of each counts those without an answer."""


class Gravest(Result):
    """How the gravest level fared."""

    level: str
    recall: Rate | None
    """Of the answers that must have it, those that have it; None where there are none."""
    precision: Rate | None
    """Of the answers that have it, those that must; None where there are none."""
    lowered: int
    """Answers that must have it and have a lower one."""


class Cell(Result):
    """One cell of the map of rules and values of the feature `Figures.map_by`."""

    rule: str
    value: str
    exact: Rate


class SplitFigures(Result):
    """What was measured on one split."""

    split: str
    """``test``, ``uniform``, ``hard``, or the name of a file."""
    constrained: bool
    """Whether the answers were decoded under the answer's JSON Schema."""
    exact: Rate
    """Whole answers that are right."""
    wrong_at_most: float
    """The share of wrong answers that is not exceeded with 95% confidence (the rule of three where none is wrong)."""
    fields: dict[str, Rate]
    order_free: dict[str, Rate]
    """For fields that are lists: right when order is disregarded."""
    confusion: Confusion | None
    """None where the domain has no levels."""
    gravest: Gravest | None
    below: int | None
    """Answers whose level is below the right one; None where the domain has no levels."""
    violations: dict[str, int] | None
    """How many answers break each invariant, by its id; None where the domain has none."""
    violating: Rate | None
    """Answers that break any."""
    json_valid: Rate | None
    """Answers that are one JSON value; None where answers are free text."""
    schema_valid: Rate
    """Answers that follow the schema."""
    cut: int
    """Answers cut by the limit of tokens."""
    failed: int
    """Questions without any answer: too long for the model, or the server gave up."""
    by_rule: dict[str, Rate]
    """Exact answers by the id of the rule that is right; empty where the domain has no rules."""
    by_map: dict[str, Rate]
    """Exact answers by value of `Figures.map_by`."""
    by_value: dict[str, dict[str, Rate]]
    """Exact answers by each closed feature of the input, and its values."""
    cells: list[Cell]
    """Rules by values of `Figures.map_by`; empty where there is no map."""


class BehaviourFigures(Result):
    """How one expectation of the domain was met."""

    name: str
    kind: Literal["minimum functionality", "invariance", "direction"]
    held: Rate
    broken_at_most: float
    """The share that breaks it, not exceeded with 95% confidence."""
    broken: list[str]
    """The first few inputs that break it."""


class Speed(Result):
    """What one answer costs, asked alone, on the machine of this evaluation."""

    rows: int
    milliseconds: float
    """Median."""
    prompt_tokens: float
    """Mean."""
    answer_tokens: float
    """Mean."""


class Wrong(Result):
    """One wrong answer: a line of the file of wrong answers."""

    split: str
    constrained: bool
    input: str
    rule: str
    """The rule that is right; empty where the domain has none."""
    map: str
    """The value of `Figures.map_by`; empty where there is no map."""
    wrong: list[str]
    """The parts that are wrong: ``answer`` is all of it."""
    expected: JsonValue
    given: JsonValue
    """The answer as it was read; null where it could not be."""
    said: str
    """The answer as it was said, without its reasoning."""
    reason: str
    """Why it could not be read, or which invariants it breaks."""


class Figures(Result):
    """The file of figures: one model on every split."""

    made: str
    """When, ISO 8601 in UTC."""
    target: Measured
    map_by: str
    """The feature of the input by which the map is cut; empty where the domain names none."""
    splits: list[SplitFigures]
    behaviours: list[BehaviourFigures]
    speed: Speed | None


class Link(Result):
    """One link of the chain, on the same questions as all others."""

    model: Measured
    link: str
    """``adapter``, ``model``, ``merged``, ``f16``, ``q4_K_M``, ``ollama``, …"""
    made_from: str
    """The link that its answers are held against; empty for the first."""
    exact: Rate
    changed: int
    """Answers that are another text than those of ``made_from``."""
    against: Paired | None
    """Right answers of ``made_from`` (first) and of this link (second)."""


class Change(Result):
    """An answer that one link changed."""

    input: str
    link: str
    made_from: str
    before: str
    after: str
    right_before: bool
    right_after: bool


class Chain(Result):
    """The chain table: every link of one run on the same questions."""

    made: str
    rows: int
    links: list[Link]
    changes: list[Change]
    left_out: dict[str, str]
    """Links that are not there, each with the reason."""


class SweepRow(Result):
    """One quantization of the same f16 file."""

    quantization: str
    bytes: int
    sha256: str
    exact: Rate
    below: int | None
    changed: int
    """Answers that are another text than the f16 file's."""
    against: Paired
    """Right answers of the f16 file (first) and of this one (second)."""
    speed: Speed


class Sweep(Result):
    """Size, accuracy and speed by quantization, on the same questions."""

    made: str
    rows: int
    quantizations: list[SweepRow]
    left_out: dict[str, str]
    """Those that could not be made, each with the reason."""


class BaselineRow(Result):
    """One simpler way to answer, on the same questions as the model."""

    name: str
    exact: Rate
    below: int | None
    violating: Rate | None
    milliseconds: float | None
    """Mean time of one answer, all asked together; None for the model, whose `Speed` stands in its figures."""
    against: Paired | None
    """Right answers of the model (first) and of this one (second); None for the model itself."""
    note: str = ""


class BaselineTable(Result):
    """The model beside simpler ways to answer, on one split."""

    split: str
    trained_on: int
    rows: list[BaselineRow]
    """The model is the first."""

    @property
    def as_good(self) -> list[tuple[BaselineRow, Paired]]:
        """The simpler ways that were right as often as the model, or more often, and how they stand beside it."""
        beside = [(row, row.against) for row in self.rows if row.against]
        return [(row, against) for row, against in beside if against.second >= against.first or not against.differ]

    @property
    def best(self) -> BaselineRow:
        """The simpler way that was right most often."""
        return max(self.rows[1:], key=lambda row: row.exact.share)


class Baselines(Result):
    """The file of baselines."""

    made: str
    tables: list[BaselineTable]


def now() -> str:
    """This moment, as the files write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_name(name: str, link: str = "") -> str:
    """``figures.json`` for the model that a run serves, ``figures-f16.json`` for another ``link`` of its chain."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{link}{dot}{ending}" if link else name
