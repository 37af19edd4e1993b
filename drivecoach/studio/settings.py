"""What a recipe can say, setting by setting: type, limits, default, and what `config/sections.py` says it means."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from drivecoach.config import Recipe, sections


class Setting(BaseModel):
    """One setting of a recipe."""

    path: str
    """``train.epochs``."""
    kind: str
    """``integer``, ``number``, ``boolean``, ``string``, ``choice``, ``choices``, ``json``, ``section`` (or null)."""
    choices: list[str] = []
    optional: bool
    """Whether it may be null."""
    required: bool
    default: Any
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    text: str
    """What it means."""


@cache
def settings() -> list[Setting]:
    """Every setting, in the order of the recipe."""
    return [*_of(Recipe, "")]


@cache
def texts() -> dict[str, str]:
    """What the docstrings of the sections say, by ``Class`` and ``Class.field``."""
    found = {}
    for node in ast.parse(inspect.getsource(sections)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        found[node.name] = ast.get_docstring(node) or ""
        for one, after in zip(node.body, node.body[1:], strict=False):
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                said = after.value if isinstance(after, ast.Expr) else None
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    found[f"{node.name}.{one.target.id}"] = inspect.cleandoc(said.value).replace("\n", " ")
    return found


def _of(section: type[BaseModel], before: str) -> Iterator[Setting]:
    properties = section.model_json_schema()
    for name, field in section.model_fields.items():
        inner = _section(field.annotation)
        if name in ("mix", "parent"):  # several sources, and what --resume writes: by hand
            continue
        if inner is None or type(None) in get_args(field.annotation):
            yield _setting(section, name, before, properties)
        if inner is not None:
            yield from _of(inner, f"{before}{name}.")


def _setting(section: type[BaseModel], name: str, before: str, schema: dict[str, Any]) -> Setting:
    found = schema["properties"][name]
    options = found.get("anyOf", [found])
    kept = [option for option in options if option.get("type") != "null"]
    one = kept[0] if len(kept) == 1 else {}
    items = one.get("items", {})
    kind, choices = one.get("type", "json"), one.get("enum") or ([one["const"]] if "const" in one else [])
    if choices:
        kind = "choice"
    elif kind == "array":
        choices = items.get("enum", [])
        kind = "choices" if choices else "json"
    elif "$ref" in one:
        kind = "section"
    elif kind not in ("integer", "number", "boolean", "string"):
        kind = "string" if name == "domain" else "json"
    field = section.model_fields[name]
    owner = next(each for each in section.__mro__ if name in vars(each).get("__annotations__", {}))
    return Setting(
        path=before + name,
        kind=kind,
        choices=choices,
        optional=len(kept) < len(options),
        required=field.is_required(),
        default=None if field.is_required() else to_jsonable_python(field.get_default(call_default_factory=True)),
        least=one.get("minimum"),
        above=one.get("exclusiveMinimum"),
        most=one.get("maximum"),
        below=one.get("exclusiveMaximum"),
        text=texts().get(f"{owner.__name__}.{name}", ""),
    )


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, null or not."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel) and option.__module__ == sections.__name__:
            return option
    return None
