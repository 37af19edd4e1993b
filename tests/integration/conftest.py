"""The command line, and a small run that is finished, made once, with a copy of it for each test that changes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivecoach.cli.app import make_app
from tests.support.command import run

__all__ = ["run"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, a recipe and its finished run."""
    from tests.integration.test_kill_resume import make_recipe  # here: without TRL, that module skips its importer

    folder = tmp_path_factory.mktemp("finished")
    recipe = make_recipe(folder, max_steps=4, checkpoint_steps=2).model_dump(mode="json", exclude={"parent"})
    recipe["data"]["path"] = "rows.jsonl"
    recipe["export"] |= {"quantizations": ["f16"], "num_predict": 4}
    (folder / "r.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    environment = {"OLLAMA_HOST": "127.0.0.1:9"}  # nobody answers there
    words = ["tune", str(folder / "r.yaml"), "--runs", str(folder / "runs")]
    made = CliRunner().invoke(make_app(), words, env=environment)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    kept = tmp_path / "runs/r/recipe.json"
    kept.write_text(kept.read_text(encoding="utf-8").replace(str(finished), str(tmp_path)), encoding="utf-8")
    return tmp_path
