"""Reading a recipe from YAML, with its overrides; every fault is found before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from drivecoach.config.sections import Recipe
from drivecoach.config.shipped import shipped_recipes
from drivecoach.domains.load import placed
from drivecoach.errors import Fault, RecipeError
from drivecoach.files import not_regular
from drivecoach.text import shown


def load_recipe(path: Path, overrides: list[str] | None = None, beside: Path | None = None) -> Recipe:
    """Read a recipe from YAML, or a shipped one by its name; ``overrides`` are ``a.b=value`` texts, read as YAML.

    Files that the recipe names are relative to ``beside``, by default the recipe's own folder; those that an override
    names to the current one.

    Raises RecipeError with every fault found (unknown key, wrong type, value out of range).
    """
    if (named := shipped_recipes().get(str(path))) and not path.exists():
        path = named
    raw = raw_recipe(path)
    raw = with_files_beside(raw, path.parent if beside is None else beside)
    own_name = raw.get("name")
    for text in overrides or []:
        _override(raw, text)
    if raw.get("name") != own_name:
        raw = _renamed(raw, overrides or [])
    try:
        recipe = Recipe.model_validate(raw)
        return recipe.model_copy(update={"domain": placed(recipe.domain, Path())})
    except ValidationError as error:
        faults = faults_of(error)
        origins = ", ".join(_origins(path, faults, overrides or []))
        raise RecipeError(
            f"{origins}: {len(faults)} setting(s) are wrong", faults=faults, hint=f"correct {origins}"
        ) from None


def raw_recipe(path: Path) -> dict[str, Any]:
    """What a recipe's file says, not yet checked. Raises RecipeError for one that cannot be read."""
    from drivecoach.config.parse import NOT_YAML, read, reason

    try:
        if (kind := not_regular(path)) not in ("", "a pipe"):
            raise RecipeError(f"cannot read recipe {path}: it is {kind}", hint="a recipe is a UTF-8 YAML file")
        raw = read(path)
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}", hint=_listing()) from None
    except (OSError, UnicodeDecodeError) as error:
        said = (isinstance(error, OSError) and error.strerror) or error
        raise RecipeError(f"cannot read recipe {path}: {said}", hint="a recipe is a UTF-8 YAML file") from None
    except NOT_YAML as error:
        said = reason(error) or "nested too deep"
        raise RecipeError(f"{path} is not valid YAML: {said}", hint="compare it with recipes/nano.yaml") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds no settings", hint="compare it with recipes/nano.yaml")
    return raw


def with_files_beside(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with the files that they name taken relative to ``folder``; what is no file stays as it is."""

    def beside(section: Any, key: str, *, local: bool = True) -> None:
        if isinstance(section, dict) and local and isinstance(section.get(key), str) and section[key]:
            section[key] = os.path.normpath(folder / section[key])

    data, base, chat = raw.get("data"), raw.get("base"), raw.get("chat")
    mixed = data.get("mix") if isinstance(data, dict) else None
    for source in [data, *(mixed if isinstance(mixed, list) else [])]:
        beside(source, "path", local=isinstance(source, dict) and source.get("source", "local") == "local")
    beside(base, "name", local=isinstance(base, dict) and base.get("source") == "local")
    beside(chat, "template", local=isinstance(chat, dict) and str(chat.get("template")).endswith(".jinja"))
    domain = raw.get("domain")
    if isinstance(domain, dict):
        beside(domain, "input")
        beside(domain, "answer")
    elif isinstance(domain, str):
        raw["domain"] = placed(domain, folder)
    return raw


def _override(raw: dict[str, Any], text: str) -> None:
    from drivecoach.config.parse import NOT_YAML, parse, reason

    key, separator, value = text.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError(f"--set {text!r} is not of the form a.b=value", hint="e.g. --set train.epochs=2")
    for part in parts[:-1]:
        inner = raw.setdefault(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {text!r}: {part} holds a value, not settings", hint="shorten the key")
        raw = inner
    try:
        raw[parts[-1]] = parse(value)
    except NOT_YAML as error:
        raise RecipeError(f"--set {text!r}: the value is not valid YAML", hint=f"quote it ({reason(error)})") from None


def _renamed(raw: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A run that an override renamed is exported under its new name, unless ``export.name`` was overridden too."""
    given = {text.partition("=")[0].strip() for text in overrides}
    export = raw.get("export")
    if not isinstance(export, dict) or given & {"export", "export.name"}:
        return raw
    return {**raw, "export": {key: value for key, value in export.items() if key != "name"}}


def faults_of(error: ValidationError) -> list[Fault]:
    """What is wrong with a recipe's settings, each at its key (``train.epochs``)."""
    return [_fault(item) for item in error.errors()]


def _fault(item: Any) -> Fault:
    where = ".".join(str(part) for part in item["loc"]) or "recipe"
    if item["type"] == "extra_forbidden":
        return Fault(where, "unknown key", ", ".join(_keys_beside(item["loc"])))
    if item["type"] == "missing":
        return Fault(where, "missing", "a value")
    if item["type"] == "value_error" and isinstance(item["input"], dict):
        return Fault(where, "settings that do not fit together", str(item["ctx"]["error"]))
    return Fault(where, repr(item["input"])[:80], item["msg"])


def _origins(path: Path, faults: list[Fault], overrides: list[str]) -> list[str]:
    """Where the faulty values came from: each ``--set`` that gave one, the recipe, or what of both does not fit."""
    given = {text.partition("=")[0].strip(): f"--set {shown(text)}" for text in overrides}
    found: dict[str, None] = {}
    for fault in faults:
        exact = [text for key, text in given.items() if f"{fault.where}.".startswith(f"{key}.")]
        inside = [text for key, text in given.items() if fault.where in ("recipe", *_parents(key))]
        found |= dict.fromkeys(exact or [*inside, str(path)])
    return list(found)


def _parents(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that a section allows, found by walking the recipe's types to the unknown key's place."""
    section: type[BaseModel] = Recipe
    for part in location[:-1]:
        if isinstance(part, int):
            continue  # an item of a list
        annotation = section.model_fields[str(part)].annotation
        options = getattr(annotation, "__args__", (annotation,))
        section = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return sorted(section.model_fields)


def _listing() -> str:
    here = sorted(str(path) for path in Path("recipes").rglob("*.yaml"))
    return ("recipes here: " + ", ".join(here) + "; " if here else "") + "shipped: " + ", ".join(shipped_recipes())
