"""The verbs of a run as a machine reads them: each prints the result of its stage as one JSON document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.evaluate.scores import Evaluation
from drivecoach.export.run import ExportResult
from drivecoach.train.result import TrainResult
from tests.integration.test_cli import Run, run
from tests.integration.test_kill_resume import make_recipe
from tests.support.deploy_server import deploy_server

pytest.importorskip("trl")
__all__ = ["run"]


def test_a_stage_prints_its_result(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nobody answers there
    recipe = make_recipe(tmp_path, max_steps=4, checkpoint_steps=2, best_by="validation_loss")
    (tmp_path / "r.yaml").write_text(recipe.model_dump_json(), encoding="utf-8")  # JSON is YAML
    printed = run("train", "r.yaml", "--json")
    trained = TrainResult.model_validate_json(printed.out)
    assert printed.code == 0 and trained.steps == 4 and trained.best is not None and trained.forgetting is None
    shown = run("train", "r.yaml")
    assert "train: unchanged, skipped" in shown.out and "None" not in shown.out

    with deploy_server(Chat("")) as server, monkeypatch.context() as patched:
        patched.setenv("OLLAMA_HOST", server.url)
        assert run("export", "runs/r", "--no-deploy").code == run("tune", "r.yaml", "--no-deploy").code == 0
        assert server.requests == []
    exported = json.loads(run("export", "runs/r", "--json").out)
    assert exported.pop("ollama") is None
    files = ExportResult.model_validate(exported).files
    assert {name: (tmp_path / "runs/r/export" / name).stat().st_size for name in files} == {
        name: file.bytes for name, file in files.items()
    }
    scores = Evaluation.model_validate_json(run("evaluate", "runs/r", "--json").out).root
    assert list(scores) == ["test"] and scores["test"].rows > 0, "free text cannot be drawn evenly"

    whole = json.loads(run("tune", "r.yaml", "--json").out)
    assert whole == {
        "run": "runs/r",
        "train": trained.model_dump(),
        "export": exported,
        "evaluate": {name: score.model_dump() for name, score in scores.items()},
        "ollama": None,
    }
