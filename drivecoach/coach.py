"""The Python interface: a coach to ask, on a GGUF file or a model server, for any domain."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Literal, Self, cast, overload

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.run import Settings
from drivecoach.domain import Domain
from drivecoach.domains.stored import find_domain
from drivecoach.errors import AnswerError, ModelError
from drivecoach.infer import Answer, Engine, Guard, Input, Outcome, Question, check_guard
from drivecoach.runtime import RULES, TIMEOUT
from drivecoach.runtime.rules import Rules
from drivecoach.verify.certificate import Certificate, certificate_of
from drivecoach.verify.coverage import least_confidence

if TYPE_CHECKING:
    from drivecoach.domains.driving import Answer as DrivingAnswer
    from drivecoach.domains.driving import VehicleState
    from drivecoach.live import LiveSession

PATIENCE = 10.0
"""Seconds that a server may be away before an answer is given up."""


class Coach(Generic[Input, Answer]):
    """A coach on ``ollama:NAME`` (``hosts``: its addresses), on a GGUF file that drivecoach exported, or on ``rules``.

    The domain is the one that the model names. For type checkers that is driving, unless ``domain`` is given:
    ``Coach("reefer.gguf", domain=reefer).ask(reading)`` takes and returns that domain's models. ``note`` says where
    the model's domain is not installed and invariants are not checked.

    ``guard``: an answer that breaks an invariant is asked for again, then returned as it is (``flag``), replaced by
    the domain's teacher's (``replace``; ``strict``: so is one whose level is below the teacher's), or not checked
    (``off``). ``constrain``: answers are decoded under the answer's JSON Schema. ``min_confidence``: where the model
    thought its answer less likely than this (a natural logarithm), the domain's teacher answers; ``auto`` takes the
    least at which no lowered danger of the run's validation rows passes. ``rules`` ask no model: the teacher answers.

    Close it, or use ``with``. It is safe to use from many threads, not in a forked child. Raises RuntimeFailure when
    no server answers, ModelError for a model that cannot be used, RecipeError for a guard that the domain cannot have.
    """

    @overload
    def __init__(
        self: Coach[VehicleState, DrivingAnswer],
        model: str | Path,
        *hosts: str,
        guard: Guard = ...,
        timeout: float = ...,
        constrain: bool = ...,
        min_confidence: float | Literal["auto"] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        model: str | Path,
        *hosts: str,
        domain: Domain[Input, Answer],
        guard: Guard = ...,
        timeout: float = ...,
        constrain: bool = ...,
        min_confidence: float | Literal["auto"] | None = ...,
    ) -> None: ...

    def __init__(
        self,
        model: str | Path,
        *hosts: str,
        domain: Domain[Input, Answer] | None = None,
        guard: Guard = "flag",
        timeout: float = TIMEOUT,
        constrain: bool = False,
        min_confidence: float | Literal["auto"] | None = None,
    ) -> None:
        if not isinstance(model, str | Path):
            raise ModelError(f"{model!r} names no model", hint="give the path of a GGUF file, ollama:NAME, or rules")
        check_guard(guard)
        patience = min(timeout, PATIENCE)
        if domain is not None and model == RULES:
            self._hosts = Hosts([partial(Rules, domain)], patience=patience)
        else:
            self._hosts = Settings(os.fspath(model), hosts, guard, timeout, patience, constrain).connect()
        self.note = ""
        try:
            if domain is None:
                found = find_domain(self._hosts.metadata, str(model))
                domain, self.note = cast("Domain[Input, Answer]", found.domain), found.note
            least = least_confidence(os.fspath(model)).min_confidence if min_confidence == "auto" else min_confidence
            self._engine = Engine(
                self._hosts.generate, domain, guard, constrain=constrain, min_confidence=least
            )
        except BaseException:
            self._hosts.close()
            raise
        self.domain = domain
        self._model = os.fspath(model)

    @cached_property
    def certificate(self) -> Certificate | None:
        """What came of verifying this very file, where its certificate lies in its run or beside it; else None."""
        return certificate_of(Path(self._model)) if Path(self._model).is_file() else None

    def ask(self, value: Input | str | Mapping[str, object]) -> Answer:
        """The answer for an input: the domain's model, its text, or a mapping of its keys.

        Raises InputError for what is no input of the domain, AnswerError when the model gives no answer,
        RuntimeFailure when no server answers.
        """
        read = self.domain.read_input(self.domain.text_of(value))
        return self._reply(self._engine.settle(read, Question(self.domain.write_input(read))))

    def ask_many(self, values: Iterable[Input | str | Mapping[str, object]]) -> Iterator[Answer | AnswerError]:
        """One answer per input, in order, as they come; an input without one gives its AnswerError, not an end.

        Identical inputs are asked once. Raises RuntimeFailure when no server answers.
        """
        for outcome in self.outcomes(values):
            try:
                yield self._reply(outcome)
            except AnswerError as error:
                yield error

    def outcomes(self, values: Iterable[Input | str | Mapping[str, object]]) -> Iterator[Outcome[Answer]]:
        """All that is known of each answer: status, violations, reason, reasoning, source, seconds; in order."""
        with Journal(None, self.domain, {}) as journal:
            yield from Answerer(self._hosts, self._engine, journal).answer_all(map(self.domain.text_of, values))

    async def aask(self, value: Input | str | Mapping[str, object]) -> Answer:
        """`ask`, without blocking the event loop."""
        return await asyncio.to_thread(self.ask, value)

    async def aask_many(
        self, values: Iterable[Input | str | Mapping[str, object]]
    ) -> AsyncIterator[Answer | AnswerError]:
        """`ask_many`, without blocking the event loop."""
        answers = self.ask_many(values)
        while (found := await asyncio.to_thread(next, answers, None)) is not None:
            yield found

    def live(self, **settings: object) -> LiveSession:
        """A session for the states of one car, inside an event loop; ``settings`` are those of `live.Settings`.

        Raises RecipeError for settings that there are not, and for a domain that does not say what is spoken.
        """
        from drivecoach.live import LiveSession, read_settings

        async def ask(text: str, value: object) -> Outcome[Answer]:
            return await asyncio.to_thread(self._engine.settle, cast(Input, value), Question(text))

        return LiveSession(self.domain, ask, read_settings(settings))

    def close(self) -> None:
        """Free the model or drop the connections."""
        self._hosts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reply(self, outcome: Outcome[Answer]) -> Answer:
        if outcome.answer is None:
            raise AnswerError(
                f"no answer for {outcome.input}: {outcome.reason}",
                hint="correct the input, or let the teacher answer where the domain has one: guard='replace'",
            )
        return self.domain.reply(
            outcome.answer, violations=outcome.violations, latency=outcome.seconds, source=outcome.source
        )
