"""The one engine for asking: one input to one judged outcome, whoever asks and whatever answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, Protocol, TypeVar, get_args

from pydantic import JsonValue

from drivecoach.chat import Message
from drivecoach.chat.template import split
from drivecoach.domain import AnyDomain, Domain, JsonObject, Violation
from drivecoach.errors import DrivecoachError, InputError, RecipeError, RuntimeFailure
from drivecoach.runtime import Completion
from drivecoach.text import escaped

Input = TypeVar("Input")
Answer = TypeVar("Answer")

Status = Literal["valid", "invalid", "failed"]
Guard = Literal["flag", "replace", "strict", "off"]
"""What happens to an answer that breaks an invariant: ``flag`` marks it invalid, ``replace`` puts the teacher's answer
in its place, ``strict`` does so too where the answer's level is below the teacher's, ``off`` lets it pass."""
GUARDS: tuple[Guard, ...] = get_args(Guard)

ASKS = 3
"""How often an invalid answer is asked for, each time but the first with another seed."""


@dataclass(frozen=True)
class Question:
    """What is asked: an input's text, the turns before it, and whether a model that can think shall."""

    text: str
    history: Sequence[Message] = ()
    think: bool = True

    @property
    def key(self) -> str:
        """Equal for equal questions; the text alone where there is nothing beside it."""
        if not self.history and self.think:
            return self.text
        before = json.dumps([[turn["role"], turn["content"]] for turn in self.history], ensure_ascii=False)
        return f"{before}{'' if self.think else 'no think'}{self.text}"


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """What became of one input.

    ``valid``: the answer follows the schema and breaks no invariant. ``invalid``: it does not (``reason`` says how).
    ``failed``: there is no answer, because the input could not be read or the server did not answer.
    """

    row: int
    input: str
    status: Status
    answer: Answer | None = None
    """The parsed answer, also when it breaks an invariant."""
    violations: tuple[Violation, ...] = ()
    """The invariants that the answer breaks."""
    thinking: str = ""
    reason: str = ""
    source: str = "model"
    """Who answered: ``model``, or ``rules`` where the answer is the teacher's."""
    seconds: float = 0.0
    """From the question to the runtime until its answer, queueing included."""
    log_probability: float | None = None
    """How likely the model thought its answer, natural logarithm; None where the runtime does not tell."""

    def to_json(self, domain: Domain[Input, Answer]) -> JsonObject:
        """The row as it is written to an outcome file."""
        answer: JsonValue = None if self.answer is None else domain.answer.dump(self.answer)
        thinking: JsonObject = {"thinking": self.thinking} if self.thinking else {}
        return {
            "row": self.row,
            "input": escaped(self.input),
            "status": self.status,
            "source": self.source,
            "answer": answer,
            **thinking,
            "reason": self.reason,
            "milliseconds": round(self.seconds * 1000, 1),
        }


class Generate(Protocol):
    """What answers: a runtime's ``generate``, or that of several servers together."""

    def __call__(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion: ...


@dataclass
class Engine(Generic[Input, Answer]):
    """Asks ``generate`` for one input at a time and judges what comes; safe to use from many threads.

    ``asks``: how often an invalid answer is asked for. ``constrain``: answers are decoded under the answer's schema.
    ``min_confidence``: where the model thought its answer less likely (natural logarithm), the domain's teacher
    answers, or nobody does. Raises RecipeError for a guard that does not exist or that the domain cannot have.
    """

    generate: Generate
    domain: Domain[Input, Answer]
    guard: Guard = "flag"
    asks: int = ASKS
    constrain: bool = False
    min_confidence: float | None = None
    asked_again: int = field(default=0, init=False)
    """Answers that were invalid and asked for again."""

    def __post_init__(self) -> None:
        check_guard(self.guard, self.domain)
        if self.min_confidence is not None:
            if self.constrain:
                raise RecipeError(
                    "an answer under a schema tells no confidence",
                    hint="leave out either the least confidence or the constraint",
                )
            self.asks = 1  # another answer would be drawn, and tell nothing about the first

    def ask(self, text: str) -> Outcome[Answer]:
        """The outcome for a text; never raises for bad input or a bad answer."""
        try:
            value = self.domain.read_input(text)
        except InputError as error:
            return Outcome(1, text, "failed", reason=f"input: {flat(error)}")
        try:
            return self.settle(value, Question(self.domain.write_input(value)))
        except RuntimeFailure as error:
            return Outcome(1, text, "failed", reason=flat(error))

    def settle(
        self,
        value: Input,
        question: Question,
        generate: Generate | None = None,
        said: Completion | InputError | None = None,
    ) -> Outcome[Answer]:
        """The outcome for an input that was read; ``question`` holds its canonical text. Raises RuntimeFailure.

        ``generate`` is asked in place of the engine's own, unless its first answer is there already: ``said``.
        """
        generate = generate or self.generate
        best: Outcome[Answer] | None = None
        right = self.domain.teach(value) if self.guard == "strict" else None
        schema = self.domain.answer.schema if self.constrain else None
        for ask in range(self.asks):
            try:
                if isinstance(said, InputError):
                    raise said
                completion = said or generate(
                    question.text, question.history, think=question.think, seed=ask or None, schema=schema
                )
                said = None
            except InputError as error:
                best = best or Outcome(1, question.text, "failed", reason=flat(error))
                break
            except RuntimeFailure:
                if best is None:
                    raise
                break
            outcome = self._judge(value, question.text, completion, right)
            if (unsure := self._unsure(completion)) is not None:
                return self._not_said(value, outcome, unsure)
            if outcome.status == "valid":
                return outcome
            self.asked_again += ask + 1 < self.asks
            if best is None or best.answer is None:
                best = outcome
        assert best is not None  # noqa: S101  # asks is at least one
        if best.status == "invalid" and self.guard == "replace":
            right = self.domain.teach(value)
        if best.status != "invalid" or right is None:
            return best
        return replace(
            best, status="valid", answer=right, violations=(), source="rules", reason=f"replaced: {best.reason}"
        )

    def _unsure(self, completion: Completion) -> str | None:
        """Why an answer is not to be relied on: it is less likely than ``min_confidence``. None where it is."""
        if self.min_confidence is None or completion.source != "model":
            return None
        sure = completion.log_probability
        if sure is None:
            raise RecipeError(
                "this runtime does not tell how sure the model is of an answer",
                hint="leave out the least confidence, or ask a GGUF file of drivecoach with export.temperature: 0",
            )
        return f"confidence {sure:.2f} is below {self.min_confidence:.2f}" if sure < self.min_confidence else None

    def _not_said(self, value: Input, outcome: Outcome[Answer], reason: str) -> Outcome[Answer]:
        """The teacher's answer in place of one that is not sure enough; where there is none, an invalid row."""
        right = self.domain.teach(value)
        if right is None:
            return replace(outcome, status="invalid", reason=reason)
        return replace(
            outcome, status="valid", answer=right, violations=(), source="rules", reason=f"replaced: {reason}"
        )

    def _judge(
        self, value: Input, canonical: str, completion: Completion, right: Answer | None
    ) -> Outcome[Answer]:
        """What became of an answer: taken apart, read by the schema, held against invariants and the right level."""
        parts = split(completion.text)
        outcome: Outcome[Answer] = Outcome(
            1,
            canonical,
            "invalid",
            thinking=parts.thinking,
            source=completion.source,
            seconds=completion.seconds,
            log_probability=completion.log_probability,
        )
        try:
            answer = self.domain.read_answer(parts.text)
        except InputError as error:
            reason = flat(error) if completion.finished else "the answer was cut by the token limit"
            return replace(outcome, reason=f"schema: {reason}")
        broken = () if self.guard == "off" else tuple(self.domain.violations(value, answer))
        reasons = ["invariants: " + "; ".join(map(str, broken))] if broken else []
        if self.guard == "strict" and right is not None and self.domain.is_below(answer, right):
            reasons.append(f"level {self.domain.level(answer)} is below the rules' {self.domain.level(right)}")
        if not reasons:
            return replace(outcome, status="valid", answer=answer)
        return replace(outcome, answer=answer, violations=broken, reason="; ".join(reasons))


def check_guard(guard: object, domain: AnyDomain | None = None) -> None:
    """Raises RecipeError that lists the guards there are, or says what ``domain`` lacks for this one."""
    if guard not in GUARDS:
        raise RecipeError(f"there is no guard {guard!r}", hint=f"choose one of: {', '.join(GUARDS)}")
    if domain is None or guard in ("flag", "off"):
        return
    if not domain.has_teacher:
        raise RecipeError(
            f"the guard {guard} needs a teacher, and the domain {domain.name} has none",
            hint="choose flag, or name a domain that overrides teach: --domain schema.py:domain",
        )
    if guard == "strict" and not domain.levels:
        raise RecipeError(
            f"the guard strict compares levels, and the domain {domain.name} has none",
            hint="choose replace, or name the domain's levels (see docs/own-domain.md)",
        )


def strictest(domain: AnyDomain) -> Guard:
    """The guard that keeps the most from being said wrongly, of those that the domain can have."""
    if not domain.has_teacher:
        return "flag"
    return "strict" if domain.levels else "replace"


def flat(error: DrivecoachError) -> str:
    """An error on one line, every fault named."""
    return "; ".join([error.message, *map(str, error.faults)])
