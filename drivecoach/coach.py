"""The one Python door: a driving coach to ask, on a GGUF file or an Ollama server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self

from pydantic import PrivateAttr

from drivecoach.batch.answerer import Answerer, Guard
from drivecoach.batch.hosts import Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.run import Settings, opens
from drivecoach.domains import driving
from drivecoach.domains.driving import Instruction, VehicleState, Violation
from drivecoach.errors import AnswerError
from drivecoach.infer import Outcome
from drivecoach.registry import Domain
from drivecoach.runtime.ollama import TIMEOUT

PATIENCE = 10.0
"""Seconds that a server may be away before an answer is given up."""


class Answer(Instruction):
    """An instruction, checked, and where it came from. Compares and serialises as the instruction it is."""

    _violations: tuple[Violation, ...] = PrivateAttr(default=())
    _latency: float = PrivateAttr(default=0.0)
    _source: str = PrivateAttr(default="model")

    @classmethod
    def of(cls, outcome: Outcome) -> Answer:
        """The answer of an outcome; raises AnswerError when there is none."""
        if outcome.answer is None:
            raise AnswerError(
                f"no instruction for {outcome.input}: {outcome.reason}",
                hint="correct the state, or let the rules answer: Coach(…, guard='replace')",
            )
        answer = cls.model_validate(outcome.answer.model_dump(by_alias=True))
        state = driving.parse_line(outcome.input)
        answer._violations = tuple(driving.violations(state, answer))
        answer._latency = outcome.seconds
        answer._source = outcome.source
        return answer

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The invariants that the instruction breaks; empty when it is safe to say."""
        return self._violations

    @property
    def latency(self) -> float:
        """Seconds from the question to the answer, queueing included."""
        return self._latency

    @property
    def source(self) -> str:
        """``model``, or ``rules`` where the rule teacher's instruction replaced a broken one."""
        return self._source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instruction) and self.model_dump() == other.model_dump()

    __hash__ = Instruction.__hash__


class Coach:
    """A coach on ``ollama:NAME`` (``hosts``: its addresses) or on a GGUF file that drivecoach exported.

    ``guard``: an instruction that breaks an invariant is asked for again, then returned with its ``violations``
    (``flag``), replaced by the rule teacher's (``replace``), or not checked (``off``). Close it, or use ``with``.
    """

    def __init__(self, model: str, *hosts: str, guard: Guard = "flag", timeout: float = TIMEOUT) -> None:
        self._domain: Domain = driving
        self._hosts = Hosts(opens(Settings(model, hosts, guard, timeout)), patience=min(timeout, PATIENCE))
        self._guard: Guard = guard

    def ask(self, state: VehicleState | str) -> Answer:
        """The instruction for a state or a feature line.

        Raises InputError for a line that is no legal state, AnswerError when the model gives no instruction,
        RuntimeFailure when no server answers.
        """
        if isinstance(state, str):
            driving.parse_line(state)
        (found,) = self.ask_many([state])
        if isinstance(found, AnswerError):
            raise found
        return found

    def ask_many(self, states: Iterable[VehicleState | str]) -> Iterator[Answer | AnswerError]:
        """One answer per state, in order, as they come; a state without one gives its AnswerError, not an end.

        Identical states are asked once. Raises RuntimeFailure when no server answers.
        """
        lines = (state if isinstance(state, str) else driving.render_line(state) for state in states)
        with Journal(None, {}) as journal:
            for outcome in Answerer(self._hosts, self._domain, journal, guard=self._guard).answer_all(lines):
                try:
                    yield Answer.of(outcome)
                except AnswerError as error:
                    yield error

    async def aask(self, state: VehicleState | str) -> Answer:
        """`ask`, without blocking the event loop."""
        return await asyncio.to_thread(self.ask, state)

    async def aask_many(self, states: Iterable[VehicleState | str]) -> AsyncIterator[Answer | AnswerError]:
        """`ask_many`, without blocking the event loop."""
        answers = self.ask_many(states)
        while (found := await asyncio.to_thread(next, answers, None)) is not None:
            yield found

    def close(self) -> None:
        """Free the model or drop the connections."""
        self._hosts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
