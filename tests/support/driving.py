"""Driving states for tests: real lines from the shipped pairs, and a small world to draw from."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from drivecoach.domains.driving import DRIVING, VehicleState
from drivecoach.domains.driving.draw import Space

_PAIRS = Path(__file__).parents[2] / "datasets" / "driving.json"

FEATURES = {name: feature.values for name, feature in DRIVING.features.items()}
ATTRIBUTES = {name: feature.attribute for name, feature in DRIVING.features.items()}


def lines(count: int) -> list[str]:
    """``count`` different canonical lines, spread over the shipped pairs."""
    rows = json.loads(_PAIRS.read_text(encoding="utf-8"))
    return [row["input"] for row in rows[:: len(rows) // count]][:count]


def states(count: int) -> list[VehicleState]:
    """The states of those lines; a walk over all legal states would take seconds to get as far apart."""
    return [DRIVING.read_input(line) for line in lines(count)]


def draw_from_few_states(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let pairs be drawn from the first 3,000 legal states, which takes no time; returns how many."""
    states = list(islice(DRIVING.inputs(), 3000))
    monkeypatch.setitem(vars(DRIVING), "space", Space(states, DRIVING.advise, DRIVING.write_input))
    return len(states)
