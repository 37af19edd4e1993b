"""One pass over all legal states, shared by the tests of the domain."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from drivecoach.domains.driving import Advice, VehicleState, legal_states, teach


@dataclass(frozen=True)
class Judged:
    """A legal state with what the teacher says about it."""

    state: VehicleState
    advice: Advice


@pytest.fixture(scope="session")
def judged() -> list[Judged]:
    """Every legal state with its advice, in the order of ``legal_states``."""
    return [Judged(state, teach(state)) for state in legal_states()]
