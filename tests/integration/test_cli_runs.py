"""The verbs of a run as a machine reads them: each prints the result of its stage as one JSON document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.domains.load import load_domain
from drivecoach.evaluate.result import Figures
from drivecoach.evaluate.scores import Evaluation
from drivecoach.export.result import ExportResult
from drivecoach.train.result import TrainResult
from tests.integration.test_kill_resume import ROOT, make_recipe
from tests.support.command import Run, refused
from tests.support.deploy_server import deploy_server

pytest.importorskip("trl")


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
    figures = Figures.model_validate_json(run("evaluate", "runs/r", "--json").out)
    assert [split.split for split in figures.splits] == ["test"], "free text cannot be drawn evenly"
    assert Figures.model_validate_json((tmp_path / "runs/r/evaluate/figures.json").read_bytes()) == figures

    whole = json.loads(run("tune", "r.yaml", "--json").out)
    scores = Evaluation.model_validate(whole["evaluate"]).root
    assert list(scores) == ["test"] and scores["test"].rows == figures.splits[0].exact.rows > 0
    assert whole == {
        "run": "runs/r",
        "train": trained.model_dump(),
        "export": exported,
        "evaluate": {name: score.model_dump() for name, score in scores.items()},
        "ollama": None,
    }


BLINDS = """
from typing import Literal

from drivecoach.domain import Domain
from pydantic import BaseModel


class Weather(BaseModel):
    sun: Literal["none", "low", "high"]
    wind: Literal["calm", "storm"]
    heat: Literal["no", "some", "much"]
    somebody_home: bool


class Blinds(BaseModel):
    position: Literal["up", "half", "down"]


class BlindsDomain(Domain[Weather, Blinds]):
    levels = ("down", "half", "up")

    def level(self, answer):
        return answer.position

    def teach(self, value):
        if value.wind == "storm":
            return Blinds(position="up")
        return Blinds(position="down" if value.sun == "high" else "half")


domain = BlindsDomain("blinds", Weather, Blinds, "You move the blinds.")
"""


def test_evaluate_names_the_pairs_that_say_something_else_than_the_rules(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blinds.py").write_text(BLINDS, encoding="utf-8")
    domain = load_domain("blinds.py")
    pairs = [
        {"input": domain.write_input(value), "output": domain.write_answer(domain.teach(value))}
        for value in list(domain.inputs())[:30]
    ]
    changed = [3, 11, 20]
    for place in changed:
        pairs[place]["output"] = '{"position": "up"}' if "up" not in pairs[place]["output"] else '{"position": "down"}'
    recipe = make_recipe(tmp_path, max_steps=2, checkpoint_steps=2).model_dump(mode="json")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    recipe |= {"domain": "blinds.py", "data": {**recipe["data"], "test": 0.3}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert run("train", "r.yaml").code == 0
    assert run("export", "runs/r").code == 0
    result = run("evaluate", "runs/r")
    assert "3 of 30 pairs say something else than the rules of blinds" in result.out
    assert "warning: compared with the rules, though 3 of 30 pairs say something else" in result.out
    assert "| uniform | " in (tmp_path / "runs/r/export/README.md").read_text(encoding="utf-8"), "the model card"
    found = [json.loads(line) for line in (tmp_path / "runs/r/evaluate/differences.jsonl").read_text().splitlines()]
    assert {row["input"] for row in found} == {pairs[place]["input"] for place in changed}
    scores = Evaluation.model_validate(json.loads(run("tune", "r.yaml", "--json").out)["evaluate"]).root
    mistakes = (tmp_path / "runs/r/evaluate/mistakes.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(mistakes) == sum(score.mistakes for score in scores.values())
    assert [json.loads(line)["test"] for line in mistakes].count("uniform") == scores["uniform"].mistakes
    (tmp_path / "runs/r/evaluate/mistakes.jsonl").unlink()
    assert "skipped" not in run("evaluate", "runs/r").out, "the table names a file: it is made again"


def test_a_log_file_of_a_run_holds_our_lines_and_no_other(tmp_path: Path) -> None:
    """In a process of its own: much of the noise comes when libraries are imported for the first time."""
    recipe = make_recipe(tmp_path, max_steps=4, checkpoint_steps=3, evaluate_every=1)
    (tmp_path / "r.yaml").write_text(recipe.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "drivecoach", "tune", "r.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OLLAMA_HOST": "127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = re.compile(r"(data|train|export|evaluate)(: [^:]+)?: .*(left|so far)")
    assert [line for line in done.stderr.splitlines() if not ours.fullmatch(line)] == []
    ours = re.compile(r"(data|train|export|not deployed): .*|  .*|[│┌└].*|drivecoach: r *|ask it: drivecoach ask '.*")
    assert [line for line in done.stdout.splitlines() if not ours.fullmatch(line)] == []
    assert "Writing model shards" in (tmp_path / "runs/r/run.log").read_text(encoding="utf-8")
    assert (tmp_path / "runs/r/train/loss.png").is_file() and (tmp_path / "runs/r/export/flips.jsonl").is_file()
    metrics = map(json.loads, (tmp_path / "runs/r/train/metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in metrics if "eval_exact_match" in line] == [1, 2, 3, 4], "between checkpoints too"


def test_any_link_and_any_questions_are_measured_and_tables_are_written(here: Path, run: Run) -> None:
    os.chdir(here)
    found = Figures.model_validate_json(run("evaluate", "runs/r/export/r-f16.gguf", "--json").out)
    assert found.target.kind == "gguf" and (here / "runs/r/evaluate/figures.json").is_file(), "that is the served file"
    kept = (here / "runs/r/evaluate/figures.json").read_bytes()
    assert run("evaluate", "runs/r/export/merged", "--limit", "2").code == 0
    (here / "mine.jsonl").write_text('{"input": "问题", "output": "回答"}\n', encoding="utf-8")
    mine = Figures.model_validate_json(run("evaluate", "runs/r", "--data", "mine.jsonl", "--json").out)
    assert [(split.split, split.exact.rows) for split in mine.splits] == [("mine", 1)]
    assert (here / "runs/r/evaluate/figures.json").read_bytes() == kept, "a part, or other questions, replace nothing"
    assert run("evaluate", "runs/r/export/merged").code == 0
    assert (here / "runs/r/evaluate/figures-merged.json").is_file()

    tables = json.loads(run("evaluate", "runs/r", "--chain", "--quant-sweep", "--limit", "2", "--json").out)
    assert list(tables) == ["chain", "sweep"] and tables["chain"]["links"][0]["link"] == "model"
    assert {"chain.json", "sweep.json"} <= {path.name for path in (here / "runs/r/evaluate").iterdir()}

    refused(run("evaluate", "runs"), "neither a run folder nor a folder of weights")
    refused(run("evaluate", "runs/r/export/r-f16.gguf", "--chain"), "is no run folder")
