"""Muon for the matrices inside a model and AdamW for all else, as one optimizer that a checkpoint can hold."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import AdamW, Muon, Optimizer

from drivecoach.config import TrainConfig


class MuonAdamW(Optimizer):
    """Orthogonalised steps for the layers' matrices, AdamW without decay for embeddings, head and norms.

    Muon's steps are scaled to the size of AdamW's, so that one learning rate fits both (arXiv 2502.16982, 2.2).
    """

    def __init__(self, model: Any, settings: TrainConfig) -> None:
        ends = {id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        inner = [weight for weight in weights if weight.ndim == 2 and id(weight) not in ends]
        chosen = {id(weight) for weight in inner}
        others = [weight for weight in weights if id(weight) not in chosen]
        rate = settings.learning_rate
        self._parts: list[Optimizer] = [
            Muon(inner, lr=rate, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"),
            AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, settings.adam_beta2)),
        ]
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step of both; ``closure`` is not supported."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state  # both are new objects once a checkpoint is loaded
            part.step()


def own_optimizer(model: Any, settings: TrainConfig) -> MuonAdamW | None:
    """The recipe's optimizer where it is ours; None where TRL makes it."""
    return MuonAdamW(model, settings) if settings.optimizer == "muon" else None
