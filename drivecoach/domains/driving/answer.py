"""What `Coach` returns: an instruction, checked, and where it came from."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, PrivateAttr, create_model

from drivecoach.domain import Violation
from drivecoach.domains.driving.instruction import AnyInstruction, Instruction, InstructionOf


class Reply(BaseModel):
    """What is known about an answered instruction. Compares and serialises as the instruction it is."""

    _violations: tuple[Violation, ...] = PrivateAttr(default=())
    _latency: float = PrivateAttr(default=0.0)
    _source: str = PrivateAttr(default="model")

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
        return isinstance(other, InstructionOf) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))


class Answer(Reply, Instruction):
    """An instruction, checked, and where it came from."""


@cache
def reply_to(model: type[AnyInstruction]) -> type[Reply]:
    """`Answer` for the shipped instructions; the like of it for those with more actions."""
    if model is Instruction:
        return Answer
    bases: tuple[Any, ...] = (Reply, model)
    return create_model("Answer", __base__=bases)
