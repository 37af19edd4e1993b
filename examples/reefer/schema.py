"""The domain `reefer`: what a refrigerated truck reports, what its driver is told, and what must never be said."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field

from drivecoach.domain import Domain, Tolerance, Violation

Cargo = Literal[
    "ice cream",
    "deep-frozen food",
    "frozen butter",
    "minced meat",
    "poultry",
    "red meat",
    "dairy",
    "fish on ice",
    "apples",
    "bananas",
]
Phase = Literal["pre-cooling", "loading", "driving", "waiting", "unloading"]
Action = Literal[
    "hold",
    "cool down",
    "warm up",
    "close the door",
    "switch the unit off",
    "correct the setpoint",
    "call service",
    "report the cargo",
]
Check = Literal[
    "transport document",
    "door seal",
    "strip curtain",
    "evaporator ice",
    "fuel and power",
    "sensor",
    "product temperature",
    "temperature record",
]
HalfDegrees = Annotated[float, Field(multiple_of=0.5)]


class Limits(NamedTuple):
    """What a cargo stands, in °C."""

    low: float
    high: float
    best: float
    """The setpoint where nothing else is ordered."""
    grace: float
    """How far above ``high`` it may be for a short time, such as a defrost."""


LIMITS: dict[Cargo, Limits] = {
    "ice cream": Limits(-28, -20, -24, 3),
    "deep-frozen food": Limits(-28, -18, -22, 3),
    "frozen butter": Limits(-28, -10, -14, 3),
    "minced meat": Limits(-1, 2, 0, 1),
    "poultry": Limits(-1, 4, 1, 1),
    "red meat": Limits(-1, 7, 2, 1),
    "dairy": Limits(1, 6, 4, 1),
    "fish on ice": Limits(0, 2, 1, 1),
    "apples": Limits(-1, 4, 1, 3),
    "bananas": Limits(13, 14.5, 13.5, 2),
}
"""The upper limits are those of the ATP agreement, annexes 2 and 3; for fruit, which it leaves out, see the README."""


class Reading(BaseModel):
    """What the unit's display and the door switch say; temperatures in °C, of the returning air."""

    cargo: Cargo
    phase: Phase
    set: Annotated[HalfDegrees, Field(ge=-30, le=20)]
    measured: Annotated[HalfDegrees, Field(ge=-30, le=30)]
    door_open: bool
    idle: Annotated[int, Field(ge=0, le=90, description="minutes since the compressor last ran")]


class Advice(BaseModel):
    """What the driver does now, and when to look again."""

    action: Action
    setpoint: Annotated[HalfDegrees, Field(ge=-30, le=20), Tolerance(0.5)]
    look_again: Annotated[int, Field(ge=0, le=120, description="minutes"), Tolerance(5)]
    checks: list[Check] = Field(max_length=3)
    say: str


class Reefer(Domain[Reading, Advice]):
    """Knows what must never be said, not what is right: the labelled pairs are all there is to learn from."""

    def violations(self, value: Reading, answer: Advice) -> list[Violation]:
        """F1 to F7."""
        limits = LIMITS[value.cargo]
        loaded = value.phase != "pre-cooling"
        too_warm, too_cold = value.measured > limits.high, value.measured < limits.low
        thawing = value.cargo in ("ice cream", "deep-frozen food") and value.measured > -15
        invariants = {
            "F1: no 'hold' with the door open and deep-frozen cargo above -15 °C": (
                answer.action == "hold" and value.door_open and loaded and thawing
            ),
            "F2: the setpoint lies inside the cargo's limits": not limits.low <= answer.setpoint <= limits.high,
            "F3: an open door is closed before anything else on the road": (
                value.door_open and value.phase == "driving" and answer.action != "close the door"
            ),
            "F4: 'hold' leaves the setpoint as it is": answer.action == "hold" and answer.setpoint != value.set,
            "F5: nothing is cooled that is too cold, or warmed that is too warm": (
                (answer.action == "cool down" and too_cold) or (answer.action == "warm up" and too_warm)
            ),
            "F6: a cargo that is reported has its own temperature taken": (
                answer.action == "report the cargo" and "product temperature" not in answer.checks
            ),
            "F7: a cargo that stays too warm behind a closed door is reported": (
                loaded
                and not value.door_open
                and value.measured > limits.high + limits.grace
                and answer.action != "report the cargo"
            ),
        }
        return [Violation(*text.split(": ", 1)) for text, broken in invariants.items() if broken]


domain = Reefer("reefer", Reading, Advice, "You watch over a refrigerated truck. Answer in JSON.")
