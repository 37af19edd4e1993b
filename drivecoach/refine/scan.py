"""A look at the doubtful states alone, between two verifications of all: a fraction of the time, and most mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from drivecoach.evaluate.target import Target
from drivecoach.files import written_aside
from drivecoach.progress import progress
from drivecoach.verify.answers import answers
from drivecoach.verify.run import MEASURED
from drivecoach.verify.states import State, states

DOUBTFUL = 0.15
"""The share of all states that is looked at: those whose right answer won by the least when all were."""


def scan(target: Target, before: Path, folder: Path) -> np.ndarray[Any, Any]:
    """What the target makes of the doubtful states of the verification or scan in the folder ``before``.

    ``folder`` then holds the measures of all states, those of the doubtful ones new. The new ones come back.
    """
    measured = np.load(before / MEASURED)
    limit = np.quantile(measured[:, 1], DOUBTFUL)
    doubtful = measured[:, 1] <= limit

    def walk() -> Iterator[State]:
        return (state for state, looked in zip(states(target.domain), doubtful.tolist(), strict=True) if looked)

    found = []
    with (
        progress("refine: doubtful states", int(doubtful.sum()), unit="state") as task,
        closing(answers(target, walk())) as answered,
    ):
        for one in answered:
            found.append(one.measured)
            task.advance()
    measured[doubtful] = found
    folder.mkdir(parents=True, exist_ok=True)
    with written_aside(folder / MEASURED) as part, part.open("wb") as stream:
        np.save(stream, measured)
    looked: np.ndarray[Any, Any] = measured[doubtful]
    return looked


def can_scan(folder: Path) -> bool:
    """Whether margins were measured there, by which doubtful states are known."""
    return not math.isnan(float(np.load(folder / MEASURED, mmap_mode="r")[:, 1].sum()))
