"""Training recipe nano until its validation split is 99% exact, against TRL's SFTTrainer with an ordinary BPE.

    python benchmarks/train_nano.py

How many rows each way needs is found in one run; the seconds are these rows at the rates that are measured in turns.
Same pairs, chat, shape and seed. TRL has its defaults (batches of 8, AdamW, linear schedule, gradient checkpointing,
bf16), but for the learning rate, which is for tuning and far too low from nothing (`RATE`); the loss, which is the
model's own, because TRL's fused one wants a GPU where triton is installed; and as many epochs as fit into its rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common import figure, finish, in_turns
from transformers import Trainer, TrainerCallback
from transformers.trainer import DEFAULT_CALLBACKS
from trl import SFTConfig, SFTTrainer

from datasets import Dataset
from drivecoach.config import load_recipe
from drivecoach.pipeline import Run
from drivecoach.train import nano_backend
from drivecoach.train.backend import Job
from drivecoach.train.rows import TokenRow, exact_matches, token_rows
from drivecoach.train.trainer import fit

GOAL = 0.99
PATIENCE = 6.5
"""TRL is stopped after the rows for which it takes so many times our seconds."""
VOCABULARY = 4096
RATE = 1e-3
"""A usual rate for AdamW on so small a model from nothing; it was not searched for."""
TIMED, WARM = 12, 4
"""Steps of one run of the rate, of which the first are not counted."""


class Rate(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())

    def rows(self, batch: int) -> float:
        """Rows a second, after the first steps."""
        return batch * (len(self.times) - WARM) / (self.times[-1] - self.times[WARM - 1])


class Goal(TrainerCallback):
    """Tries the validation rows now and then, and stops the training at the goal."""

    def __init__(self, held_out: Sequence[TokenRow], every: int) -> None:
        self.held_out, self.every = held_out, every
        self.exact, self.steps = 0.0, 0

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.steps = state.global_step
        if self.steps % self.every and self.steps != state.max_steps:
            return
        parts = [self.held_out[start : start + 256] for start in range(0, len(self.held_out), 256)]
        self.exact = sum(exact_matches(model, part) * len(part) for part in parts) / len(self.held_out)
        print(f"  step {self.steps} of {state.max_steps}: {self.exact:.1%} exact", flush=True)
        control.should_training_stop |= self.exact >= GOAL


def ours(job: Job, watch: TrainerCallback, steps: int | None = None) -> None:
    """`drivecoach train` without its own trials of the validation rows."""
    settings = {"checkpoint_steps": 10**6, "max_steps": steps}
    train = job.recipe.train.model_copy(update=settings)
    DEFAULT_CALLBACKS.append(watch)
    with tempfile.TemporaryDirectory() as folder:
        recipe = job.recipe.model_copy(update={"train": train})
        fit(nano_backend, Job(recipe, job.chat, job.vocabulary, job.train, job.validation[:16], Path(folder)))
    DEFAULT_CALLBACKS.remove(watch)


class OnCpu(SFTTrainer):
    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return Trainer.compute_loss(self, *args, **kwargs)


def trl(job: Job, tokenizer: Any, watch: TrainerCallback, **lasting: Any) -> None:
    """TRL's defaults on prompt and completion as text."""
    rows = [{"prompt": job.chat.prompt(p.input), "completion": job.chat.completion(p.output)} for p in job.train]
    with tempfile.TemporaryDirectory() as folder:
        OnCpu(
            model=nano_backend.make_model(job.recipe.base.nano, tokenizer, 1024, job.recipe.train.seed),
            args=SFTConfig(
                folder,
                learning_rate=RATE,
                use_cpu=True,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                **lasting,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[watch],
        ).train()


def ordinary_tokenizer(job: Job) -> Any:
    """Byte-level BPE of the pairs' texts, with the chat's control tokens and no piece chosen by hand."""
    nano_backend._MERGES = VOCABULARY - 256
    chat = job.chat
    texts = [chat.prompt(pair.input) + chat.completion(pair.output) for pair in job.train]
    fixed, nano_backend._fixed_parts = nano_backend._fixed_parts, lambda _: []
    tokenizer = nano_backend.make_tokenizer([], texts, chat)
    nano_backend._MERGES, nano_backend._fixed_parts = 256, fixed
    return tokenizer


def main() -> None:
    """Rates in turns, then each way once to the goal."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "nano", load_recipe(Path("recipes/nano.yaml")))
        run.prepare()
        job = run.job()
    tokenizer = ordinary_tokenizer(job)
    batch = job.recipe.train.batch_size

    def our_rate() -> float:
        rate = Rate()
        ours(job, rate, TIMED)
        return rate.rows(batch)

    def their_rate() -> float:
        rate = Rate()
        trl(job, tokenizer, rate, max_steps=4 * TIMED)
        return rate.rows(8)

    rates = in_turns({"ours": our_rate, "TRL": their_rate})
    mine = Goal(run_rows(job, None), -(-len(job.train) // batch))
    ours(job, mine)
    seconds = [mine.steps * batch / rate for rate in rates["ours"]]
    theirs = Goal(run_rows(job, tokenizer), -(-len(job.train) // 8))
    trl(job, tokenizer, theirs, max_steps=round(PATIENCE * median(seconds) * median(rates["TRL"]) / 8))
    notes = [
        f"rows needed: {mine.steps * batch:,} (ours, {mine.exact:.1%} exact), {theirs.steps * 8:,} (TRL, "
        f"{theirs.exact:.1%} exact); tried once an epoch, which takes no part of the seconds",
        f"TRL: defaults but for learning rate {RATE:g}, the loss of transformers, and its number of steps",
    ]
    if theirs.exact < GOAL:
        notes.append("TRL was stopped before the goal: the ratio is at least this")
    against = "TRL's SFTTrainer, byte-level BPE"
    finish(
        "Training nano to quality",
        [
            figure(
                "seconds to 99% exact on validation", seconds, "s", baseline=against,
                against=[theirs.steps * 8 / rate for rate in rates["TRL"]], bar=6, less_is_better=True,
            ),
            figure("training, rows a second", rates["ours"], "rows/s", baseline=against, against=rates["TRL"]),
        ],
        notes,
    )


def run_rows(job: Job, tokenizer: Any) -> list[TokenRow]:
    """The validation rows in the tokens of nano, or of another tokenizer."""
    if tokenizer is None:
        texts = (job.chat.prompt(pair.input) + job.chat.completion(pair.output) for pair in job.train)
        tokenizer = nano_backend.make_tokenizer(job.vocabulary, texts, job.chat)
    return token_rows(job.validation, job.chat, tokenizer, 1024)


if __name__ == "__main__":
    main()
