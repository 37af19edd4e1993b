"""Scores of a runtime on pairs whose right answers are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

from drivecoach.chat import Message
from drivecoach.infer import Outcome, ask, ask_many
from drivecoach.registry import Domain
from drivecoach.runtime import Completion, Runtime
from drivecoach.runtime.llamacpp import LlamaCpp


@dataclass(frozen=True)
class Scores:
    """What was measured; shares are from 0 to 1 of ``rows``."""

    rows: int
    schema_valid: float
    """Share of answers that follow the schema."""
    right: dict[str, float]
    """For every part the domain compares (whole instruction, actions, level, …) the share that is right."""
    violations: int
    """Answers that break an invariant."""
    milliseconds: float
    """Median time of one answer with no other in flight (the first answers, asked one by one)."""
    wrong: list[dict[str, Any]]
    """The first few wrong answers, with what was expected."""

    def to_json(self) -> dict[str, Any]:
        """For a manifest or ``--json``."""
        return dict(vars(self))


_ALONE = 20
"""Answers asked one by one, for a time that queueing does not blur."""
_KEPT = 20


def score(
    runtime: Runtime,
    domain: Domain,
    pairs: Sequence[tuple[str, Any]],
    advance: Callable[[], None] = lambda: None,
    histories: Sequence[Sequence[Message]] | None = None,
    think: bool = True,
) -> Scores:
    """Ask for every input of ``pairs`` (canonical input, parsed right answer) and compare.

    ``advance`` is called once per answer, for a progress bar. For the embedded runtime only: ``histories`` are the
    turns before each input, where there are any, and ``think=False`` asks a model that can think to answer at once.
    """
    if histories and any(histories):
        outcomes = []
        for (text, _), history in zip(pairs, histories, strict=True):
            outcomes.append(ask(_opened(runtime, history, think), domain, text))
            advance()
    else:
        outcomes = [
            *_ask(runtime if think else _opened(runtime, (), think), domain, [text for text, _ in pairs], advance)
        ]
    right: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    for outcome, (text, expected) in zip(outcomes, pairs, strict=True):
        parts = domain.compare(expected, outcome.answer)
        right.update(part for part, agrees in parts.items() if agrees)
        right.update(dict.fromkeys(parts, 0))
        if not all(parts.values()) and len(wrong) < _KEPT:
            wrong.append({"input": text, "expected": domain.write_answer(expected), "outcome": outcome.to_json()})
    alone = [outcome.seconds for outcome in outcomes[:_ALONE]]
    return Scores(
        rows=len(pairs),
        schema_valid=sum(outcome.answer is not None for outcome in outcomes) / len(pairs),
        right={part: count / len(pairs) for part, count in right.items()},
        violations=sum(outcome.answer is not None and outcome.status == "invalid" for outcome in outcomes),
        milliseconds=1000 * median(alone),
        wrong=wrong,
    )


@dataclass(frozen=True)
class _Opened:
    """The embedded runtime in the middle of a conversation, or told not to think."""

    runtime: LlamaCpp
    history: Sequence[Message]
    think: bool
    slots: int

    def generate(self, user: str, *, seed: int | None = None) -> Completion:
        return self.runtime.complete(self.runtime.chat.prompt(user, self.history, think=self.think))


def _opened(runtime: Runtime, history: Sequence[Message], think: bool) -> Runtime:
    return cast(Runtime, _Opened(cast(LlamaCpp, runtime), history, think, runtime.slots))


def _ask(runtime: Runtime, domain: Domain, texts: Sequence[str], advance: Callable[[], None]) -> Iterable[Outcome]:
    for text in texts[:_ALONE]:
        yield from ask_many(runtime, domain, [text])
        advance()
    for outcome in ask_many(runtime, domain, texts[_ALONE:]):
        yield outcome
        advance()
