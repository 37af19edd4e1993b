"""Training itself, the same for every backend: TRL's SFTTrainer, checkpoints, resuming, stopping, figures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, set_seed
from trl import SFTConfig, SFTTrainer

from datasets import Dataset
from drivecoach.config import TrainConfig
from drivecoach.errors import DataError
from drivecoach.files import write_json
from drivecoach.progress import progress
from drivecoach.train import checkpoints, forgetting, memory, packed, processes
from drivecoach.train.backend import Backend, Job
from drivecoach.train.muon import own_optimizer
from drivecoach.train.progress import Report, plot
from drivecoach.train.result import Best, TrainResult
from drivecoach.train.rows import TokenRow, exact_matches, token_rows
from drivecoach.train.trackers import check_trackers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BEST = {"validation_loss": "eval_loss", "exact_match": "eval_exact_match"}


@dataclass(frozen=True)
class _Rows:
    """A job's pairs as token ids."""

    train: Sequence[TokenRow]
    held_out: Sequence[TokenRow]
    too_long: int


def fit(backend: Backend, job: Job) -> TrainResult:
    """Fit the job's base to its pairs and leave in its folder: the model or adapter, tokenizer, metrics, plot.

    Goes on from the last complete checkpoint in the folder when there is one. Raises TrainError when a tracker is not
    installed, the loss is not finite, or memory is too small; DataError when no row is short enough.
    """
    check_trackers(job.recipe.train.report_to)
    set_seed(job.recipe.train.seed)  # an adapter's first weights are random
    model, tokenizer = _load_base(backend, job)
    rows = _tokenize(job, tokenizer)
    asked = _ask_base(backend, job, model, tokenizer)
    job = _with_batch_that_fits(job, model, rows)
    trainer = _train(backend, job, model, tokenizer, rows)
    fitted = _save(job, trainer)
    forgotten = _ask_again(job, trainer, asked) if asked else None
    return _result(job, trainer, rows, fitted, forgotten)


def _load_base(backend: Backend, job: Job) -> tuple[Any, PreTrainedTokenizerBase]:
    """The base where it will be trained: what is asked and tried before the first step should not run on the CPU."""
    with memory.explained(job.recipe.train), progress("train: load the base", shown=processes.is_first()):
        model, tokenizer = backend.load(job, dtype(job.recipe.train))
        if torch.accelerator.is_available() and not job.recipe.train.quantize:  # 4-bit weights are there already
            model = model.to(PartialState().device)
    return model, tokenizer


def _tokenize(job: Job, tokenizer: PreTrainedTokenizerBase) -> _Rows:
    """The pairs as token ids; those that are too long are refused or left out, as the recipe says."""
    settings, drop = job.recipe.train, job.recipe.data.refused == "drop"
    train = token_rows(job.train, job.chat, tokenizer, settings.max_length, drop=drop)
    held_out = token_rows(job.validation, job.chat, tokenizer, settings.max_length, drop=drop)
    too_long = len(job.train) + len(job.validation) - len(train) - len(held_out)
    if too_long:
        job.say(f"train: {too_long} row(s) are longer than {settings.max_length} tokens and left out")
    if not train:
        raise DataError("no row is short enough to train on", hint="raise train.max_length")
    if settings.best_by and not held_out:
        raise DataError("train.best_by needs validation rows, and there are none", hint="raise data.validation")
    return _Rows(train, held_out, too_long)


def _with_batch_that_fits(job: Job, model: Any, rows: _Rows) -> Job:
    """The job with the largest batch that fits into memory, where the recipe asks for that; else as it is."""
    if not job.recipe.train.auto_batch:
        return job
    settings = memory.auto_batch(model, rows.train, job.recipe.train)
    job.say(f"train: batches of {settings.batch_size} × {settings.gradient_accumulation} fit")
    return replace(job, recipe=job.recipe.model_copy(update={"train": settings}))


def _train(
    backend: Backend, job: Job, model: Any, tokenizer: PreTrainedTokenizerBase, rows: _Rows
) -> _Trainer:
    """Every step that is still to do; the trainer that did them holds the model and the figures."""
    settings, folder = job.recipe.train, job.folder
    if "tensorboard" in settings.report_to:  # by default it writes among the checkpoints, which are removed
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(folder / "tensorboard"))
    start = _last_checkpoint(job)
    own_loss = torch.cuda.is_available() or backend.OWN_LOSS
    packs = not own_loss and packed.fits(model)
    with (
        packed.attention(model) if packs else nullcontext(),
        rounded_products() if settings.precision == "auto" else nullcontext(),
        progress("train", unit="step", shown=processes.is_first()) as task,
    ):
        trainer = _Trainer(
            model=model,
            args=_arguments(settings, folder, evaluate=bool(rows.held_out)),
            train_dataset=Dataset.from_list(list(rows.train)),
            eval_dataset=Dataset.from_list(list(rows.held_out)) if rows.held_out else None,
            processing_class=tokenizer,
            data_collator=packed.pack if packs else None,
            callbacks=[Report(job.recipe.name, folder, task), checkpoints.Seal(), *_stopping(settings)],
            optimizers=(own_optimizer(model, settings), None),
        )
        trainer.own_loss = own_loss
        trainer.held_out = rows.held_out
        trainer.remove_callback(PrinterCallback)
        with memory.explained(settings):
            if start and checkpoints.is_last(start):
                checkpoints.restore(trainer, start)
            else:
                trainer.train(resume_from_checkpoint=str(start) if start else None)
    return trainer


@contextmanager
def rounded_products() -> Iterator[None]:
    """Where a CPU multiplies bfloat16 matrices in hardware (AMX), 32-bit matrices are rounded for each product.

    They are summed in 32 bits, and weights, gradients and all else keep their 32 bits.
    """
    before = torch.backends.mkldnn.matmul.fp32_precision
    if torch.cpu._is_amx_tile_supported():
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before


def _last_checkpoint(job: Job) -> Path | None:
    with processes.first_goes_ahead():
        start = checkpoints.last_complete(job.folder / checkpoints.FOLDER)
    if start:
        job.say(f"train: going on from step {start.name.rpartition('-')[2]}")
    return start


def _save(job: Job, trainer: _Trainer) -> Path:
    """Write model or adapter, tokenizer and plot."""
    fitted = job.folder / ("model" if job.recipe.train.lora is None else "adapter")
    trainer.save_model(str(fitted))
    if processes.is_first():
        plot(job.folder, job.recipe.name)
        trainer.processing_class.save_pretrained(str(fitted))
        (fitted / "training_args.bin").unlink(missing_ok=True)  # a pickle, and the recipe says it all
    return fitted


def _ask_base(
    backend: Backend, job: Job, model: Any, tokenizer: PreTrainedTokenizerBase
) -> list[forgetting.Asked] | None:
    """What the base makes of the general questions; None for one that knows nothing before it is trained."""
    if not backend.PRETRAINED:
        return None
    # A new adapter does nothing yet; an earlier run's is set aside. Where all weights are trained on, there is no base.
    with model.disable_adapter() if job.start and job.recipe.train.lora else nullcontext():
        return forgetting.ask(model, tokenizer, job.chat)


def _ask_again(job: Job, trainer: _Trainer, asked: Sequence[forgetting.Asked]) -> forgetting.Forgetting:
    """Ask the tuned model what the base was asked; every question goes into ``forgetting.json``."""
    again = forgetting.ask(trainer.model, trainer.processing_class, job.chat)
    whole, each = forgetting.compare(asked, again)
    if processes.is_first():
        questions = [change.model_dump() for change in each]
        write_json(job.folder / "forgetting.json", {**whole.model_dump(), "questions": questions})
    job.say(
        f"train: general questions known before {whole.known.base:.0%}, now {whole.known.tuned:.0%}; "
        f"forgetting {whole.forgetting:.2f}"
    )
    return whole


def _result(
    job: Job, trainer: _Trainer, rows: _Rows, fitted: Path, forgotten: forgetting.Forgetting | None
) -> TrainResult:
    state, weights, by = trainer.state, list(trainer.model.parameters()), job.recipe.train.best_by
    return TrainResult(
        fitted=fitted.name,
        parameters=sum(weight.numel() for weight in weights),
        trained_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        steps=state.global_step,
        rows=len(rows.train),
        too_long=rows.too_long,
        longest_row=max(len(row["input_ids"]) for row in rows.train),
        loss=_last(state.log_history, "loss"),
        validation_loss=_last(state.log_history, "eval_loss"),
        exact_match=_last(state.log_history, "eval_exact_match"),
        best=Best(by=by, step=state.best_global_step, value=state.best_metric) if by else None,
        forgetting=forgotten,
    )


class _Trainer(SFTTrainer):
    held_out: Sequence[TokenRow] = ()
    own_loss = True

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """On a CPU, the model's own loss: TRL's fused one calls triton, which has no driver there, if installed."""
        if self.own_loss:
            return super().compute_loss(*args, **kwargs)
        return Trainer.compute_loss(self, *args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Beside the loss, the share of validation rows whose greedy answer is right to the letter."""
        output = super().evaluation_loop(*args, **kwargs)
        if self.held_out:
            share = exact_matches(self.model, self.held_out)
            output.metrics["eval_exact_match"] = share
        return output


def dtype(settings: TrainConfig) -> torch.dtype:
    """The torch dtype that a recipe trains in on this machine."""
    if settings.precision == "auto":
        bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    else:
        bf16 = settings.precision == "bf16"
    return torch.bfloat16 if bf16 else torch.float32


def _stopping(settings: TrainConfig) -> list[Any]:
    return [EarlyStoppingCallback(settings.patience)] if settings.patience else []


def _arguments(settings: TrainConfig, folder: Path, *, evaluate: bool) -> SFTConfig:
    cosine = {"min_lr_rate": settings.min_learning_rate_ratio} if settings.min_learning_rate_ratio else None
    best = settings.best_by if evaluate else None
    return SFTConfig(
        output_dir=str(folder / checkpoints.FOLDER),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine_with_min_lr" if cosine else "cosine",
        lr_scheduler_kwargs=cosine,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        adam_beta2=settings.adam_beta2,
        optim="adamw_torch" if settings.optimizer == "muon" else settings.optimizer,
        use_cpu=not torch.accelerator.is_available(),
        bf16=dtype(settings) is torch.bfloat16,
        gradient_checkpointing=settings.gradient_checkpointing,
        max_length=settings.max_length,
        seed=settings.seed,
        logging_steps=settings.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=settings.evaluate_every or settings.checkpoint_steps,
        restore_callback_states_from_checkpoint=settings.patience is not None,  # the patience that is left
        load_best_model_at_end=best is not None,
        metric_for_best_model=_BEST[best] if best else None,
        greater_is_better=best == "exact_match" if best else None,
        dataset_kwargs={"skip_prepare_dataset": True},
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=list(settings.report_to) or "none",
    )


def _last(history: Sequence[Mapping[str, float]], key: str) -> float | None:
    return next((entry[key] for entry in reversed(history) if key in entry), None)
