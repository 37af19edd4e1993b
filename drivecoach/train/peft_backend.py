"""The plain backend: transformers and PEFT, on a GPU or a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivecoach.config import BaseConfig, LoraConfig
from drivecoach.errors import TrainError
from drivecoach.train import bases
from drivecoach.train.backend import Job

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

NAME = "peft"
OWN_LOSS = False
PRETRAINED = True


def load(job: Job, dtype: torch.dtype) -> tuple[Any, PreTrainedTokenizerBase]:
    """The recipe's base in ``dtype``, its adapter (if any) in place, and its tokenizer; ready to be trained."""
    base, settings = job.recipe.base, job.recipe.train
    if job.start and settings.lora is None:
        base = BaseConfig(source="local", name=str(job.start))
    tokenizer = bases.load_tokenizer(base, job.chat)
    model = bases.load_model(base, dtype, **(_four_bits(dtype) if settings.quantize else {}))
    if settings.lora is None:
        return model, tokenizer
    if settings.quantize:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=settings.gradient_checkpointing)
    return (bases.load_adapter(model, job.start) if job.start else adapt(model, settings.lora)), tokenizer


def adapt(model: Any, lora: LoraConfig) -> Any:
    """``model`` with the recipe's LoRA adapter in place, the base frozen."""
    import peft

    adapter = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules=list(lora.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, adapter)


def _four_bits(dtype: torch.dtype) -> dict[str, Any]:
    """QLoRA's way to hold the base: 4-bit NormalFloat, doubly quantized (arXiv 2305.14314)."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise TrainError(
            "train.quantize: 4bit needs bitsandbytes", hint="pip install bitsandbytes, or set train.quantize: null"
        ) from None
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    }
