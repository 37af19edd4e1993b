"""The order of the stages: what makes one run again, and what machines get to read of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivecoach.chat import family
from drivecoach.cli import show
from drivecoach.config import Recipe
from drivecoach.data.result import DataResult
from drivecoach.pipeline import Run

OWN = family("chatml").source


def run_with(folder: Path, template: Path) -> tuple[DataResult, list[str]]:
    """The data stage of a recipe with a chat template of its own, and what it said."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"input": f"q{n}", "output": f"a{n}"}) + "\n" for n in range(20)))
    recipe = Recipe.model_validate(
        {
            "name": "own",
            "domain": "text",
            "data": {"path": str(rows), "refused": "drop"},
            "base": {"source": "hub", "name": "nobody/nothing"},
            "chat": {"template": str(template), "end": "<|im_end|>"},
        }
    )
    said: list[str] = []
    return Run(folder / "run", recipe, said.append).prepare(), said


def test_a_chat_template_of_ones_own_is_known_by_its_content(tmp_path: Path) -> None:
    template = tmp_path / "own.jinja"
    template.write_text(OWN, encoding="utf-8")
    run_with(tmp_path, template)
    assert run_with(tmp_path, template)[1] == ["data: unchanged, skipped"]
    moved = template.rename(tmp_path / "moved.jinja")
    assert run_with(tmp_path, moved)[1] == ["data: unchanged, skipped"]
    moved.write_text(OWN + "{# #}", encoding="utf-8")
    assert run_with(tmp_path, moved)[1] != ["data: unchanged, skipped"]


def test_what_a_stage_returns_is_what_its_manifest_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = tmp_path / "own.jinja"
    template.write_text(OWN, encoding="utf-8")
    made, _ = run_with(tmp_path, template)
    assert made == run_with(tmp_path, template)[0]
    show.as_json({"data": made, "ollama": None})
    manifest = json.loads((tmp_path / "run/data/manifest.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == {"data": manifest["results"], "ollama": None}
