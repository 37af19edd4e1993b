"""The verbs of a run as a machine reads them: each prints the result of its stage as one JSON document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivecoach.evaluate.scores import Evaluation
from drivecoach.export.run import ExportResult
from drivecoach.train.result import TrainResult
from tests.integration.test_cli import Run, run
from tests.integration.test_kill_resume import ROOT, make_recipe

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


def test_a_log_file_of_a_run_holds_our_lines_and_no_other(tmp_path: Path) -> None:
    """In a process of its own: much of the noise comes when libraries are imported for the first time."""
    recipe = make_recipe(tmp_path, max_steps=4, checkpoint_steps=2)
    (tmp_path / "r.yaml").write_text(recipe.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "drivecoach", "tune", "r.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OLLAMA_HOST": "127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = re.compile(r"(data|train|export|evaluate)(: [^:]+)?: .*(left|so far)|no Ollama answers at .*")
    assert [line for line in done.stderr.splitlines() if not ours.fullmatch(line)] == []
    ours = re.compile(r"(data|train|export): .*|  .*|[│┌└].*|drivecoach: r *|ask it: drivecoach ask '.*|no Ollama .*")
    assert [line for line in done.stdout.splitlines() if not ours.fullmatch(line)] == []
    assert "Writing model shards" in (tmp_path / "runs/r/run.log").read_text(encoding="utf-8")
    assert (tmp_path / "runs/r/train/loss.png").is_file() and (tmp_path / "runs/r/export/flips.jsonl").is_file()
