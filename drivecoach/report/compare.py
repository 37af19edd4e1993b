"""Two runs on the same questions: what got better, what got worse, and whether that may be chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

from drivecoach import stage
from drivecoach.data.prepare import read_pairs
from drivecoach.data.result import DataResult
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import DataError
from drivecoach.evaluate import result
from drivecoach.evaluate.result import Paired, Rate, Wrong, paired
from drivecoach.report.measured import Measured
from drivecoach.text import shown
from drivecoach.verify import certificate as paper

ALL = "all inputs"


class Flip(BaseModel, frozen=True):
    """One input that one of the two answers right and the other does not: a line of the file of flips."""

    split: str
    input: str
    rule: str
    better: bool
    """Whether it is the second run that is right."""
    right: JsonValue
    wrong: JsonValue
    """What the other one said; null where it was no answer."""
    said: str = ""
    """The text of that."""


class RuleChange(BaseModel, frozen=True):
    """How many inputs of one rule flipped."""

    rule: str
    better: int
    worse: int


class SplitComparison(BaseModel, frozen=True):
    """One split that both were asked, the same questions each."""

    split: str
    first: Rate
    second: Rate
    test: Paired
    """McNemar's."""
    rules: list[RuleChange]
    """The rules with flips, most of them first."""

    @property
    def verdict(self) -> str:
        """In words, for a terminal."""
        if not self.test.first and not self.test.second:
            return "the same inputs right"
        if not self.test.differ:
            return "no difference that chance would not make"
        return "the second is better" if self.test.second > self.test.first else "the first is better"


class Comparison(BaseModel, frozen=True):
    """Two runs, split by split."""

    first: str
    second: str
    splits: list[SplitComparison]
    not_compared: dict[str, str]
    """Splits that only one was asked, or not with the same questions, each with the reason."""
    flips: list[Flip]


@dataclass(frozen=True)
class _Asked:
    """What one run was asked in one split, as far as it is known, and what it got wrong."""

    rows: int
    wrong: Mapping[str, Wrong | paper.Counterexample]


def compare(first: Measured, second: Measured) -> Comparison:
    """Hold two runs against each other. Raises DataError where no question was asked of both."""
    if first.run.domain.identity() != second.run.domain.identity():
        raise DataError(
            f"{first.folder} and {second.folder} answer different questions: their domains are "
            f"{first.run.domain.name} and {second.run.domain.name}",
            hint="compare runs of one domain",
        )
    splits: list[SplitComparison] = []
    flips: list[Flip] = []
    left_out: dict[str, str] = {}
    for name, (one, other) in _splits(first, second, left_out).items():
        found = list(_flips(name, one, other))
        flips += found
        splits.append(_compared(name, one, other, found))
    if not splits:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "neither was evaluated"
        raise DataError(
            f"{first.folder} and {second.folder} have no questions in common ({reasons})",
            hint=f"drivecoach evaluate {first.folder} and drivecoach evaluate {second.folder}, or verify both",
        )
    return Comparison(
        first=first.name, second=second.name, splits=splits, not_compared=left_out, flips=flips
    )


def _splits(first: Measured, second: Measured, left_out: dict[str, str]) -> dict[str, tuple[_Asked, _Asked]]:
    """Every split in which both were asked the same."""
    found: dict[str, tuple[_Asked, _Asked]] = {}
    one, other = first.certificate, second.certificate
    if one is not None and other is not None:
        if one.digests.inputs == other.digests.inputs:
            found[ALL] = (_of_certificate(first), _of_certificate(second))
        else:
            left_out[ALL] = "the rules were changed between the two verifications"
    elif one is not None or other is not None:
        left_out[ALL] = f"{(first if one is None else second).folder} is not verified"
    rows = [
        {split.split: split.exact.rows for split in run.figures.splits if not split.constrained} if run.figures else {}
        for run in (first, second)
    ]
    same_data = _same_data(first, second)
    scored = [run for run in (first, second) if run.figures and not (run.evaluated / result.WRONG).is_file()]
    for name in dict.fromkeys([*rows[0], *rows[1]]):
        if name not in rows[0] or name not in rows[1]:
            left_out[name] = f"{(first if name not in rows[0] else second).folder} was not asked it"
        elif scored:  # by `tune`, which keeps no such file
            folder = scored[0].folder
            left_out[name] = f"what {folder} answered wrong is not kept: drivecoach evaluate {folder}"
        elif same_data and rows[0][name] == rows[1][name]:
            found[name] = (_of_split(first, name, rows[0][name]), _of_split(second, name, rows[1][name]))
        elif name == "test" and (common := _common_test(first, second, rows)):
            found[name] = (_of_split(first, name, len(common), common), _of_split(second, name, len(common), common))
        else:
            left_out[name] = "not the same questions: other pairs, or another number of them"
    return found


def _same_data(first: Measured, second: Measured) -> bool:
    """Whether both were made of the same pairs in the same splits, which decide what is asked."""
    made = [stage.read_manifest(run.folder / "data", DataResult) for run in (first, second)]
    return made[0] is not None and made[1] is not None and made[0].results.digests == made[1].results.digests


def _common_test(first: Measured, second: Measured, rows: Sequence[Mapping[str, int]]) -> set[str]:
    """Test rows that both hold out; none where either was asked a part of its own only."""
    held = []
    for run, counts in zip((first, second), rows, strict=True):
        pairs = list(read_pairs(run.folder / "data" / "test.jsonl"))
        if len(pairs) != counts["test"] or any(pair.history for pair in pairs):
            return set()
        held.append({pair.input for pair in pairs})
    return held[0] & held[1]


def _of_certificate(run: Measured) -> _Asked:
    assert run.certificate is not None  # noqa: S101
    wrong = {one.input: one for one in paper.read_counterexamples(run.verified)}
    return _Asked(run.certificate.states, wrong)


def _of_split(run: Measured, name: str, rows: int, among: set[str] | None = None) -> _Asked:
    lines = (run.evaluated / result.WRONG).read_text(encoding="utf-8").splitlines()
    every = (Wrong.model_validate_json(line) for line in lines)
    here = (one for one in every if (one.split, one.constrained) == (name, False) and WHOLE in one.wrong)
    return _Asked(rows, {one.input: one for one in here if among is None or one.input in among})


def _flips(split: str, one: _Asked, other: _Asked) -> Iterator[Flip]:
    for better, wrong, right in ((True, one.wrong, other.wrong), (False, other.wrong, one.wrong)):
        for text, case in wrong.items():
            if text not in right:
                yield Flip(
                    split=split,
                    input=text,
                    rule=case.rule,
                    better=better,
                    right=case.expected,
                    wrong=case.given,
                    said=case.said,
                )


def _compared(name: str, one: _Asked, other: _Asked, flips: Sequence[Flip]) -> SplitComparison:
    inputs = one.wrong.keys() | other.wrong.keys()
    both_right = [True] * (one.rows - len(inputs))
    better, worse = (Counter(flip.rule for flip in flips if flip.better is side) for side in (True, False))
    rules = [RuleChange(rule=rule, better=better[rule], worse=worse[rule]) for rule in better | worse if rule]
    return SplitComparison(
        split=name,
        first=Rate.of(one.rows - len(one.wrong), one.rows),
        second=Rate.of(other.rows - len(other.wrong), other.rows),
        test=paired(
            [*both_right, *(text not in one.wrong for text in inputs)],
            [*both_right, *(text not in other.wrong for text in inputs)],
        ),
        rules=sorted(rules, key=lambda change: (-change.better - change.worse, change.rule)),
    )


def told(flip: Flip) -> str:
    """A flip on one line, for a terminal."""
    return f"{'better' if flip.better else 'worse'} {flip.rule} {shown(flip.input, 300)}".replace("  ", " ")

