"""Which stages of a run are stale, and of the run behind a model: little is imported to find out before an answer."""

from __future__ import annotations

from pathlib import Path

from drivecoach import stage
from drivecoach.config import Recipe, read_recipe
from drivecoach.domains.load import files_of, load_domain
from drivecoach.errors import DrivecoachError
from drivecoach.export.modelfile import make_chat
from drivecoach.provenance import Inputs


def stale_stages(model: Path) -> tuple[Path, dict[str, str]] | None:
    """The run that a run folder or a GGUF file in a run's ``export/`` belongs to, and its stages that are stale.

    None for a model of no run, or one that cannot be read. No domain's Python file is loaded to find out.
    """
    try:
        file = None if model.is_dir() else model.resolve()
        folder = file.parent.parent if file else model
        if file and file.parent.name != "export":
            return None
        found = inputs_of(folder, read_recipe(folder)).stale()
    except (DrivecoachError, OSError):
        return None
    exported = stage.read_manifest(folder / "export", stage.AnyResult)
    if file and exported is None:
        found["export"] = "it was not finished"
    elif file and exported and file.name not in exported.files:
        found["export"] = f"{file.name} is not of the last export"
    return folder, found


def inputs_of(folder: Path, recipe: Recipe) -> Inputs:
    """What the stages stand on; a domain is looked up by its name only."""
    if files_of(recipe.domain):
        return Inputs(folder, recipe)
    try:
        domain = load_domain(recipe.domain)
        return Inputs(folder, recipe, domain, make_chat(recipe, domain))
    except DrivecoachError:  # its package, or the file of its chat template, is gone
        return Inputs(folder, recipe)
