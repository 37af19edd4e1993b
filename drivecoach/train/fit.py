"""Which backend fits a recipe, and the way to it: Unsloth must be imported before torch and TRL are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data import Pair
from drivecoach.errors import TrainError
from drivecoach.registry import Registry
from drivecoach.train import processes

TRACKERS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "swanlab": "swanlab<0.8",  # transformers 5.17 calls what 0.8 took out
    "mlflow": "mlflow",
}
"""What ``train.report_to`` may name, and what pip installs for it."""


class Backend(Protocol):
    """What differs between backends; everything else is `drivecoach.train.trainer`. A module with these is one."""

    NAME: str
    OWN_LOSS: bool
    """Whether its own loss runs on a CPU too."""

    def load(self, recipe: Recipe, chat: Chat, dtype: Any) -> tuple[Any, Any]:
        """The recipe's base in ``dtype``, its adapter (if any) in place, and its tokenizer; ready to be trained."""


BACKENDS: Registry[Backend] = Registry(
    "backend",
    {"peft": "drivecoach.train.peft_backend", "unsloth": "drivecoach.train.unsloth_backend"},
    lambda found: callable(getattr(found, "load", None)),
)


def fit(
    recipe: Recipe,
    chat: Chat,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    folder: Path,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fit the recipe's base to ``train`` and leave in ``folder``: the model or adapter, tokenizer, metrics, plot.

    Goes on from the last complete checkpoint in ``folder`` when there is one. Returns figures for the manifest.
    Raises TrainError when the backend or a tracker is not installed, the loss is not finite, or memory is too small.
    """
    missing = [TRACKERS[name] for name in recipe.train.report_to if not _is_installed(TRACKERS[name])]
    if missing:
        raise TrainError(
            f"not installed, or too new, but in train.report_to: {', '.join(missing)}",
            hint="pip install " + " ".join(f"'{requirement}'" for requirement in missing),
        )
    backend = None if recipe.base.source == "nano" else choose_backend(recipe.train.backend, say)
    from drivecoach.train import trainer

    return trainer.run(backend, recipe, chat, train, validation, folder, say)


def _is_installed(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        return version(wanted.name) in wanted.specifier
    except PackageNotFoundError:
        return False


def choose_backend(name: str, say: Callable[[str], None] = print) -> Backend:
    """The backend that a recipe asks for; ``auto`` takes Unsloth where it can be imported and one process trains."""
    if name == "auto" and processes.several():
        name = "peft"  # Unsloth uses one GPU
    try:
        backend: Backend = BACKENDS.load("unsloth" if name == "auto" else name)
    except Exception as error:  # unsloth raises many kinds of error where it cannot run
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if name == "auto":
            say(f"train: Unsloth cannot be used here ({reason}), so plain TRL with PEFT it is")
            return choose_backend("peft")
        raise TrainError(
            f"the backend {name} cannot be used here: {reason}",
            hint="install it: pip install 'drivecoach[unsloth]', or set train.backend: auto",
        ) from error
    return backend
