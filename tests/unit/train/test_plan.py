"""The plan counts what training will count, probes without touching the run, and knows what is not here yet."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from drivecoach.config import load_recipe
from drivecoach.pipeline import Run
from tests.support.recipes import TINY, tiny_base, write_rows

pytest.importorskip("trl")
RECIPES = Path(__file__).parents[3] / "recipes"


def test_a_plan_says_what_the_run_will_count(tmp_path: Path) -> None:
    from drivecoach.train.plan import plan

    base = tiny_base("qwen2", tmp_path / "base")
    rows = write_rows("alpaca", tmp_path / "rows.jsonl")
    changes = [*TINY, f"base.name={base}", f"data.path={rows}", "data.source=local", "train.max_steps=null"]
    recipe = load_recipe(RECIPES / "qwen2-0.5b-alpaca-zh.yaml", [*changes, "train.epochs=2"])
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.prepare()
    made = plan(run.job(), steps=3)
    trained = run.train()
    assert (made.parameters, made.trained_parameters) == (trained.parameters, trained.trained_parameters)
    assert (made.rows, made.steps) == (trained.rows, trained.steps) and made.too_long == 0
    assert made.steps == 2 * math.ceil(made.rows / 4)
    assert made.tokens_per_epoch > 20 * made.rows
    assert made.download == {}
    assert made.probe is not None
    assert made.probe.seconds == pytest.approx(made.probe.seconds_per_step * made.steps)
    assert made.probe.peak_bytes > made.weights_bytes


def test_a_model_too_large_for_this_machine_is_not_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.train import plan as module

    monkeypatch.setattr(module, "_memory", lambda: 1000)
    monkeypatch.setattr(module, "_probe", lambda *_: pytest.fail("probed"))
    base = tiny_base("qwen3", tmp_path / "base")
    rows = write_rows("messages", tmp_path / "rows.jsonl")
    recipe = load_recipe(RECIPES / "messages-jsonl.yaml", [*TINY, f"base.name={base}", f"data.path={rows}"])
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.prepare()
    made = module.plan(run.job(), steps=3)
    assert made.probe is None and made.steps == 4


def test_what_cannot_be_asked_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.config import BaseConfig
    from drivecoach.train.plan import _download

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.model_info", lambda *_, **__: (_ for _ in ()).throw(OSError("offline")))
    assert _download(BaseConfig(source="hub", name="Qwen/Qwen3-0.6B")) is None
    assert _download(BaseConfig(source="local", name="x")) == {}
