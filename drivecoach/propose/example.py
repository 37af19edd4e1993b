"""The example that a folder starts with where no rows are given: a thermostat, its answers by a rule."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from drivecoach.domain import JsonObject

ROWS = 200
_ROOMS = ("kitchen", "living room", "bedroom", "bath")
_SEED = 3407


def example_rows() -> Iterator[str]:
    """200 different pairs as JSONL lines, the same each time."""
    readings = [
        (room, degrees, wished, window)
        for room in _ROOMS
        for degrees in range(14, 27)
        for wished in range(18, 24)
        for window in (False, True)
    ]
    for room, degrees, wished, window in random.Random(_SEED).sample(readings, ROWS):  # noqa: S311  # reproducible
        line = f"room:{room}; temperature:{degrees}; wished:{wished}; window_open:{json.dumps(window)}"
        answer = json.dumps(_answer(degrees, wished, window))
        yield json.dumps({"input": line, "output": answer}) + "\n"


def _answer(degrees: int, wished: int, window: bool) -> JsonObject:
    if window:
        return {"action": "off", "level": 0, "say": "Close the window first."}
    if degrees < wished:
        return {"action": "heat", "level": min(5, wished - degrees), "say": f"Heating to {wished} degrees."}
    return {"action": "off", "level": 0}
