"""The coach's answer: actions, level and spoken sentence, as a checked model."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from drivecoach.domains.driving.words import Action, Level

MAX_ACTIONS = 6
MAX_SPEECH = 39
"""Longest spoken sentence in characters (under 40: about eight seconds of speech)."""

Phrase = TypeVar("Phrase", bound=str)


class InstructionOf(BaseModel, Generic[Phrase]):
    """What the coach tells the driver, with actions from a closed set of one's own (a ``Literal``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    actions: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=MAX_ACTIONS)] = Field(
        alias="动作",
        description="what to do, in order, from the closed set of phrases",
        json_schema_extra={"uniqueItems": True},
    )
    level: Level = Field(alias="级别", description="提示 (next step), 警告 (fault) or 危险 (stop or correct at once)")
    speech: Annotated[str, Field(min_length=1, max_length=MAX_SPEECH)] = Field(
        alias="话术", description="the sentence the coach says"
    )

    @field_validator("actions")
    @classmethod
    def _distinct(cls, actions: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
        if len(set(actions)) < len(actions):
            raise ValueError("each action at most once")
        return actions

    @field_validator("speech")
    @classmethod
    def _speakable(cls, speech: str) -> str:
        if not speech.strip() or not speech.isprintable():
            raise ValueError("a sentence without line breaks or control characters")
        return speech


class Instruction(InstructionOf[Action]):
    """What the coach tells the driver: 1-6 distinct actions in order, one level, one short sentence."""


AnyInstruction = InstructionOf[Any]
Given = TypeVar("Given", bound=AnyInstruction)


@cache
def actions_of(model: type[AnyInstruction]) -> frozenset[str]:
    """The closed set of actions of an instruction model."""
    (phrases, *_) = get_args(model.model_fields["actions"].annotation)
    return frozenset(get_args(phrases))
