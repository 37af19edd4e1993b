"""`accelerate launch` with two processes on this machine's CPU: one run folder, written once, and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_kill_resume import ROOT, make_recipe

pytest.importorskip("accelerate")


def launch(recipe: Path, runs: Path) -> str:
    """Train with two processes, and return what was said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "drivecoach", "train", str(recipe), "--runs", str(runs)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_processes_train_one_run(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, max_steps=8, checkpoint_steps=4)
    path = tmp_path / "r.yaml"
    path.write_text(recipe.model_dump_json(), encoding="utf-8")  # JSON is YAML
    said = launch(path, tmp_path / "runs")
    assert said.count("train: 8 steps") == 1, "only the first process speaks"
    folder = tmp_path / "runs/r/train"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["results"]["steps"] == 8
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))
    assert (folder / "model/model.safetensors").is_file() and not (folder / "checkpoints").exists()
    assert "train: unchanged, skipped" in launch(path, tmp_path / "runs")
