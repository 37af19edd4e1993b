"""Experiment trackers that a recipe may report to, and whether they are installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from drivecoach.errors import TrainError

TRACKERS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "swanlab": "swanlab<0.8",  # transformers 5.17 calls what 0.8 took out
    "mlflow": "mlflow",
}
"""What ``train.report_to`` may name, and what pip installs for it."""


def check_trackers(names: Sequence[str]) -> None:
    """Raise TrainError that names every tracker of ``names`` that is not installed, or in a version that fails."""
    missing = [TRACKERS[name] for name in names if not _is_installed(TRACKERS[name])]
    if missing:
        raise TrainError(
            f"not installed, or too new, but in train.report_to: {', '.join(missing)}",
            hint="pip install " + " ".join(f"'{requirement}'" for requirement in missing),
        )


def _is_installed(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        return version(wanted.name) in wanted.specifier
    except PackageNotFoundError:
        return False
