"""The recipe that a run folder keeps, so that later stages and questions need no more than the folder."""

from __future__ import annotations

from pathlib import Path

from drivecoach.config.sections import Recipe
from drivecoach.errors import ModelError
from drivecoach.files import restore_folder

RECIPE = "recipe.json"


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run folder keeps. Raises ModelError when it is no run folder."""
    restore_folder(folder)
    try:
        return Recipe.model_validate_json((folder / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError(
            f"{folder} is no run folder (no readable {RECIPE})",
            hint="train first: drivecoach train RECIPE; runs lie in runs/<recipe name>",
        ) from None
