"""The committed files that are made from code: pairs and card, the table of rules, JSON Schemas, Modelfiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drivecoach.config import load_recipe
from drivecoach.data import generate
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.documents import rules_page
from drivecoach.domains.load import load_domain
from drivecoach.export import about, modelfile
from drivecoach.export.modelfile import make_chat

PAIRS = "datasets/driving.json"


@dataclass(frozen=True)
class Generated:
    """A generated file: what it should hold, and what it holds now."""

    path: str
    """Relative to the project's folder."""
    text: str
    before: str | None
    """None where there is no such file."""

    @property
    def changed(self) -> bool:
        """Whether the file is missing, was changed by hand, or is older than the code."""
        return self.text != self.before

    @property
    def told(self) -> str:
        """What became of it, in words; of pairs, how many rows."""
        if not self.changed:
            return "unchanged"
        if self.before is None:
            return "missing"
        if self.path != PAIRS:
            return "changed"
        rows, old = _rows(self.text), set(_rows(self.before))
        return f"{sum(row not in old for row in rows):,} of {len(rows):,} rows changed"


def generated_files(root: Path) -> Iterator[Generated]:
    """Every generated file below ``root``."""
    for path, text in _texts(root).items():
        target = root / path
        before = target.read_bytes().decode("utf-8", "replace") if target.is_file() else None
        yield Generated(path, text, before)


def _texts(root: Path) -> dict[str, str]:
    made = generate.draw(Path(PAIRS).name, DRIVING)
    rules = rules_page(DRIVING.teacher.rules, DRIVING.space, made.groups, list(DRIVING.features))
    texts = {PAIRS: made.pairs, "datasets/README.md": made.card, "docs/driving-rules.md": rules}
    for file, schema in DRIVING.schemas().items():
        texts[f"schemas/{file}"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    for path in sorted((root / "recipes").rglob("*.yaml")):
        recipe = load_recipe(path)
        chat, export = make_chat(recipe, load_domain(recipe.domain)), recipe.export
        license = about.license_text(about.origins(recipe, hub=False))
        texts[f"modelfiles/{recipe.name}.Modelfile"] = modelfile.render(chat, export, export.served, license)
    return texts


def _rows(text: str) -> list[str]:
    return [line.rstrip(",") for line in text.splitlines() if line.startswith("{")]
