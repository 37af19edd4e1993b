"""What a backend is, what it is given, and which one fits a recipe; torch is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data.check import Pair
from drivecoach.errors import DrivecoachError, RecipeError, TrainError, first_line
from drivecoach.registry import Registry
from drivecoach.train import processes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Job:
    """Everything that one training is given."""

    recipe: Recipe
    chat: Chat
    vocabulary: Sequence[str]
    """The pieces of text that a tokenizer made for the domain holds as one token each."""
    train: Sequence[Pair]
    validation: Sequence[Pair]
    folder: Path
    """Where the model or adapter, the tokenizer, the metrics and the checkpoints are written."""
    say: Callable[[str], None] = print
    start: Path | None = None
    """The fitted model or adapter of an earlier run, whose weights the training begins with; None: the base's own."""


class Backend(Protocol):
    """What differs between backends; everything else is `drivecoach.train.trainer`. A module with these is one."""

    NAME: str
    OWN_LOSS: bool
    """Whether its own loss runs on a CPU too."""
    PRETRAINED: bool
    """Whether its bases know something already, that tuning could make them forget."""

    def load(self, job: Job, dtype: torch.dtype) -> tuple[Any, PreTrainedTokenizerBase]:
        """The recipe's base in ``dtype``, its adapter (if any) in place, and its tokenizer; ready to be trained.

        With ``job.start``, model or adapter are what lies there.
        """


BACKENDS: Registry[Backend] = Registry(
    "backend",
    {
        "nano": "drivecoach.train.nano_backend",
        "peft": "drivecoach.train.peft_backend",
        "unsloth": "drivecoach.train.unsloth_backend",
    },
    lambda found: all(hasattr(found, name) for name in ("NAME", "OWN_LOSS", "PRETRAINED", "load")),
)


def check_backend(recipe: Recipe) -> None:
    """Raise RecipeError for a backend that nobody has, or that cannot train the recipe's base; imports none."""
    name, known = recipe.train.backend, ["auto", *(name for name in BACKENDS.names() if name != "nano")]
    if name not in known:
        raise RecipeError(
            f"train.backend: there is no {name!r}",
            hint=f"choose one of: {', '.join(known)} (the embedded base is base.source: nano)",
        )


def choose_backend(recipe: Recipe, say: Callable[[str], None] = print) -> Backend:
    """The backend of a recipe: its base's own, the one that it asks for, or with ``auto`` Unsloth where it works.

    To be called before torch or TRL is imported: Unsloth must come first. Raises TrainError where it does not import.
    """
    if recipe.base.source == "nano":
        return _imported("nano")
    if recipe.train.backend != "auto":
        return _imported(recipe.train.backend)
    if processes.several():
        return _imported("peft")  # Unsloth uses one GPU
    try:
        return _imported("unsloth")
    except TrainError as error:
        say(f"train: {error.message}; plain TRL with PEFT takes its place")
        return _imported("peft")


def _imported(name: str) -> Backend:
    try:
        return BACKENDS.load(name)
    except DrivecoachError:
        raise
    except Exception as error:  # unsloth raises many kinds of error where it cannot run
        raise TrainError(
            f"the backend {name} cannot be used here: {first_line(error)}",
            hint=f"install it: pip install 'drivecoach[{'unsloth' if name == 'unsloth' else 'train'}]', "
            "or set train.backend: auto",
        ) from error
