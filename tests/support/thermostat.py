"""A small second domain for tests: closed sets, a boolean, numbers, a list, an optional text; invariants, a teacher."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from drivecoach.domain import Domain, Tolerance, Violation

Room = Literal["kitchen", "living room"]


class Action(StrEnum):
    """What the thermostat does."""

    HEAT = "heat"
    OFF = "off"


class Reading(BaseModel):
    """What the sensors say."""

    room: Room
    temperature: Annotated[int, Field(ge=15, le=24)]
    window_open: bool = Field(alias="window open")
    boost: Literal[1, 2] | None = None

    model_config = {"validate_by_name": True, "validate_by_alias": True}


class Command(BaseModel):
    """What is done."""

    action: Action
    level: Annotated[float, Field(ge=0, le=10), Tolerance(0.5)]
    steps: list[Literal["open valve", "close valve"]] = Field(max_length=2)
    note: str | None = None


class Thermostat(Domain[Reading, Command]):
    """Knows that nobody heats with an open window."""

    levels = ("heat", "off")

    def violations(self, value: Reading, answer: Command) -> list[Violation]:
        """T1."""
        broken = value.window_open and answer.action is Action.HEAT
        return [Violation("T1", "no heating with an open window")] if broken else []

    def teach(self, value: Reading) -> Command:
        """Heat below 20 degrees."""
        if value.temperature < 20 and not value.window_open:
            return Command(action=Action.HEAT, level=(20 - value.temperature) * 2, steps=["open valve"])
        return Command(action=Action.OFF, level=0, steps=[])

    def level(self, answer: Command) -> str:
        """Heating where it must be off is the dangerous side."""
        return answer.action


THERMOSTAT = Thermostat("thermostat", Reading, Command, "You control a thermostat.")
