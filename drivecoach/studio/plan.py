"""The tab Plan: a recipe chosen and changed, checked setting by setting, saved as YAML; what it will take."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue, ValidationError
from starlette.routing import Route

from drivecoach.config import Recipe, parse, read
from drivecoach.config.shipped import shipped_data, shipped_recipes
from drivecoach.domains.load import DOMAINS, files_of
from drivecoach.errors import Fault, InputError, RecipeError
from drivecoach.files import free_disk, write_text, written_aside
from drivecoach.studio.endpoints import Asked, get, post
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.recipe import outside, read_inside
from drivecoach.studio.settings import settings
from drivecoach.studio.workspace import DATA, RECIPES, Workspace

MAIN = (
    "name", "domain", "data.path", "data.validation", "data.test", "base.source", "base.name",
    "train.lora", "train.lora.r", "train.lora.alpha", "train.epochs", "train.max_steps", "train.batch_size",
    "train.gradient_accumulation", "train.learning_rate", "train.max_length", "train.optimizer", "chat.thinking",
    "export.name", "export.quantizations",
)  # fmt: skip
"""The settings that a person looks at first; all others stand behind them."""


class Chosen(Asked):
    """Settings as a recipe holds them, files relative to the folder."""

    settings: dict[str, JsonValue]


class Saved(Chosen):
    """Settings to be kept."""

    replace: bool = False
    """Whether the recipe that has the name may be written over."""


class OfRecipe(Asked):
    """A recipe of the folder."""

    recipe: str


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The tab's routes."""
    tab = _Tab(workspace, jobs)
    return [
        get("/api/plan/settings", lambda _: {"main": MAIN, "settings": settings()}),
        get("/api/plan/recipe", lambda given: tab.recipe(given.get("name", ""))),
        post("/api/plan/check", Chosen, lambda asked, _: tab.check(asked)),
        post("/api/plan/save", Saved, lambda asked, _: tab.save(asked)),
        post("/api/plan/estimate", OfRecipe, lambda asked, _: tab.estimate(asked)),
        get("/api/plan/state", lambda given: tab.state(given.get("recipe", ""))),
    ]


class _Tab:
    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self._workspace, self._jobs = workspace, jobs

    def recipe(self, name: str) -> object:
        """A recipe of the folder, or a shipped one by its name, with the files that it names relative to the folder."""
        shipped = shipped_recipes().get(name)
        path = shipped or self._workspace.existing(name)
        raw = read.raw_recipe(path)
        return {"settings": self._inside(read.with_files_beside(raw, path.parent)), "text": _head(path)}

    def check(self, asked: Chosen) -> object:
        """What is wrong with the settings, each at its key; and the recipe as it would be saved."""
        faults = self._faults(asked.settings)
        return {"faults": [vars(fault) for fault in faults], "yaml": self._yaml(asked.settings)}

    def save(self, asked: Saved) -> object:
        """Write ``recipes/NAME.yaml``."""
        faults = self._faults(asked.settings)
        if faults:
            raise RecipeError("the recipe was not saved", hint="correct the settings that are marked", faults=faults)
        name = f"{RECIPES}/{asked.settings['name']}.yaml"
        place, text = self._workspace.path(name), self._yaml(asked.settings)
        if place.exists() and not asked.replace and place.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{name} is already there, with other settings",
                hint="give it another name, or tick that it may be replaced",
            )
        self._bring_data(asked.settings)
        write_text(place, text)
        return {"recipe": name}

    def estimate(self, asked: OfRecipe) -> object:
        """`drivecoach plan`."""
        read_inside(self._workspace, asked.recipe)
        return self._jobs.start(["plan", asked.recipe, "--json"], about=asked.recipe).to_json()

    def state(self, name: str) -> object:
        """The newest estimate of a recipe, if it was made of the recipe as it is now; and the disk that is free."""
        path = self._workspace.existing(name)
        job = self._jobs.newest("plan", name)
        is_new = job is not None and (job.folder / "job.json").stat().st_mtime >= path.stat().st_mtime
        return {"job": job.to_json() if job and is_new else None, "disk_free": free_disk(self._workspace.folder)}

    def _faults(self, given: dict[str, JsonValue]) -> list[Fault]:
        try:
            recipe = Recipe.model_validate(given)
        except ValidationError as error:
            return read.faults_of(error)
        faults = outside(self._workspace, recipe)
        if faults:
            return faults
        if recipe.data.source == "local" and not recipe.data.mix and not self._is_there(recipe.data.path):
            faults.append(Fault("data.path", recipe.data.path, "a data file of the folder"))
        if isinstance(recipe.domain, str):
            known = DOMAINS.names()
            if files_of(recipe.domain):
                if not all(self._is_file(path.as_posix()) for path in files_of(recipe.domain)):
                    faults.append(Fault("domain", recipe.domain, "a Python file of the folder"))
            elif recipe.domain not in known and "," not in recipe.domain:
                faults.append(Fault("domain", recipe.domain, ", ".join(known) + ", or a Python file of the folder"))
        return faults

    def _is_there(self, name: str) -> bool:
        return self._is_file(name) or self._shipped(name) is not None

    def _is_file(self, name: str) -> bool:
        try:
            return self._workspace.path(name).is_file()
        except InputError:
            return False

    def _shipped(self, name: str) -> Path | None:
        folder, _, file = name.rpartition("/")
        return shipped_data().get(file) if folder == DATA else None

    def _bring_data(self, given: Mapping[str, JsonValue]) -> None:
        """Copy shipped pairs into the folder, where the recipe names them."""
        data = given.get("data")
        name = data.get("path") if isinstance(data, dict) else None
        if isinstance(name, str) and not self._is_file(name) and (source := self._shipped(name)):
            with written_aside(self._workspace.path(name)) as part:
                shutil.copyfile(source, part)

    def _inside(self, value: Any) -> Any:
        """The settings with absolute paths in the folder made relative, and shipped pairs as their copy in it."""
        if isinstance(value, dict):
            return {key: self._inside(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._inside(inner) for inner in value]
        if isinstance(value, str) and Path(value).is_absolute():
            if Path(value) in shipped_data().values():
                return f"{DATA}/{Path(value).name}"
            return value.removeprefix(f"{self._workspace.folder}/")
        return value

    def _yaml(self, given: Mapping[str, JsonValue]) -> str:
        """The recipe's text; files are relative to ``recipes/``, in which it lies."""
        copied = parse.parse(yaml.safe_dump(dict(given), allow_unicode=True, sort_keys=False))
        domain = copied.pop("domain", None)
        placed = read.with_files_beside(copied, Path(os.pardir))
        if domain is not None:
            is_file = isinstance(domain, str) and bool(files_of(domain)) and not Path(domain).is_absolute()
            placed = {"name": placed.pop("name", ""), "domain": f"../{domain}" if is_file else domain, **placed}
        return yaml.safe_dump(placed, allow_unicode=True, sort_keys=False, default_flow_style=False, width=110)


def _head(path: Path) -> str:
    """What the first lines of a recipe say of it."""
    lines = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8", errors="replace"))
    return " ".join(line.lstrip("# ") for line in (lines[0] if lines else "").splitlines()).strip()
