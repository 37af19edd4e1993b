"""The backend Unsloth: its own loading and LoRA kernels; Unsloth changes TRL and transformers as it is imported.

So it comes before either of them, here and nowhere else. Its core is Apache-2.0, its CPU files are AGPL-3.0, and
unsloth_zoo is LGPL-3.0: an optional extra.
"""

# isort: off
from __future__ import annotations

import os

os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")  # it would call home while it is imported
import unsloth  # noqa: F401
# isort: on

from typing import Any

from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.errors import ModelError
from drivecoach.train import bases

NAME = "unsloth"
OWN_LOSS = True


def load(recipe: Recipe, chat: Chat, dtype: Any) -> tuple[Any, Any]:
    """The recipe's base in ``dtype``, its adapter (if any) in place, and its tokenizer; ready to be trained."""
    from unsloth import FastLanguageModel

    settings, source = recipe.train, bases.locate(recipe.base)
    try:
        model, tokenizer = FastLanguageModel.from_pretrained(
            model_name=source,
            revision=recipe.base.revision,
            max_seq_length=settings.max_length,
            dtype=dtype,
            load_in_4bit=settings.quantize == "4bit",
            full_finetuning=settings.lora is None,
            use_exact_model_name=True,  # else it may take a 4-bit copy of another name, that no adapter merges into
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Unsloth cannot load {source}: {reason}",
            hint="check base.name and the network, or set train.backend: peft",
        ) from error
    if settings.lora is not None:
        lora = settings.lora
        model = FastLanguageModel.get_peft_model(
            model,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            use_rslora=lora.rslora,
            target_modules=list(lora.target_modules),
            bias="none",
            use_gradient_checkpointing="unsloth" if settings.gradient_checkpointing else False,
            random_state=settings.seed,
            max_seq_length=settings.max_length,
        )
    return model, bases.fit_tokenizer(tokenizer, chat, source)
