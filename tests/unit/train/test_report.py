"""What a training leaves while it goes on: metrics, and curves drawn anew at each validation."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivecoach.progress import progress
from drivecoach.train.metrics import read_progress

pytest.importorskip("transformers")


def state(step: int) -> Any:
    return SimpleNamespace(global_step=step, max_steps=40, is_world_process_zero=True)


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def test_the_curves_are_drawn_anew_at_each_validation(tmp_path: Path) -> None:
    from drivecoach.train.progress import Report

    pictures = []
    with progress("train", unit="step") as task:
        report = Report("nano", tmp_path, task)
        report.on_train_begin(None, state(0), None)
        assert not (tmp_path / "loss.png").exists()
        for step, loss in enumerate([4.0, 1.0, 0.3, 0.1], start=1):
            report.on_step_end(None, state(10 * step), None)
            report.on_log(None, state(10 * step), None, {"loss": loss})
            report.on_log(None, state(10 * step), None, {"eval_loss": loss * 1.1, "eval_exact_match": step / 4})
            report.on_evaluate(None, state(10 * step), None)
            pictures.append((tmp_path / "loss.png").read_bytes())
    assert len(set(pictures)) == 4
    assert png_size(tmp_path / "loss.png") == (960, 540)
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "metrics.jsonl", "progress.json"}
    noted = read_progress(tmp_path)
    assert noted is not None and (noted.first, noted.step, noted.steps) == (0, 40, 40)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["eval_exact_match"] for line in lines if "eval_exact_match" in line] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("lines", [[], [{"step": 1, "loss": 0.0}], [{"step": 1, "eval_loss": 0.5}], [{"step": 1}]])
def test_whatever_there_is_can_be_drawn(lines: list[dict[str, float]], tmp_path: Path) -> None:
    from drivecoach.train.progress import plot

    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot(tmp_path, "a_name with $ and _")
    assert png_size(tmp_path / "loss.png") == (960, 540)
