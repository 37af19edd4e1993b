"""The plain backend: TRL's SFTTrainer with PEFT, on a GPU or a CPU."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer
from trl import SFTConfig, SFTTrainer

from datasets import Dataset
from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data import Pair
from drivecoach.errors import TrainError
from drivecoach.registry import load_domain
from drivecoach.train import bases, nano
from drivecoach.train.progress import Report, plot_loss, training_bar
from drivecoach.train.rows import token_rows

CHECKPOINTS = "checkpoints"


class _Trainer(SFTTrainer):
    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """On a CPU, the model's own loss: TRL's fused one calls triton, which has no driver there, if installed."""
        if torch.cuda.is_available():
            return super().compute_loss(*args, **kwargs)
        return Trainer.compute_loss(self, *args, **kwargs)


def fit(recipe: Recipe, chat: Chat, train: Sequence[Pair], validation: Sequence[Pair], folder: Path) -> dict[str, Any]:
    """Fit the recipe's base to ``train`` and leave in ``folder``: the model or adapter, tokenizer, metrics, plot.

    Goes on from the last complete checkpoint in ``folder`` when there is one. Returns figures for the manifest.
    Raises TrainError when the loss is not finite.
    """
    settings = recipe.train
    model, tokenizer = _base(recipe, chat, train)
    rows = token_rows(train, chat, tokenizer, settings.max_length)
    held_out = token_rows(validation, chat, tokenizer, settings.max_length)
    with training_bar() as bar:
        trainer = _Trainer(
            model=model,
            args=_arguments(recipe, folder, evaluate=bool(held_out)),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list(held_out) if held_out else None,
            processing_class=tokenizer,
            peft_config=_adapter(recipe),
            callbacks=[Report(folder, bar)],
        )
        trainer.remove_callback(PrinterCallback)
        outcome = trainer.train(resume_from_checkpoint=_last_checkpoint(folder / CHECKPOINTS))
    if not outcome.training_loss < float("inf"):
        raise TrainError(
            f"the loss is {outcome.training_loss}: training diverged",
            hint="lower train.learning_rate (try a tenth) or raise train.warmup_steps, then run again",
        )
    plot_loss(folder)
    fitted = folder / ("model" if settings.lora is None else "adapter")
    trainer.save_model(str(fitted))
    tokenizer.save_pretrained(str(fitted))
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "fitted": fitted.name,
        "parameters": parameters,
        "trained_parameters": trained,
        "steps": trainer.state.global_step,
        "rows": len(rows),
        "longest_row": max(len(row["input_ids"]) for row in rows),
        "loss": _last(trainer.state.log_history, "loss"),
        "validation_loss": _last(trainer.state.log_history, "eval_loss"),
    }


def _base(recipe: Recipe, chat: Chat, train: Sequence[Pair]) -> tuple[Any, Any]:
    if recipe.base.source == "nano":
        texts = (chat.prompt(pair.input) + chat.completion(pair.output) for pair in train)
        tokenizer = nano.make_tokenizer(load_domain(recipe.domain).vocabulary(), texts, chat)
        return nano.make_model(recipe.base.nano, tokenizer, recipe.train.max_length, recipe.train.seed), tokenizer
    return bases.load_model(recipe.base, _dtype(recipe)), bases.load_tokenizer(recipe.base, chat)


def _dtype(recipe: Recipe) -> Any:
    return torch.bfloat16 if _bf16(recipe) else torch.float32


def _bf16(recipe: Recipe) -> bool:
    if recipe.train.precision == "auto":
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    return recipe.train.precision == "bf16"


def _adapter(recipe: Recipe) -> Any:
    if recipe.train.lora is None:
        return None
    from peft import LoraConfig

    lora = recipe.train.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _arguments(recipe: Recipe, folder: Path, *, evaluate: bool) -> SFTConfig:
    settings = recipe.train
    cosine = {"min_lr_rate": settings.min_learning_rate_ratio} if settings.min_learning_rate_ratio else None
    return SFTConfig(
        output_dir=str(folder / CHECKPOINTS),
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
        optim=settings.optimizer,
        bf16=_bf16(recipe),
        gradient_checkpointing=settings.gradient_checkpointing,
        max_length=settings.max_length,
        seed=settings.seed,
        logging_steps=settings.logging_steps,
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=settings.checkpoint_steps,
        dataset_kwargs={"skip_prepare_dataset": True},
        disable_tqdm=True,
        report_to="none",
    )


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole (its trainer state is what the trainer writes last)."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    newest = max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return str(newest) if newest else None


def _last(history: list[dict[str, Any]], key: str) -> float | None:
    return next((entry[key] for entry in reversed(history) if key in entry), None)
