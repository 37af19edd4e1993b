"""What a training comes to: the result of the train stage."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from drivecoach.train.forgetting import Forgetting


class Best(BaseModel, frozen=True, extra="forbid"):
    """The checkpoint that was kept, where ``train.best_by`` chooses one."""

    by: Literal["validation_loss", "exact_match"]
    step: int
    value: float


class TrainResult(BaseModel, frozen=True, extra="forbid"):
    """What was trained and how it went."""

    fitted: Literal["model", "adapter"]
    """The folder of the weights, inside the stage's own."""
    parameters: int
    trained_parameters: int
    steps: int
    rows: int
    too_long: int
    """Rows that were left out because they are longer than ``train.max_length``."""
    longest_row: int
    """In tokens."""
    loss: float
    """The last that was logged, in nats per answer token."""
    validation_loss: float | None
    exact_match: float | None
    """The share of the first validation rows whose greedy answer is right to the letter, at the last validation."""
    best: Best | None
    forgetting: Forgetting | None
    """None for a base that knew nothing before."""
