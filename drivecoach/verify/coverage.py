"""Abstention: how many answers are kept above a confidence, and how many of these are wrong.

The confidence of an answer is its log-probability as a whole: the natural logarithm of how likely greedy decoding
thought just these tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.chat.template import split
from drivecoach.data.prepare import read_pairs
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import ModelError
from drivecoach.evaluate.target import Target, open_target
from drivecoach.files import write_json
from drivecoach.infer import Engine, Question
from drivecoach.verify.answers import is_lowered
from drivecoach.verify.certificate import FOLDER

COVERAGE = "coverage.json"
_POINTS = 60
"""Points of a curve at most."""
SURE = 0.95
"""How sure a bound is."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(_Part):
    """What is left where answers below a confidence are not given."""

    min_confidence: float
    answered: int
    wrong: int
    lowered: int


class Curve(_Part):
    """Coverage against risk, from all answers to the most certain ones alone."""

    states: int
    points: list[Point]
    """The first answers all."""


class Threshold(_Part):
    """A confidence below which the model had better not answer."""

    min_confidence: float
    states: int
    """Validation rows that it was chosen on."""
    answered: int
    lowered_at_most: float
    """With 95% confidence at most this share of what is answered is a lowered danger: about 3 / answered."""

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.min_confidence:.3f}: {self.answered:,} of {self.states:,} validation rows pass, no lowered danger "
            f"among them (95% sure: at most {self.lowered_at_most:.2%})"
        )


class Coverage(_Part):
    """``coverage.json``."""

    model: str
    """SHA-256 of the file."""
    validation: Curve | None
    """None where the run held out no validation rows."""
    threshold: Threshold | None
    all: Curve | None
    """Over every input; None where they cannot be counted."""
    at_threshold: Point | None
    """What the threshold comes to over every input."""


Answered = tuple[float, bool, bool]
"""(confidence, wrong, lowered) of one answer."""


def curve(answers: Sequence[Answered]) -> Curve:
    """Coverage against risk of answers whose right ones are known."""
    table = np.asarray(sorted(answers, reverse=True), dtype=float).reshape(-1, 3)
    confidence, wrong, lowered = table[:, 0], table[:, 1].cumsum(), table[:, 2].cumsum()
    count = len(table)
    # Most of what is wrong lies among the least certain: points get closer towards all answers.
    places = {count - 1 - round((count - 1) * (step / _POINTS) ** 3) for step in range(_POINTS + 1)} if count else set()
    points = [
        Point(
            min_confidence=float(confidence[at]), answered=at + 1, wrong=int(wrong[at]), lowered=int(lowered[at])
        )
        for at in sorted(places, reverse=True)
    ]
    return Curve(states=count, points=points)


def choose(answers: Sequence[Answered]) -> Threshold:
    """The lowest confidence at which no lowered danger of these answers passes; all pass where none was lowered."""
    worst = max((confidence for confidence, _, lowered in answers if lowered), default=-math.inf)
    kept = sorted(confidence for confidence, _, _ in answers if confidence > worst)
    return Threshold(
        min_confidence=kept[0] if kept else 0.0,
        states=len(answers),
        answered=len(kept),
        lowered_at_most=1 - (1 - SURE) ** (1 / len(kept)) if kept else 1.0,
    )


def at(answers: Sequence[Answered], min_confidence: float) -> Point:
    """What is left of answers at one confidence."""
    kept = [one for one in answers if one[0] >= min_confidence]
    return Point(
        min_confidence=min_confidence,
        answered=len(kept),
        wrong=sum(wrong for _, wrong, _ in kept),
        lowered=sum(lowered for _, _, lowered in kept),
    )


def validated(target: Target) -> list[Answered]:
    """What the target makes of its run's validation rows; nothing where there are none, or it tells no confidence."""
    path = None if target.run is None else target.run / "data" / "validation.jsonl"
    if path is None or not path.is_file():
        return []
    domain, hosts, pairs = target.domain, Hosts([lambda: target.runtime]), list(read_pairs(path))
    answerer = Answerer(hosts, Engine(hosts.generate, domain, asks=1))
    found: list[Answered] = []
    outcomes = answerer.answer_all(Question(pair.input, pair.history) for pair in pairs)
    for pair, outcome in zip(pairs, outcomes, strict=True):
        if outcome.log_probability is None:
            return []
        right, given = domain.read_answer(split(pair.output).text), outcome.answer
        wrong = given is None or not domain.compare(right, given)[WHOLE]
        lowered = given is not None and is_lowered(domain, right, given)
        found.append((outcome.log_probability, wrong, lowered))
    return found


def measure(target: Target, every: Sequence[Answered] = ()) -> Coverage:
    """Coverage of a target's validation rows and, where they are known, of every input's answer."""
    answers = validated(target)
    threshold = choose(answers) if answers else None
    return Coverage(
        model=target.digest(),
        validation=curve(answers) if answers else None,
        threshold=threshold,
        all=curve(every) if every else None,
        at_threshold=at(every, threshold.min_confidence) if every and threshold else None,
    )


def least_confidence(model: str, domain: str | None = None) -> Threshold:
    """The threshold of a run's model: that of its last verification, else chosen on its validation rows now.

    Raises ModelError where the model lies in no run with validation rows, or tells no confidence.
    """
    with open_target(model, domain) as target:
        known = None if target.run is None else _read(target.run / FOLDER, target.digest())
        threshold = known or measure(target).threshold
    if threshold is None:
        raise ModelError(
            f"no confidence can be chosen for {model}: it has no validation rows of its own, or tells no confidence",
            hint="name a run folder or a GGUF file in one, with data.validation above 0; or give a number",
        )
    return threshold


def _read(folder: Path, model: str) -> Threshold | None:
    try:
        found = Coverage.model_validate_json((folder / COVERAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.threshold if found.model == model else None


def write(coverage: Coverage, folder: Path) -> None:
    """Write it beside the certificate."""
    write_json(folder / COVERAGE, coverage.model_dump(mode="json"))
