"""`--resume`: a new run that begins with the weights of a finished one, names it, and keeps what it held out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from drivecoach.errors import ModelError
from drivecoach.pipeline import Run as TunedRun
from drivecoach.stage import identity
from tests.integration.test_runs_kept import contents, trained_anew
from tests.support.command import Run

pytest.importorskip("trl")

CHANGED = ["--set", "train.max_steps=2", "--set", "train.learning_rate=1e-9", "--set", "train.warmup_steps=0"]


def test_a_finished_run_is_gone_on_from(here: Path, run: Run) -> None:
    parent = here / "runs/r"
    before = contents(parent)
    result = run("train", "r.yaml", "--resume", *CHANGED, "--json")
    assert result.code == 0, result.err
    assert "resume: runs/r-2 goes on from runs/r" in result.err
    child = here / "runs/r-2"
    kept = json.loads((child / "recipe.json").read_text(encoding="utf-8"))
    assert kept["parent"] == {"run": "runs/r", "fingerprint": identity(parent / "train")}
    assert (kept["name"], kept["export"]["name"]) == ("r-2", "r-2")
    assert json.loads((child / "train/manifest.json").read_text())["inputs"]["parent"] == identity(parent / "train")
    assert contents(parent) == before
    # With hardly a learning rate, the new run ends where its parent ended: it began there, on the same split.
    old = json.loads((parent / "train/manifest.json").read_text())["results"]
    new = json.loads(result.out)
    assert new["steps"] == 2 and new["validation_loss"] == pytest.approx(old["validation_loss"], rel=1e-5)
    assert (child / "data/test.jsonl").read_bytes() == (parent / "data/test.jsonl").read_bytes()
    assert (child / "train/model/tokenizer.json").read_bytes() == (parent / "train/model/tokenizer.json").read_bytes()

    assert "train: unchanged, skipped" in run("train", "r.yaml", "--resume", *CHANGED).out, "the same command again"
    longer = run("train", "runs/r-2", "--resume", "--set", "train.max_steps=1")
    assert "resume: runs/r-3 goes on from runs/r-2" in longer.out and longer.code == 0, longer.err
    named = run("train", "r.yaml", "--resume", "--set", "name=own", "--set", "train.max_steps=1")
    assert "resume: runs/own goes on from runs/r" in named.out and named.code == 0, named.err
    parents = {entry["name"]: entry["parent"] for entry in json.loads(run("runs", "--json").out)}
    assert parents == {"r": None, "r-2": "runs/r", "r-3": "runs/r-2", "own": "runs/r"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["base.nano.layers=2"], "base.nano.layers: 1 -> 2"),
        (["train.lora={}"], "train.lora.r: nothing -> 16"),
        (["data.test=0.3"], "data.test: 0.1 -> 0.3"),
        (["name=r"], "a name of its own"),
    ],
)
def test_what_does_not_fit_the_parent_is_refused(settings: list[str], said: str, here: Path, run: Run) -> None:
    result = run("tune", "r.yaml", "--resume", *(word for setting in settings for word in ("--set", setting)))
    assert result.code == 1 and said in result.err
    assert [path.name for path in (here / "runs").iterdir()] == ["r"]


def test_without_a_finished_parent_there_is_nothing_to_go_on_from(here: Path, run: Run) -> None:
    (here / "runs/r/train/manifest.json").unlink()
    result = run("tune", "r.yaml", "--resume")
    assert result.code == 1 and "runs/r holds no finished training to go on from" in result.err
    shutil.rmtree(here / "runs")
    assert "no finished training" in run("tune", "r.yaml", "--resume").err
    assert not (here / "runs").exists()


def test_a_parent_that_was_trained_anew_is_not_taken_for_the_old_one(here: Path, run: Run) -> None:
    assert run("train", "r.yaml", "--resume", *CHANGED).code == 0
    shutil.rmtree(here / "runs/r-2/train")
    trained_anew(here)
    with pytest.raises(ModelError, match="runs/r no longer holds the training that r-2 goes on from"):
        TunedRun.open(Path("runs/r-2")).train()
