"""Which invariants an instruction breaks in a state; what it decides alone is judged once for all states."""

from __future__ import annotations

from functools import lru_cache
from typing import Never, cast

from drivecoach.domain import Violation
from drivecoach.domains.driving.case import Case, Flags, flags_of
from drivecoach.domains.driving.instruction import AnyInstruction
from drivecoach.domains.driving.invariants import INVARIANTS, Check
from drivecoach.domains.driving.state import VehicleState
from drivecoach.domains.driving.words import Level


def violations(state: VehicleState, instruction: AnyInstruction) -> list[Violation]:
    """Every invariant that ``instruction`` breaks when given in ``state``; empty when it is sound."""
    flags = flags_of(state)
    checks = _open_checks(type(instruction), instruction.actions, instruction.level, instruction.speech, flags)
    if not checks:
        return []
    case = Case(state, instruction, flags)
    return [violation for violation, broken in checks if broken(case)]


class _Read(Exception):
    """A check has looked at the state."""


class _Unread:
    """A state that nobody may look at."""

    def __getattr__(self, name: str) -> Never:
        raise _Read


@lru_cache(maxsize=8192)
def _open_checks(
    kind: type[AnyInstruction], actions: tuple[str, ...], level: Level, speech: str, flags: Flags
) -> list[tuple[Violation, Check]]:
    """The checks that an instruction can fail under these flags of the state.

    Most are decided by these alone: what a check says without a look at the rest of the state, it says for every one.
    """
    instruction = kind.model_construct(actions=actions, level=level, speech=speech)
    case = Case(cast(VehicleState, _Unread()), instruction, flags)
    found = []
    for violation, broken in INVARIANTS.values():
        try:
            if not broken(case):
                continue
        except _Read:
            pass
        found.append((violation, broken))
    return found
