"""Judging answers against right ones, and the labels by which pairs are counted."""

from __future__ import annotations

from drivecoach.domains.driving.instruction import Instruction
from drivecoach.domains.driving.state import VehicleState

_DANGER = "危险"


def compare(expected: Instruction, given: Instruction | None) -> dict[str, bool]:
    """Which parts of an answer are right; no answer has no right part.

    ``danger kept`` is the one that must never fail: a 危险 state answered with a lower level.
    """
    return {
        "instruction": given == expected,
        "actions": given is not None and given.actions == expected.actions,
        "level": given is not None and given.level == expected.level,
        "danger kept": expected.level != _DANGER or (given is not None and given.level == _DANGER),
    }


def describe(state: VehicleState, instruction: Instruction) -> dict[str, str]:
    """What statistics count: every feature, the level, and how many actions."""
    features: dict[str, str] = state.model_dump(by_alias=True)
    return {**features, "级别": instruction.level, "动作数": str(len(instruction.actions))}
