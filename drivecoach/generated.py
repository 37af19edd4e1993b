"""The committed files made from code: pairs and card, drives and their scores, rules, JSON Schemas, Modelfiles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from drivecoach.config import load_recipe
from drivecoach.data import generate
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.documents import rules_page
from drivecoach.domains.driving.drives import drive_files, drives_page
from drivecoach.domains.load import load_domain
from drivecoach.export import about, modelfile
from drivecoach.export.modelfile import make_chat
from drivecoach.infer import Engine, Outcome, Question
from drivecoach.live import Settings, Voice, read_record
from drivecoach.live.score import score_drives, table
from drivecoach.runtime.rules import Rules

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
    drives = drive_files()
    texts |= {f"datasets/drives/{file}": text for file, text in drives.items()}
    texts["docs/drives.md"] = drives_page(_scores(drives))
    for file, schema in DRIVING.schemas().items():
        texts[f"schemas/{file}"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    for path in sorted((root / "recipes").rglob("*.yaml")):
        recipe = load_recipe(path)
        chat, export = make_chat(recipe, load_domain(recipe.domain)), recipe.export
        license = about.license_text(about.origins(recipe, hub=False))
        texts[f"modelfiles/{recipe.name}.Modelfile"] = modelfile.render(chat, export, export.served, license)
    return texts


def _scores(drives: Mapping[str, str]) -> dict[str, list[str]]:
    """By voice, the table of scores with the rules in place of a model: nothing in it is measured by a clock."""
    engine = Engine(Rules(DRIVING).generate, DRIVING)

    def ask(text: str, value: Any) -> Outcome[Any]:
        return engine.settle(value, Question(text))

    read = {
        file.removesuffix(".jsonl"): [read_record(line, DRIVING) for line in text.splitlines()]
        for file, text in drives.items()
    }
    return {
        voice: table(score_drives(read, DRIVING, ask, Settings(voice=voice))) for voice in get_args(Voice)
    }


def _rows(text: str) -> list[str]:
    return [line.rstrip(",") for line in text.splitlines() if line.startswith("{")]
