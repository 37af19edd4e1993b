"""Checkpoints that are known to be whole: each is sealed with the sizes of its files once all of them are written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from drivecoach.files import write_json

FOLDER = "checkpoints"
_SEAL = "complete.json"


class Seal(TrainerCallback):
    """Seals every checkpoint, with the loss so far logged before it, and has the validation rows tried at the end too.

    So the last checkpoint is judged, and a run that goes on from one logs what the unbroken run logs.
    """

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write down what a complete checkpoint holds."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / _SEAL, _sizes(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a log line before each checkpoint, and for an evaluation after the last step."""
        control.should_log = control.should_log or control.should_save
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = True


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; newer ones that a kill, a full disk or a power cut left are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        if is_complete(path):
            return path
        shutil.rmtree(path)
    return None


def is_complete(checkpoint: Path) -> bool:
    """Whether every file that was sealed is there in its full size."""
    try:
        sealed = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(sealed, dict) and bool(sealed) and sealed == _sizes(checkpoint)


def is_last(checkpoint: Path) -> bool:
    """Whether the training was over when this was written: its last step was done, or its patience had run out."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    return bool(state.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"])


def restore(trainer: Trainer, checkpoint: Path) -> None:
    """Put ``trainer`` where it was at the end of a training whose last ``checkpoint`` this is.

    `Trainer.train` would do one more step first.
    """
    trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    kept = trainer.state.best_global_step if trainer.args.load_best_model_at_end else trainer.state.global_step
    trainer._load_from_checkpoint(str(checkpoint.with_name(f"checkpoint-{kept}")))


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _SEAL)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
