"""What a person sees of a running training: loss, exact match and time left, a metrics file, a plot of the curves."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from drivecoach.errors import TrainError
from drivecoach.files import write_json, written_aside
from drivecoach.progress import Task
from drivecoach.train.metrics import METRICS, PROGRESS, TrainingProgress, read_metrics

PLOT = "loss.png"
_NOTED = 1.0
"""Seconds between two notes of how far it is."""


class Report(TrainerCallback):
    """Moves ``task``; in ``folder`` it appends to ``metrics.jsonl``, notes how far it is, and draws the curves."""

    def __init__(self, name: str, folder: Path, task: Task) -> None:
        self._name = name
        self._folder = folder
        self._metrics = folder / METRICS
        self._task = task
        self._first = 0
        self._began = self._told = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say where it begins; drop metrics of steps that a resumed run will do again."""
        self._task.begin(state.global_step, state.max_steps)
        if not state.is_world_process_zero:
            return
        self._first, self._began = state.global_step, time.monotonic()
        self._note(state)
        kept = [line for line in read_metrics(self._metrics) if line["step"] <= state.global_step]
        self._metrics.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say how far it is."""
        self._task.update(state.global_step)
        is_time = time.monotonic() - self._told >= _NOTED or state.global_step >= state.max_steps
        if is_time and state.is_world_process_zero:
            self._note(state)

    def _note(self, state: Any) -> None:
        """Write how far it is beside the metrics, where another process can watch."""
        self._told = time.monotonic()
        noted = TrainingProgress(
            step=state.global_step, steps=state.max_steps, first=self._first, seconds=self._told - self._began
        )
        write_json(self._folder / PROGRESS, noted.model_dump())

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw the curves anew: a person can look at them while the training goes on."""
        if state.is_world_process_zero:
            plot(self._folder, self._name)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Append one line of metrics; show loss and exact match from now on."""
        values = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        if not math.isfinite(values.get("loss", 0.0)):
            raise TrainError(
                f"the loss is {values['loss']} at step {state.global_step}: training diverged",
                hint="lower train.learning_rate (try a tenth), raise train.warmup_steps, lower train.max_grad_norm, or "
                "set train.precision: fp32; then run again (checkpoints of the old settings are not used)",
            )
        if not state.is_world_process_zero:
            return
        with self._metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": state.global_step, **values}) + "\n")
        if "loss" in values:
            self._task.update(state.global_step, loss=f"{values['loss']:.3g}")
        if "eval_exact_match" in values:
            self._task.update(state.global_step, exact=f"{values['eval_exact_match']:.1%}")


def plot(folder: Path, name: str) -> None:
    """Draw the losses of training and validation over the steps, and the exact matches, into ``loss.png``."""
    from matplotlib.figure import Figure

    metrics = read_metrics(folder / METRICS)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    loss = figure.subplots()
    loss.set(title=f"{name}: loss and exact match", xlabel="step", ylabel="loss (nats per answer token)", yscale="log")
    loss.grid(alpha=0.3)
    exact = loss.twinx()
    exact.set(ylabel="exact match", ylim=(0, 1.02))
    exact.yaxis.set_major_formatter("{x:.0%}")
    for axes, key, label, style in (
        (loss, "loss", "training loss", "C0-"),
        (loss, "eval_loss", "validation loss", "C1o-"),
        (exact, "eval_exact_match", "exact match on validation rows", "C2s:"),
    ):
        points = [(line["step"], line[key]) for line in metrics if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, markersize=4)
    exact.set_visible(bool(exact.lines))
    figure.legend(handles=[*loss.lines, *exact.lines], loc="outside lower center", ncols=3)
    with written_aside(folder / PLOT) as part:
        figure.savefig(part, format="png", dpi=120)
