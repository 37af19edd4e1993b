"""The recipes that come with drivecoach: beside the package in a checkout, in ``share/drivecoach`` once installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import drivecoach


def shipped_recipes() -> dict[str, Path]:
    """Name to file: ``nano`` and the others that `drivecoach tune NAME` knows without a path."""
    beside = Path(drivecoach.__file__).parents[1] / "recipes"
    paths = beside.glob("*.yaml") if beside.is_dir() else map(Path, _installed())
    return {path.stem: path for path in sorted(paths)}


def _installed() -> list[str]:
    """What the wheel's own list of files says lies in ``share/drivecoach/recipes``, wherever that is."""
    try:
        listed = files("drivecoach") or []
    except PackageNotFoundError:
        return []
    return [str(file.locate()) for file in listed if file.match("share/drivecoach/recipes/*.yaml")]
