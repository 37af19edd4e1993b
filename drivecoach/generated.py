"""The committed files that are made from code: JSON Schemas for apps in any language, and a Modelfile per recipe."""

from __future__ import annotations

import json
from pathlib import Path

from drivecoach.config import load_recipe
from drivecoach.export import modelfile
from drivecoach.pipeline import gguf_name, make_chat


def generated_files(root: Path) -> dict[str, str]:
    """Every generated file below ``root``: its relative path and its text."""
    from drivecoach.domains.driving import DRIVING

    texts: dict[str, str] = {}
    for file, schema in DRIVING.schemas().items():
        texts[f"schemas/{file}"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    for path in sorted((root / "recipes").rglob("*.yaml")):
        recipe = load_recipe(path)
        gguf = gguf_name(recipe, recipe.export.quantizations[-1])
        texts[f"modelfiles/{recipe.name}.Modelfile"] = modelfile.render(make_chat(recipe), recipe.export, gguf)
    return texts
