"""A run that is killed at any moment loses nothing: the same command goes on to the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivecoach.config import Recipe
from drivecoach.errors import TrainError
from drivecoach.pipeline import Run

pytest.importorskip("trl")
ROOT = Path(__file__).parents[2]
STEPS, EVERY = 120, 10
NANO = {"hidden_size": 32, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 16, "intermediate_size": 32}

TRAIN = """
import sys
from pathlib import Path
from drivecoach.config import Recipe
from drivecoach.pipeline import Run
run = Run(Path(sys.argv[1]), Recipe.model_validate_json(sys.argv[2]))
run.prepare()
run.train()
"""


def make_recipe(folder: Path, **train: object) -> Recipe:
    path = folder / "rows.jsonl"
    rows = [{"input": f"问题 {n}", "output": f"回答 {n % 7}。"} for n in range(60)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    settings = {
        "lora": None,
        "max_steps": STEPS,
        "batch_size": 4,
        "checkpoint_steps": EVERY,
        "logging_steps": 1,
        "precision": "fp32",
        "warmup_steps": 2,
        "max_length": 128,
        **train,
    }
    return Recipe.model_validate(
        {
            "name": "r",
            "domain": "text",
            "data": {"path": str(path)},
            "base": {"source": "nano", "nano": NANO},
            "train": settings,
        }
    )


def trained(folder: Path, recipe: Recipe) -> tuple[bytes, list[tuple[int, float]]]:
    """The weights, and every step's loss."""
    run = Run(folder, recipe, lambda text: None)
    run.prepare()
    run.train()
    lines = [json.loads(line) for line in (folder / "train/metrics.jsonl").read_text().splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    return (folder / "train/model/model.safetensors").read_bytes(), losses


@pytest.mark.parametrize("optimizer", ["adamw_torch", "muon"])
def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, optimizer=optimizer)
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "killed"), recipe.model_dump_json()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed/train/checkpoints"
    limit = time.monotonic() + 500
    while not list(checkpoints.glob("checkpoint-[2-9]0*/model.safetensors")) and time.monotonic() < limit:
        assert started.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "killed/train/manifest.json").exists()
    assert list(checkpoints.glob("checkpoint-*"))

    weights, losses = trained(tmp_path / "killed", recipe)
    unbroken, every_loss = trained(tmp_path / "unbroken", recipe)
    assert [step for step, _ in losses] == list(range(1, STEPS + 1))
    assert losses == every_loss
    assert weights == unbroken
    assert not checkpoints.exists()


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"max_steps": 20}, 20),  # in the middle of an epoch
        ({"max_steps": None, "epochs": 1.7, "logging_steps": 1000}, 21),
        ({"max_steps": None, "epochs": 2.0}, 24),
        ({"best_by": "validation_loss", "patience": 1, "learning_rate": 0.05, "checkpoint_steps": 5}, None),
    ],
    ids=["steps", "part of an epoch", "whole epochs", "patience"],
)
def test_a_run_killed_after_its_last_checkpoint_trains_no_step_more(
    settings: dict[str, object], steps: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivecoach.train import trainer

    recipe = make_recipe(tmp_path, **settings)

    def killed(job: object, trainer: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(trainer, "_save", killed)
        trained(tmp_path / "killed", recipe)
    assert list((tmp_path / "killed/train/checkpoints").iterdir())

    went_on, unbroken = (Run(tmp_path / name, recipe, lambda text: None) for name in ("killed", "unbroken"))
    unbroken.prepare()
    results = went_on.train()
    assert results == unbroken.train()
    assert steps is None or results.steps == steps
    weights = [run.folder / "train/model/model.safetensors" for run in (went_on, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_checkpoint_cut_short_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is missing or short in the newest checkpoint, the one before it is taken."""
    from drivecoach.train import checkpoints

    for damage in ("no seal", "short file", "missing file", "seal of nothing"):
        folder = tmp_path / damage
        for step in (10, 20):
            made = folder / f"checkpoint-{step}"
            made.mkdir(parents=True)
            (made / "model.safetensors").write_bytes(b"weights" * step)
            (made / "optimizer.pt").write_bytes(b"moments")
            state = type("State", (), {"is_world_process_zero": True, "global_step": step})
            checkpoints.Seal().on_save(type("Args", (), {"output_dir": str(folder)}), state, None)
        assert checkpoints.last_complete(folder) == folder / "checkpoint-20"
        newest = folder / "checkpoint-20"
        if damage == "no seal":
            (newest / "complete.json").unlink()
        elif damage == "short file":
            with (newest / "model.safetensors").open("r+b") as stream:
                stream.truncate(9)
        elif damage == "missing file":
            (newest / "optimizer.pt").unlink()
        else:
            (newest / "complete.json").write_text("{}")
        assert checkpoints.last_complete(folder) == folder / "checkpoint-10", damage
        assert not newest.exists()
    assert checkpoints.last_complete(tmp_path / "nothing") is None


def test_early_stopping_keeps_the_best_checkpoint(tmp_path: Path) -> None:
    """With a rate that soon makes things worse, the run stops, and the weights are those of its best validation."""
    recipe = make_recipe(
        tmp_path, best_by="validation_loss", patience=2, learning_rate=0.05, max_steps=400, checkpoint_steps=5
    )
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.prepare()
    results = run.train()
    lines = [json.loads(line) for line in (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()]
    validations = {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
    best = min(validations, key=lambda step: validations[step])
    assert results.steps < 400 and results.best is not None and results.best.step == best
    assert results.best.value == validations[best]
    assert results.steps - best == 2 * 5


def test_the_best_checkpoint_can_be_that_of_the_most_right_answers(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, best_by="exact_match", max_steps=20)
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.prepare()
    results = run.train()
    assert results.best is not None and results.best.by == "exact_match"
    lines = [json.loads(line) for line in (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()]
    right = {line["step"]: line["eval_exact_match"] for line in lines if "eval_exact_match" in line}
    assert set(right) == {10, 20}
    assert results.best.value == max(right.values()) == right[results.best.step]


def test_a_loss_that_is_no_number_stops_the_run_with_what_to_change(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, learning_rate=1e30, warmup_steps=0, max_grad_norm=1e9)
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.prepare()
    with pytest.raises(TrainError, match="diverged") as caught:
        run.train()
    assert "train.learning_rate" in caught.value.hint
    assert not (tmp_path / "run/train/manifest.json").exists()
