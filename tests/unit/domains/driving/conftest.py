"""One pass over all legal states, shared by the tests of the domain."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from drivecoach.domains.driving import DRIVING, Advice, VehicleState


@dataclass(frozen=True)
class Judged:
    """A legal state with what the teacher says about it."""

    state: VehicleState
    advice: Advice


@pytest.fixture(scope="session")
def judged() -> list[Judged]:
    """Every legal state with its advice, in the order of ``DRIVING.inputs``."""
    return [Judged(state, DRIVING.advise(state)) for state in DRIVING.inputs()]
