"""Training itself, the same for every backend: TRL's SFTTrainer, checkpoints, resuming, stopping, figures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, set_seed
from trl import SFTConfig, SFTTrainer

from datasets import Dataset
from drivecoach.chat import Chat
from drivecoach.config import Recipe, TrainConfig
from drivecoach.data import Pair
from drivecoach.domains.load import load_domain
from drivecoach.errors import DataError
from drivecoach.files import write_json
from drivecoach.train import checkpoints, forgetting, memory, nano, processes
from drivecoach.train.fit import Backend
from drivecoach.train.muon import own_optimizer
from drivecoach.train.progress import Report, plot_loss, training_bar
from drivecoach.train.rows import TokenRow, exact_matches, token_rows

_BEST = {"validation_loss": "eval_loss", "exact_match": "eval_exact_match"}


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
            share = exact_matches(self.model, self.processing_class, self.held_out)
            output.metrics["eval_exact_match"] = share
        return output


def run(
    backend: Backend | None,
    recipe: Recipe,
    chat: Chat,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """See `drivecoach.train.fit.fit`; ``backend`` is None for the embedded base, which is made here."""
    settings = recipe.train
    set_seed(settings.seed)  # an adapter's first weights are random
    with memory.explained(settings):
        model, tokenizer = load(backend, recipe, chat, train)
    drop = recipe.data.refused == "drop"
    rows = token_rows(train, chat, tokenizer, settings.max_length, drop=drop)
    held_out = token_rows(validation, chat, tokenizer, settings.max_length, drop=drop)
    too_long = len(train) + len(validation) - len(rows) - len(held_out)
    if too_long:
        say(f"train: {too_long} row(s) are longer than {settings.max_length} tokens and left out")
    if not rows:
        raise DataError("no row is short enough to train on", hint="raise train.max_length")
    if settings.best_by and not held_out:
        raise DataError("train.best_by needs validation rows, and there are none", hint="raise data.validation")
    base = None if backend is None else forgetting.ask(model, tokenizer, chat)  # an adapter does nothing at first
    if settings.auto_batch:
        settings = memory.auto_batch(model, rows, settings)
        say(f"train: batches of {settings.batch_size} × {settings.gradient_accumulation} fit")
    if "tensorboard" in settings.report_to:  # by default it writes among the checkpoints, which are removed
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(folder / "tensorboard"))
    with training_bar(shown=processes.is_first()) as bar:
        trainer = _Trainer(
            model=model,
            args=_arguments(settings, folder, evaluate=bool(held_out)),
            train_dataset=Dataset.from_list(list(rows)),
            eval_dataset=Dataset.from_list(list(held_out)) if held_out else None,
            processing_class=tokenizer,
            callbacks=[Report(folder, bar), checkpoints.Seal(), *_stopping(settings)],
            optimizers=(own_optimizer(model, settings), None),
        )
        trainer.own_loss = torch.cuda.is_available() or (backend is not None and backend.OWN_LOSS)
        trainer.held_out = held_out if settings.best_by == "exact_match" else ()
        trainer.remove_callback(PrinterCallback)
        with processes.first_goes_ahead():
            start = checkpoints.last_complete(folder / checkpoints.FOLDER)
        if start:
            say(f"train: going on from step {start.name.rpartition('-')[2]}")
        with memory.explained(settings):
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    results = _finish(trainer, tokenizer, recipe, rows, too_long, folder)
    if base is not None:
        compared = forgetting.compare(base, forgetting.ask(trainer.model, tokenizer, chat))
        if processes.is_first():
            write_json(folder / "forgetting.json", compared)
        results["forgetting"] = {key: value for key, value in compared.items() if key != "questions"}
        before, after = (f"{compared['known'][model]:.0%}" for model in ("base", "tuned"))
        say(f"train: general questions known before {before}, now {after}; forgetting {compared['forgetting']:.2f}")
    return results


def _finish(
    trainer: Any, tokenizer: Any, recipe: Recipe, rows: Sequence[TokenRow], too_long: int, folder: Path
) -> dict[str, Any]:
    fitted = folder / ("model" if recipe.train.lora is None else "adapter")
    trainer.save_model(str(fitted))
    state, weights = trainer.state, list(trainer.model.parameters())
    if processes.is_first():
        plot_loss(folder)
        tokenizer.save_pretrained(str(fitted))
        (fitted / "training_args.bin").unlink(missing_ok=True)  # a pickle, and the recipe says it all
        shutil.rmtree(folder / checkpoints.FOLDER, ignore_errors=True)
    by = recipe.train.best_by
    return {
        "fitted": fitted.name,
        "parameters": sum(weight.numel() for weight in weights),
        "trained_parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        "steps": state.global_step,
        "rows": len(rows),
        "too_long": too_long,
        "longest_row": max(len(row["input_ids"]) for row in rows),
        "loss": _last(state.log_history, "loss") or _last(state.log_history, "train_loss"),
        "validation_loss": _last(state.log_history, "eval_loss"),
        **({"best_step": state.best_global_step, f"best_{by}": state.best_metric} if by else {}),
    }


def load(backend: Backend | None, recipe: Recipe, chat: Chat, train: Sequence[Pair]) -> tuple[Any, Any]:
    """The recipe's base and tokenizer, ready to be trained; the embedded base is made from nothing."""
    if backend is not None:
        return backend.load(recipe, chat, dtype(recipe.train))
    texts = (chat.prompt(pair.input, pair.history) + chat.completion(pair.output) for pair in train)
    tokenizer = nano.make_tokenizer(load_domain(recipe.domain).vocabulary(), texts, chat)
    return nano.make_model(recipe.base.nano, tokenizer, recipe.train.max_length, recipe.train.seed), tokenizer


def dtype(settings: TrainConfig) -> Any:
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
        eval_steps=settings.checkpoint_steps,
        restore_callback_states_from_checkpoint=settings.patience is not None,  # the patience that is left
        load_best_model_at_end=best is not None,
        metric_for_best_model=_BEST[best] if best else None,
        greater_is_better=best == "exact_match" if best else None,
        dataset_kwargs={"skip_prepare_dataset": True},
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=list(settings.report_to) or "none",
    )


def _last(history: list[dict[str, Any]], key: str) -> float | None:
    return next((entry[key] for entry in reversed(history) if key in entry), None)
