"""Going on from a finished run: the recipe of a new run, which begins with the weights of its parent and names it."""

from __future__ import annotations

import re
from pathlib import Path

from drivecoach import stage
from drivecoach.config import RECIPE, ParentConfig, Recipe, load_recipe, read_recipe
from drivecoach.domain import JsonObject
from drivecoach.errors import ModelError, RecipeError
from drivecoach.pipeline import Run
from drivecoach.provenance import differences


def resumed(given: Path, overrides: list[str], runs: Path) -> Recipe:
    """The recipe of a run that goes on from a finished one: that of the recipe file ``given``, or a run folder itself.

    Its name is the next free one (``nano-2``), or that of an unfinished run that was begun in this very way, unless an
    override names it. Raises ModelError where there is nothing finished, RecipeError where the two do not fit.
    """
    if (given / RECIPE).is_file():
        folder, source, beside = given, given / RECIPE, Path()
    else:
        folder, source, beside = runs / load_recipe(given).name, given, None
    fingerprint = stage.identity(folder / "train")
    if fingerprint is None:
        raise ModelError(
            f"{folder} holds no finished training to go on from",
            hint=f"train it first: drivecoach tune {given} (an interrupted training goes on without --resume)",
        )
    before = read_recipe(folder)
    parent = ParentConfig(run=str(folder), fingerprint=fingerprint)
    if any(text.partition("=")[0].strip() == "name" for text in overrides):
        recipe = load_recipe(source, overrides, beside).model_copy(update={"parent": parent})
        if runs / recipe.name == folder:
            raise RecipeError(
                f"the run that goes on from {folder} needs a name of its own", hint="leave out --set name, or change it"
            )
        _check(recipe, before, folder)
        return recipe
    stem = re.sub(r"-\d+$", "", before.name) if before.parent else before.name
    number = 1
    while True:
        number += 1
        recipe = load_recipe(source, [*overrides, f"name={stem}-{number}"], beside)
        recipe = recipe.model_copy(update={"parent": parent})
        _check(recipe, before, folder)
        if Run(runs / recipe.name, recipe).is_free():
            return recipe


def _check(recipe: Recipe, before: Recipe, folder: Path) -> None:
    """Raise RecipeError where the parent's weights do not fit the recipe, or its held-out rows would be trained on."""
    if changes := differences(_fixed(before), _fixed(recipe)):
        raise RecipeError(
            "\n  - ".join([f"going on from {folder} keeps its base, its adapter and what it held out; but", *changes]),
            hint="set these back, or train from the base: leave out --resume",
        )


def _fixed(recipe: Recipe) -> JsonObject:
    return recipe.model_dump(mode="json", include={"base": True, "train": {"lora"}, "data": {"validation", "test"}})
