"""Memory: an error that says which settings to lower, and the search for the largest batch that fits."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from drivecoach.config import TrainConfig
from drivecoach.errors import TrainError, first_line
from drivecoach.train.rows import TokenRow, padded

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory")


@contextmanager
def explained(settings: TrainConfig) -> Iterator[None]:
    """Turn an out-of-memory error into a TrainError that names the settings to lower, in the order to try them."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainError(
            f"out of memory: {first_line(error)}",
            hint="; ".join(_remedies(settings)) + "; then run the same command again",
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or on the machine."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


def _remedies(settings: TrainConfig) -> Iterator[str]:
    if settings.batch_size > 1:
        yield (
            f"lower train.batch_size (now {settings.batch_size}) and raise train.gradient_accumulation "
            f"(now {settings.gradient_accumulation}) so that their product stays, or let --auto-batch do it"
        )
    if not settings.gradient_checkpointing:
        yield "set train.gradient_checkpointing: true"
    if settings.lora is None:
        yield "train an adapter instead of all weights (train.lora)"
    elif settings.quantize is None:
        yield "set train.quantize: 4bit"
    yield f"lower train.max_length (now {settings.max_length}) if the rows are shorter"
    yield "take a smaller base"


def auto_batch(model: Any, rows: Sequence[TokenRow], settings: TrainConfig) -> TrainConfig:
    """``settings`` with the largest batch that fits; batch times accumulation, and so the training, stays the same.

    Raises TrainError when not even one row fits.
    """
    longest = max(rows, key=lambda row: len(row["input_ids"]))
    together = settings.batch_size * settings.gradient_accumulation
    batch = largest(lambda size: _try(model, longest, size), together)
    if batch == 0:
        with explained(settings):
            raise MemoryError("not even one row fits")
    return settings.model_copy(update={"batch_size": batch, "gradient_accumulation": together // batch})


def largest(fits: Callable[[int], bool], together: int) -> int:
    """The largest divisor of ``together`` that ``fits``; 0 when 1 does not. Tried from small to large."""
    best = 0
    for size in (n for n in range(1, together + 1) if together % n == 0):
        if not fits(size):
            break
        best = size
    return best


def _try(model: Any, row: TokenRow, size: int) -> bool:
    """One step's forward and backward on ``size`` of the longest row, with room for Adam's two moments."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    model.train()
    try:
        room = [torch.empty_like(weight) for weight in trained for _ in range(2)]
        ids, labels = padded([row] * size, model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.dtype is torch.bfloat16):
            model(input_ids=ids, labels=labels).loss.backward()
        del room
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        for weight in trained:
            weight.grad = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
