"""The one Python door: a driving coach to ask, on a GGUF file or an Ollama server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self, cast

from drivecoach.batch.answerer import Answerer, Guard
from drivecoach.batch.hosts import Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.run import Settings, opens
from drivecoach.domains.driving import DRIVING, Answer, VehicleState
from drivecoach.errors import AnswerError
from drivecoach.infer import Outcome
from drivecoach.registry import Domain
from drivecoach.runtime.ollama import TIMEOUT

PATIENCE = 10.0
"""Seconds that a server may be away before an answer is given up."""


def answer_of(outcome: Outcome) -> Answer:
    """The answer of an outcome; raises AnswerError when there is none."""
    if outcome.answer is None:
        raise AnswerError(
            f"no instruction for {outcome.input}: {outcome.reason}",
            hint="correct the state, or let the rules answer: Coach(…, guard='replace')",
        )
    broken = DRIVING.violations(DRIVING.read_input(outcome.input), outcome.answer)
    made = DRIVING.reply(outcome.answer, violations=broken, latency=outcome.seconds, source=outcome.source)
    return cast(Answer, made)


class Coach:
    """A coach on ``ollama:NAME`` (``hosts``: its addresses) or on a GGUF file that drivecoach exported.

    ``guard``: an instruction that breaks an invariant is asked for again, then returned with its ``violations``
    (``flag``), replaced by the rule teacher's (``replace``), or not checked (``off``). Close it, or use ``with``.
    """

    def __init__(self, model: str, *hosts: str, guard: Guard = "flag", timeout: float = TIMEOUT) -> None:
        self._domain: Domain = DRIVING
        self._hosts = Hosts(opens(Settings(model, hosts, guard, timeout)), patience=min(timeout, PATIENCE))
        self._guard: Guard = guard

    def ask(self, state: VehicleState | str) -> Answer:
        """The instruction for a state or a feature line.

        Raises InputError for a line that is no legal state, AnswerError when the model gives no instruction,
        RuntimeFailure when no server answers.
        """
        if isinstance(state, str):
            DRIVING.read_input(state)
        (found,) = self.ask_many([state])
        if isinstance(found, AnswerError):
            raise found
        return found

    def ask_many(self, states: Iterable[VehicleState | str]) -> Iterator[Answer | AnswerError]:
        """One answer per state, in order, as they come; a state without one gives its AnswerError, not an end.

        Identical states are asked once. Raises RuntimeFailure when no server answers.
        """
        lines = (state if isinstance(state, str) else DRIVING.write_input(state) for state in states)
        with Journal(None, {}) as journal:
            for outcome in Answerer(self._hosts, self._domain, journal, guard=self._guard).answer_all(lines):
                try:
                    yield answer_of(outcome)
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
