"""The coach's answer: actions, level and spoken sentence, as a checked model and as JSON text."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from drivecoach.domains.driving.words import ACTIONS, LEVELS, Action, Level
from drivecoach.errors import Fault, InputError
from drivecoach.text import shown

MAX_ACTIONS = 6
MAX_SPEECH = 39
"""Longest spoken sentence in characters (under 40: about eight seconds of speech)."""

_HINT = 'answer with one JSON object {"动作": [...], "级别": "...", "话术": "..."}'


class Instruction(BaseModel):
    """What the coach tells the driver: 1-6 distinct actions in order, one level, one short sentence."""

    model_config = ConfigDict(
        alias_generator={"actions": "动作", "level": "级别", "speech": "话术"}.__getitem__,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        title="Instruction",
    )

    actions: Annotated[tuple[Action, ...], Field(min_length=1, max_length=MAX_ACTIONS)] = Field(
        description="what to do, in order, from the closed set of phrases",
        json_schema_extra={"uniqueItems": True},
    )
    level: Level = Field(description="提示 (next step), 警告 (fault) or 危险 (stop or correct at once)")
    speech: Annotated[str, Field(min_length=1, max_length=MAX_SPEECH)] = Field(
        description="the sentence the coach says"
    )

    @field_validator("actions")
    @classmethod
    def _distinct(cls, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        if len(set(actions)) < len(actions):
            raise ValueError("each action at most once")
        return actions

    @field_validator("speech")
    @classmethod
    def _speakable(cls, speech: str) -> str:
        if not speech.strip() or not speech.isprintable():
            raise ValueError("a sentence without line breaks or control characters")
        return speech

    def to_json(self) -> str:
        """One line of JSON, keys in the order 动作, 级别, 话术, Chinese unescaped."""
        fields = {"动作": list(self.actions), "级别": self.level, "话术": self.speech}
        return json.dumps(fields, ensure_ascii=False)


def parse_instruction(text: str) -> Instruction:
    """Read an answer. Keys may come in any order; nothing else is tolerated.

    Raises ``InputError`` with every fault at once: text that is not one JSON object, missing, repeated or
    unknown keys, wrong types, actions outside the closed set, repeated actions, an unknown level, an empty or
    long 话术.
    """
    faults: list[Fault] = []

    def object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        faults.extend(Fault(shown(key), "given twice", "once") for key in dict(pairs) if keys.count(key) > 1)
        return dict(pairs)

    try:
        # parse_int: a number is wrong everywhere in an answer, and float takes any number of digits
        data = json.loads(text, object_pairs_hook=object_once, parse_int=float)
    except RecursionError:
        raise InputError("answer is not JSON: nested too deep", hint=_HINT) from None
    except ValueError as error:
        raise InputError(f"answer is not JSON: {error}", hint=_HINT, faults=faults) from None
    try:
        instruction = Instruction.model_validate(data, by_name=False, by_alias=True)
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors(include_url=False)]
    if faults:
        raise InputError("answer is not a valid instruction", hint=_HINT, faults=faults)
    return instruction


_ALLOWED = {
    "动作": f"1 to {MAX_ACTIONS} different actions of the closed set",
    "级别": ", ".join(LEVELS),
    "话术": f"a sentence of 1 to {MAX_SPEECH} characters without line breaks",
}


def _fault(detail: Any) -> Fault:
    """One Pydantic error detail as a fault: ``动作[2]: 倒立 (allowed: …)``."""
    key, *rest = detail["loc"] or ("answer",)
    where = str(key) + "".join(f"[{part}]" for part in rest)
    if detail["type"] == "missing":
        return Fault(where, "missing", _ALLOWED[where])
    if detail["type"] == "extra_forbidden":
        return Fault(shown(where), "unknown key", "keys: 动作, 级别, 话术")
    allowed = f"one of {', '.join(ACTIONS)}" if rest else _ALLOWED.get(where, "one JSON object")
    return Fault(where, shown(str(detail["input"])), allowed)
