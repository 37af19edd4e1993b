"""How well a drive was coached, held against the domain's teacher: dangers missed, needless words, repeats, delays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from pydantic import BaseModel

from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.infer import Outcome
from drivecoach.live.event import REFUSED, Event
from drivecoach.live.replay import STEP, Record, on_clock, replay
from drivecoach.live.settings import SETTINGS, Settings
from drivecoach.live.source import read_records
from drivecoach.live.stream import Stream

AGAIN = 30.0
"""Seconds within which a sentence that is said once more is a repeat."""


class Score(BaseModel):
    """One drive, or all of them together."""

    drive: str
    minutes: float
    states: int
    said: int
    dangers: int
    """Times of danger: from the first state whose right answer has the gravest level to the last."""
    missed: int
    """Those in which no danger was said, and none had just been said when they began."""
    over: int
    """Sentences of a higher level than the right answer's, or that were not right, or no longer so a moment later."""
    repeats: int
    """Sentences below danger that were said within half a minute before."""
    danger_delay: float | None
    """The longest that a danger lasted before it was said, in seconds."""
    delay: float | None
    """The median of how long another sentence was right before it was said, in seconds."""
    milliseconds: float
    """The 95th percentile of the answers' times."""


@dataclass(frozen=True)
class _Truth:
    """What was right to say, from one time to another."""

    began: float
    ended: float
    rank: int
    speech: str


@dataclass(frozen=True)
class _Said:
    began: float
    ended: float
    rank: int
    speech: str


def score_files(
    files: Sequence[Path],
    domain: AnyDomain,
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings = SETTINGS,
) -> list[Score]:
    """The score of each file's drive, and of all together where there are several. Raises DataError."""
    stems = [path.stem for path in files]
    drives = {
        path.stem if stems.count(path.stem) == 1 else str(path): list(read_records(path, domain)) for path in files
    }
    return score_drives(drives, domain, ask, settings)


def score_drives(
    drives: dict[str, list[Record]],
    domain: AnyDomain,
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings = SETTINGS,
) -> list[Score]:
    """The score of each drive, and of all together where there are several.

    Raises DataError for a domain that has no teacher or no levels, and for a drive without a state.
    """
    if not domain.has_teacher or len(domain.levels) < 2:
        raise DataError(
            f"drives are scored against a teacher and its levels; the domain {domain.name} lacks one of them",
            hint="override teach, levels and level (see docs/own-domain.md), or run without --score",
        )
    found = [_score(name, records, domain, ask, settings) for name, records in drives.items()]
    scores = [score for score, _, _ in found]
    if len(found) > 1:
        delays = [one for _, more, _ in found for one in more]
        times = [one for _, _, more in found for one in more]
        longest = [one.danger_delay for one in scores if one.danger_delay is not None]
        sums = {name: sum(getattr(one, name) for one in scores) for name in _SUMS}
        scores.append(
            Score(
                drive="all",
                **sums,
                danger_delay=max(longest, default=None),
                delay=_median(delays),
                milliseconds=_high(times),
            )
        )
    return scores


_SUMS = ("minutes", "states", "said", "dangers", "missed", "over", "repeats")


def _score(
    name: str,
    records: Sequence[Record],
    domain: AnyDomain,
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings,
) -> tuple[Score, list[float], list[float]]:
    """The score, the delays below danger, and the milliseconds of the answers."""
    times: list[float] = []

    def timed(text: str, value: Any) -> Outcome[Any]:
        outcome = ask(text, value)
        times.append(outcome.seconds * 1000)
        return outcome

    truths = list(_truths(records, domain, settings))
    if not truths:
        raise DataError(f"the drive {name} holds no state", hint="its lines are states; see docs/live.md")
    said = list(_said(replay(domain, records, timed, settings), domain))
    gravest = len(domain.levels) - 1
    dangers = list(_episodes(truths, gravest))
    delays = [_delay(began, ended, said, gravest, settings) for began, ended in dangers]
    others = [one for one in said if one.rank < gravest]
    waited = [one.began - began for one in others if (began := _right_since(one, truths)) is not None]
    again = sum(
        any(before.speech == one.speech and 0 < one.began - before.began <= AGAIN for before in said) for one in others
    )
    score = Score(
        drive=name,
        minutes=(truths[-1].ended - truths[0].began) / 60,
        states=len(records),
        said=len(said),
        dangers=len(dangers),
        missed=sum(delay is None for delay in delays),
        over=sum(_is_needless(one, truths, settings) for one in said),
        repeats=again,
        danger_delay=max((one for one in delays if one is not None), default=None),
        delay=_median(waited),
        milliseconds=_high(times),
    )
    return score, waited, times


def _truths(records: Iterable[Record], domain: AnyDomain, settings: Settings) -> Iterable[_Truth]:
    """What is right, state by state; what a session leaves out is left out here."""
    stream = Stream(domain, settings)
    before: tuple[float, int, str] | None = None
    for record, now in on_clock(records, settings):
        events = stream.receive(record.state, now, record.time)
        if stream.question is None or any(event.reason in REFUSED for event in events):
            continue
        answer = domain.teach(stream.question[1])
        if before is not None:
            yield _Truth(before[0], min(now, before[0] + settings.expires), *before[1:])
        before = (now, list(domain.levels).index(domain.level(answer)), domain.spoken(answer))
    if before is not None:
        yield _Truth(before[0], before[0] + STEP, *before[1:])


def _said(events: Iterable[Event], domain: AnyDomain) -> Iterable[_Said]:
    """What was said, each until it was over or cut off."""
    says = [event for event in events if event.kind == "say"]
    begins = [event.time for event in says[1:]]
    for event, following in zip(says, [*begins, math.inf], strict=False):
        ended = min(event.time + event.seconds, following)
        yield _Said(event.time, ended, list(domain.levels).index(event.level), event.speech)


def _episodes(truths: Sequence[_Truth], gravest: int) -> Iterable[tuple[float, float]]:
    """The times of danger, each from its beginning to its end."""
    began: float | None = None
    for truth in truths:
        if truth.rank == gravest and began is None:
            began = truth.began
        elif truth.rank < gravest and began is not None:
            yield began, truth.began
            began = None
    if began is not None:
        yield began, truths[-1].ended


def _delay(began: float, ended: float, said: Sequence[_Said], gravest: int, settings: Settings) -> float | None:
    """How long a danger lasted before it was said; None where it never was."""
    grave = [one for one in said if one.rank == gravest]
    if any(one.began <= began < one.ended + settings.danger_rest for one in grave):
        return 0.0
    return next((one.began - began for one in grave if began < one.began < ended), None)


def _right_since(one: _Said, truths: Sequence[_Truth]) -> float | None:
    """Since when what is said has been right; None where it is not."""
    since: float | None = None
    for truth in truths:
        if truth.began > one.began + 0.001:
            break
        if truth.speech != one.speech:
            since = None
        elif since is None:
            since = truth.began
    return since


def _is_needless(one: _Said, truths: Sequence[_Truth], settings: Settings) -> bool:
    now = next((truth for truth in reversed(truths) if truth.began <= one.began + 0.001), None)
    later = next((truth for truth in reversed(truths) if truth.began <= one.began + settings.stable), None)
    return any(truth is None or truth.rank < one.rank or truth.speech != one.speech for truth in (now, later))


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _high(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else max(values, default=0.0)


def table(scores: Sequence[Score]) -> list[str]:
    """The scores as a Markdown table."""
    names = (
        "drive", "minutes", "states", "said", "dangers", "missed",
        "over-triggers a minute", "repeats a minute", "longest delay of a danger, s", "median delay of the rest, s",
    )  # fmt: skip
    lines = [f"| {' | '.join(names)} |", "|---|" + "---:|" * (len(names) - 1)]
    for one in scores:
        cells = [
            one.drive,
            f"{one.minutes:.1f}",
            f"{one.states:,}",
            str(one.said),
            str(one.dangers),
            str(one.missed),
            f"{one.over / one.minutes:.1f}",
            f"{one.repeats / one.minutes:.1f}",
            "" if one.danger_delay is None else f"{one.danger_delay:.1f}",
            "" if one.delay is None else f"{one.delay:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
