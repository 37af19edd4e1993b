"""A recipe as the studio takes it: the files that it names lie in the folder."""

from __future__ import annotations

from collections.abc import Iterator

from drivecoach.config import Recipe, load_recipe
from drivecoach.domains.load import files_of
from drivecoach.errors import Fault, RecipeError
from drivecoach.studio.workspace import Workspace


def read_inside(workspace: Workspace, name: str) -> Recipe:
    """The recipe of that name. Raises RecipeError for one that names a file outside of the folder."""
    recipe = load_recipe(workspace.existing(name))
    if faults := outside(workspace, recipe):
        raise RecipeError(
            f"{name} names files outside of the studio's folder",
            faults=faults,
            hint=f"copy them into {workspace.folder}, or run it in a terminal: drivecoach tune {name}",
        )
    return recipe


def outside(workspace: Workspace, recipe: Recipe) -> list[Fault]:
    """The settings that name a file outside of the folder; names in it are relative to it, or absolute."""
    return [
        Fault(setting, path, "a file of the folder") for setting, path in _files(recipe) if not workspace.holds(path)
    ]


def _files(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Every file or folder that a recipe names, by its setting."""
    data, base = recipe.data, recipe.base
    for number, source in enumerate(data.mix or ()):
        if source.source == "local":
            yield f"data.mix.{number}.path", source.path
    if data.path and data.source == "local":
        yield "data.path", data.path
    for path in files_of(recipe.domain):
        yield "domain", str(path)
    if isinstance(recipe.domain, str) and "," in recipe.domain:  # two JSON Schemas
        yield from (("domain", path) for path in recipe.domain.split(","))
    if base.source == "local" and base.name:
        yield "base.name", base.name
    if recipe.chat.template.endswith(".jinja"):
        yield "chat.template", recipe.chat.template
    if recipe.parent is not None:
        yield "parent.run", recipe.parent.run
