"""What a target answers to given states: judged where that can be, generated where it must be."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import nan
from typing import Any

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.domain import AnyDomain
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import RuntimeFailure
from drivecoach.evaluate.target import Target
from drivecoach.infer import Engine, Outcome, Question
from drivecoach.native.judge import Verdict, judge
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.verify.states import State

_WINDOW = 2048
"""States after which those that were judged wrong are generated."""

Measured = tuple[float, float, int]
"""How likely an answer was, the margin of the right one, and 0: right, 1: wrong, 2: a lowered danger."""
LOWERED = 2


@dataclass(frozen=True)
class Answered:
    """One state and what the target answers to it."""

    domain: AnyDomain
    state: State
    verdict: Verdict | None
    """None where nothing could be judged without generating."""
    outcome: Outcome[Any] | None
    """None where the answer is the right one to the letter."""

    @property
    def given(self) -> Any | None:
        """The answer; None where what came follows no schema."""
        return self.state.right if self.outcome is None else self.outcome.answer

    @cached_property
    def is_right(self) -> bool:
        """Whether the answer is the right one, by its value."""
        if self.outcome is None:
            return True
        return self.given is not None and self.domain.compare(self.state.right, self.given)[WHOLE]

    @cached_property
    def is_lowered(self) -> bool:
        """Whether the right level is the gravest, and the answer's is below it."""
        return self.given is not None and is_lowered(self.domain, self.state.right, self.given)

    @property
    def log_probability(self) -> float | None:
        """How likely the target thought its answer; None where it does not tell."""
        if self.outcome is not None:
            return self.outcome.log_probability
        return self.verdict.log_probability if self.verdict else None

    @property
    def measured(self) -> Measured:
        """What is kept of every state."""
        sure = nan if self.log_probability is None else self.log_probability
        margin = self.verdict.margin if self.verdict else nan
        return sure, margin, 0 if self.is_right else 1 + self.is_lowered


def is_lowered(domain: AnyDomain, right: Any, given: Any) -> bool:
    """Whether the right level is the gravest, and the given one is below it."""
    return domain.is_below(given, right) and domain.level(right) == domain.levels[-1]


def answers(target: Target, walk: Iterable[State]) -> Generator[Answered, None, None]:
    """Every state with what the target answers, in order.

    A greedy GGUF is judged: whether it would write the right answer takes one decode. Only where it would not, and for
    any other target, the answer is generated. Raises RuntimeFailure where a state gets no answer.
    """
    domain, hosts = target.domain, Hosts([lambda: target.runtime])
    answerer = Answerer(hosts, Engine(hosts.generate, domain, asks=1))
    if not can_judge(target):
        waiting: deque[State] = deque()
        questions = (Question(_waits(state, waiting).input) for state in walk)
        for outcome in answerer.answer_all(questions):
            yield Answered(domain, waiting.popleft(), None, _came(outcome))
        return
    judged = _judged(target, walk)
    while window := list(islice(judged, _WINDOW)):
        wrong = [Question(state.input) for state, verdict in window if not verdict.right]
        outcomes = iter(list(answerer.answer_all(wrong)))
        for state, verdict in window:
            yield Answered(domain, state, verdict, None if verdict.right else _came(next(outcomes)))


def can_judge(target: Target) -> bool:
    """Whether the target's answers can be judged without generating them."""
    runtime = target.runtime
    return isinstance(runtime, LlamaCpp) and runtime.settings["temperature"] == 0 and not runtime.thinks


def _judged(target: Target, walk: Iterable[State]) -> Iterator[tuple[State, Verdict]]:
    assert isinstance(target.runtime, LlamaCpp) and target.gguf is not None  # noqa: S101  # see can_judge
    chat, waiting = target.runtime.chat, deque[State]()
    rows = ((chat.prompt(_waits(state, waiting).input), state.text) for state in walk)
    for verdict in judge(target.gguf, rows, length=target.runtime.context, end=chat.end):
        yield waiting.popleft(), verdict


def _waits(state: State, waiting: deque[State]) -> State:
    waiting.append(state)
    return state


def _came(outcome: Outcome[Any]) -> Outcome[Any]:
    if outcome.status == "failed":
        raise RuntimeFailure(
            f"no answer for {outcome.input}: {outcome.reason}",
            hint="run the same command again: it goes on from here",
        )
    return outcome
