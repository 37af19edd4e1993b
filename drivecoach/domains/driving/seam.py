"""What the rest of the program sees of this domain, in words that fit any domain: texts and schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drivecoach.domains.driving.instruction import Instruction, parse_instruction
from drivecoach.domains.driving.line import CLOSING, OPENING, parse_line, render_line
from drivecoach.domains.driving.plan import Choice
from drivecoach.domains.driving.rules import RULES
from drivecoach.domains.driving.rules.lights import LIGHT
from drivecoach.domains.driving.rules.start import STAGES
from drivecoach.domains.driving.state import VehicleState
from drivecoach.domains.driving.teacher import teach
from drivecoach.domains.driving.words import ACTIONS, ATTRIBUTES, FEATURES, LEVELS

NAME = "driving"

SYSTEM = (
    "你是驾考教练，根据车辆特征告诉学员现在该做什么。"
    "只回答一个JSON对象，依次含动作、级别（提示、警告或危险）、话术三个键。"
)
"""The coach's brief for the system message."""


def read_input(text: str) -> VehicleState:
    """A feature line as a state; raises ``InputError`` with every fault."""
    return parse_line(text)


def write_input(state: VehicleState) -> str:
    """The canonical feature line of a state."""
    return render_line(state)


def read_answer(text: str) -> Instruction:
    """An answer's JSON as an instruction; raises ``InputError`` with every fault."""
    return parse_instruction(text)


def write_answer(instruction: Instruction) -> str:
    """The canonical JSON of an instruction."""
    return instruction.to_json()


def rule_answer(state: VehicleState) -> Instruction:
    """The teacher's instruction, for where a model's cannot be used."""
    return teach(state).instruction


def write_record(record: Mapping[str, Any]) -> str:
    """The feature line of a record with one key a feature, by Chinese or English name; not checked here."""
    names = {attribute: feature for feature, attribute in ATTRIBUTES.items()}
    return OPENING + "; ".join(f"{names.get(key, key)}:{value}" for key, value in record.items() if key) + CLOSING


def record_keys() -> list[list[str]]:
    """The 13 features, by Chinese and by English names."""
    return [list(ATTRIBUTES), list(ATTRIBUTES.values())]


def answer_schema() -> dict[str, Any]:
    """JSON Schema of an answer, for constrained decoding and for apps."""
    return Instruction.model_json_schema(by_alias=True)


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> JSON Schema, of everything that goes in or out."""
    return {
        "vehicle_state.schema.json": VehicleState.model_json_schema(by_alias=True),
        "instruction.schema.json": answer_schema(),
    }


def vocabulary() -> tuple[str, ...]:
    """The pieces of text that a small tokenizer should hold as one token each, without repeats.

    Cutting at the longest piece from left to right takes every canonical line and every answer of the teacher
    apart into pieces of this list alone.
    """
    return tuple(dict.fromkeys([*_line_pieces(), *_answer_pieces(), *_speech_pieces()]))


def _line_pieces() -> Iterator[str]:
    yield OPENING
    *features, last = FEATURES
    for feature in features:
        for value in FEATURES[feature]:
            yield f"{feature}:{value}; "
    for value in FEATURES[last]:
        yield f"{last}:{value}{CLOSING}"


def _answer_pieces() -> Iterator[str]:
    yield from ('{"动作": ["', '", "', '"], "级别": "', '", "话术": "', '"}')
    yield from ACTIONS
    yield from LEVELS


def _speech_pieces() -> Iterator[str]:
    for rule in RULES:
        ending = "，" if rule.starts else ""  # the prefix of a stage's sentence
        for text in _texts(rule.say):
            yield text + ending
    for stage in STAGES:
        yield from _texts(stage.say)
    yield from (suffix for _, suffix in LIGHT.values())


def _texts(say: str | Choice[str]) -> tuple[str, ...]:
    return say.values() if isinstance(say, Choice) else (say,)
