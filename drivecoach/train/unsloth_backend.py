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

from typing import TYPE_CHECKING, Any

from drivecoach.errors import ModelError, first_line
from drivecoach.train import bases
from drivecoach.train.backend import Job

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

NAME = "unsloth"
OWN_LOSS = True
PRETRAINED = True


def load(job: Job, dtype: torch.dtype) -> tuple[Any, PreTrainedTokenizerBase]:
    """The recipe's base in ``dtype``, its adapter (if any) in place, and its tokenizer; ready to be trained."""
    from unsloth import FastLanguageModel

    base, settings = job.recipe.base, job.recipe.train
    source = bases.locate(base)
    try:
        model, tokenizer = FastLanguageModel.from_pretrained(
            model_name=source if job.start is None else str(job.start),
            revision=base.revision if job.start is None else None,
            max_seq_length=settings.max_length,
            dtype=dtype,
            load_in_4bit=settings.quantize == "4bit",
            full_finetuning=settings.lora is None,
            use_exact_model_name=True,  # else it may take a 4-bit copy of another name, that no adapter merges into
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"Unsloth cannot load {source}: {first_line(error)}",
            hint="check base.name and the network, or set train.backend: peft",
        ) from error
    if settings.lora is not None and job.start is None:
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
    return model, bases.fit_tokenizer(tokenizer, job.chat, source)
