"""What was trained as an ordinary Hugging Face folder, in the base's own precision; an adapter is joined with it."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

from drivecoach.config import BaseConfig
from drivecoach.errors import ModelError, first_line
from drivecoach.files import written_aside
from drivecoach.gguf.ahead import in_order
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
    stored = bases.stored(base)
    if stored and (additions := _plain_additions(adapter, stored)):
        _merge_stored(stored, additions, own, target)
        _save_beside(base, own, adapter, target)
        return
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


def _plain_additions(adapter: Path, stored: Mapping[str, Path]) -> dict[str, tuple[Any, Any, float]] | None:
    """What a plain LoRA adapter adds to which stored tensor: B, A and the scale.

    None for all that is more than that (another kind of adapter, a base whose tensors are stored under other names, a
    damaged file): PEFT knows what to do, or what to say.
    """
    from peft import LoraConfig
    from safetensors import SafetensorError, safe_open

    try:
        config: Any = LoraConfig.from_pretrained(str(adapter))
        usual = LoraConfig()
        told = {name for name, value in vars(config).items() if value != getattr(usual, name, None)}
        if told - _PLAIN or not isinstance(config.init_lora_weights, bool):
            return None
        parts: dict[str, dict[str, Any]] = {}
        with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
            for key in file.keys():  # noqa: SIM118  # no dict
                found = _PART.fullmatch(key)
                if not found or f"{found[1]}.weight" not in stored:
                    return None
                parts.setdefault(f"{found[1]}.weight", {})[found[2]] = file.get_tensor(key).float()
        scale = config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)
        additions = {key: (part["B"], part["A"], scale) for key, part in parts.items()}
        for key, (b, a, _) in additions.items():
            with safe_open(stored[key], "pt") as file:
                if [b.shape[0], a.shape[1]] != file.get_slice(key).get_shape() or b.shape[1] != a.shape[0]:
                    return None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    return additions


_PART = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_PLAIN = {
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules", "task_type", "init_lora_weights"),
    *("base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping"),
}
"""The settings of an adapter that may differ from PEFT's defaults without a change in how it is merged."""


def _merge_stored(
    stored: Mapping[str, Path], additions: Mapping[str, tuple[Any, Any, float]], precision: Any, target: Path
) -> None:
    """Write the base's tensors with what is added to them, in their order: only a few are in memory at a time."""
    from safetensors import safe_open

    def merged(item: tuple[str, Path]) -> memoryview:
        key, file = item
        with safe_open(file, "pt") as tensors:  # opened anew: what it has read would stay in memory
            tensor = tensors.get_tensor(key)
        if key in additions:
            b, a, scale = additions[key]
            tensor = (b @ a).mul_(scale).add_(tensor)
        return _bytes(tensor.to(precision))

    with written_aside(target / "model.safetensors") as part, part.open("wb") as out:
        table, end = {}, 0
        for key, file in stored.items():
            with safe_open(file, "pt") as tensors:
                shape = tensors.get_slice(key).get_shape()
            size = prod(shape) * precision.itemsize
            table[key] = {"dtype": _NAMES[str(precision)], "shape": shape, "data_offsets": [end, end + size]}
            end += size
        header = json.dumps({"__metadata__": {"format": "pt"}, **table}).encode()
        header += b" " * (-len(header) % 8)
        out.write(struct.pack("<Q", len(header)) + header)
        for raw in in_order(merged, stored.items()):
            out.write(raw)


_NAMES = {"torch.bfloat16": "BF16", "torch.float16": "F16", "torch.float32": "F32"}
"""torch's name -> that of safetensors."""


def _bytes(tensor: Any) -> memoryview:
    import torch

    return memoryview(tensor.contiguous().view(torch.uint8).numpy()).cast("B")


def _save_beside(base: BaseConfig, precision: Any, fitted: Path, target: Path) -> None:
    """What stands beside the weights: the configurations and the tokenizer."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    source = bases.locate(base)
    config = AutoConfig.from_pretrained(source, revision=base.revision)
    config.dtype = precision
    config.save_pretrained(str(target))
    with suppress(OSError):  # not every base has one
        GenerationConfig.from_pretrained(source, revision=base.revision).save_pretrained(str(target))
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
