"""What a training has logged so far: readable without the libraries that train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

METRICS = "metrics.jsonl"
PROGRESS = "progress.json"


class TrainingProgress(BaseModel):
    """How far a training is, for those who watch its folder."""

    step: int
    steps: int
    """In all."""
    first: int
    """Where this process began: at 0, or at a checkpoint's step."""
    seconds: float
    """Since then."""

    @property
    def rate(self) -> float | None:
        """Steps a second."""
        done = self.step - self.first
        return done / self.seconds if done > 0 and self.seconds > 0 else None


def read_progress(folder: Path) -> TrainingProgress | None:
    """How far the training in ``folder`` is; None where it has not begun."""
    try:
        return TrainingProgress.model_validate_json((folder / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics written so far; a last line cut short by an interrupted run is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
