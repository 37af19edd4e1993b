"""What was trained as an ordinary Hugging Face folder, in the base's own precision; an adapter is joined with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from drivecoach.config import BaseConfig
from drivecoach.errors import ModelError, first_line
from drivecoach.train import bases


def merge(base: BaseConfig, adapter: Path, target: Path) -> None:
    """Merge the LoRA adapter in ``adapter`` into ``base`` and save model and tokenizer to ``target``.

    The sum is taken in 32 bits and rounded once, to the base's own type; a 4-bit base is never used.
    Raises ModelError when the adapter is missing, damaged, or was made for another base.
    """
    import torch
    from peft import PeftModel
    from safetensors import SafetensorError

    _check_adapter(base, adapter)
    own = bases.precision(base)
    model: Any = bases.load_model(base, torch.float32)
    try:
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ModelError(
            f"the adapter in {adapter} does not fit {base.name}: {first_line(error)}",
            hint="train again with this recipe, or export with the recipe it was trained with",
        ) from error
    _save(model, own, adapter, target)


def copy(base: BaseConfig, fitted: Path, target: Path) -> None:
    """Save the model of which all weights were trained to ``target``, in the type that its base has.

    A model trained from scratch has no base, and a base may be out of reach by now: then it keeps the type that it was
    trained in.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    trained = AutoConfig.from_pretrained(str(fitted)).dtype
    try:
        own = trained if base.source == "nano" else bases.precision(base)
    except ModelError:
        own = trained
    if own == trained:
        shutil.copytree(fitted, target)
        return
    model = AutoModelForCausalLM.from_pretrained(str(fitted), dtype=trained, use_safetensors=True)
    _save(model, own, fitted, target)


def _save(model: Any, precision: Any, fitted: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    model.to(precision).save_pretrained(str(target))
    AutoTokenizer.from_pretrained(str(fitted)).save_pretrained(str(target))


def _check_adapter(base: BaseConfig, adapter: Path) -> None:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"no adapter in {adapter}: {error}", hint="train first: drivecoach train RECIPE") from None
    made_for = config.get("base_model_name_or_path")
    if made_for not in (base.name, bases.locate(base)):
        raise ModelError(
            f"the adapter in {adapter} was made for {made_for}, not for {base.name}",
            hint="export with the recipe it was trained with",
        )
