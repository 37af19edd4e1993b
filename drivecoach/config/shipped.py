"""The recipes that come with drivecoach: copied into the package by a build, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import drivecoach

_PACKAGE = Path(drivecoach.__file__).parent


def shipped_recipes() -> dict[str, Path]:
    """Name to file: ``nano`` and the others that `drivecoach tune NAME` knows without a path."""
    built = _PACKAGE / "shipped/recipes"
    folder = built if built.is_dir() else _PACKAGE.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_data() -> dict[str, Path]:
    """Name to file: ``driving.json``, and whatever other pairs come with drivecoach."""
    built = _PACKAGE / "shipped/datasets"
    folder = built if built.is_dir() else _PACKAGE.parent / "datasets"
    return {path.name: path for path in sorted(folder.glob("*.json*"))}
