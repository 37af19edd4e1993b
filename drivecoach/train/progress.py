"""What a person sees of a running training: a bar with loss and time left, a metrics file, a loss plot."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from drivecoach.errors import TrainError

METRICS = "metrics.jsonl"
PLOT = "loss.png"


class Report(TrainerCallback):
    """Shows the progress bar and appends every logged value to ``metrics.jsonl`` in ``folder``."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._metrics = folder / METRICS
        self._progress = progress
        self._task = progress.add_task("train", total=None, loss="")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Size the bar; drop metrics of steps that a resumed run will do again."""
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)
        if not state.is_world_process_zero:
            return
        kept = [line for line in read_metrics(self._metrics) if line["step"] <= state.global_step]
        self._metrics.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Append one line of metrics, and show the loss beside the bar."""
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
            self._progress.update(self._task, loss=f"loss {values['loss']:.4f}")


def training_bar(*, shown: bool = True) -> Progress:
    """The bar that `Report` moves: steps, loss, time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),  # standard output is for results, with --json for JSON alone
        disable=not shown,
    )


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics written so far; a last line cut short by an interrupted run is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def plot_loss(folder: Path) -> None:
    """Draw training and validation loss over steps into ``loss.png``."""
    from matplotlib.figure import Figure

    metrics = read_metrics(folder / METRICS)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(line["step"], line[key]) for line in metrics if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xlabel="step", ylabel="loss (answer tokens)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / PLOT, dpi=120)
