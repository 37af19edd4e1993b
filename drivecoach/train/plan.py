"""What a run will be, known before it starts: size, tokens, steps, downloads; time and memory from a probe."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from drivecoach.config import BaseConfig, Recipe
from drivecoach.errors import ModelError
from drivecoach.progress import progress
from drivecoach.train.backend import Job
from drivecoach.train.rows import TokenRow, padded, token_rows

_SAMPLE = 2000
"""Rows that are tokenized; the tokens of more are estimated from these."""
_BITS = {"f16": 16.0, "q8_0": 8.5, "q6_K": 6.6, "q5_K_M": 5.7, "q4_K_M": 4.9, "q3_K_M": 3.9}
"""Of a weight in a GGUF file, scales and the larger types of some tensors included."""
_NEEDED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True)
class Probe:
    """What a few steps took."""

    seconds_per_step: float
    peak_bytes: int
    seconds: float
    """Of the whole run, at that speed."""


@dataclass(frozen=True)
class Plan:
    """What a recipe asks for; times are in seconds, memory in bytes."""

    parameters: int
    trained_parameters: int
    rows: int
    too_long: int
    tokens_per_epoch: int
    steps: int
    weights_bytes: int
    """The model's weights as they are held while training."""
    optimizer_bytes: int
    """Gradients and Adam's two moments of what is trained, in 32 bits."""
    disk_bytes: int
    """What the run's folder holds at most: checkpoints, the fitted and the merged model, the GGUF files."""
    download: dict[str, int] | None
    """Files of the base that are not here yet, with their sizes; None when the hub cannot be asked."""
    probe: Probe | None
    """None when the model does not fit into memory."""


def plan(job: Job, steps: int) -> Plan:
    """Measure what ``job`` would take on this machine; only the base's config and tokenizer are downloaded.

    The probe trains random weights of the base's own shape for ``steps`` steps: the speed is the same. A 4-bit base is
    probed in 16 bits.
    """
    import torch

    from drivecoach.train.trainer import dtype

    recipe, settings = job.recipe, job.recipe.train
    config, tokenizer = _shape(job)
    with torch.device("meta"):
        whole = _adapted(recipe, _random(config, dtype(settings)))
    parameters = sum(weight.numel() for weight in whole.parameters())
    trained = sum(weight.numel() for weight in whole.parameters() if weight.requires_grad)
    sample = job.train[:_SAMPLE]
    rows = token_rows(sample, job.chat, tokenizer, settings.max_length, drop=True)
    if not rows:
        raise ModelError("no row is short enough to train on", hint="raise train.max_length")
    scale = len(job.train) / len(sample)
    used = round(len(rows) * scale)
    per_epoch = math.ceil(math.ceil(used / settings.batch_size) / settings.gradient_accumulation)
    total = settings.max_steps or math.ceil(per_epoch * settings.epochs)
    width = 0.55 if settings.quantize else dtype(settings).itemsize  # 4 bits and their scales
    weights = round((parameters - trained) * width) + trained * 4
    probe = None
    if weights + trained * 12 < 0.8 * _memory():
        seconds, peak = _probe(recipe, config, rows, steps)
        probe = Probe(seconds, peak, seconds * total)
    return Plan(
        parameters=parameters,
        trained_parameters=trained,
        rows=used,
        too_long=round((len(sample) - len(rows)) * scale),
        tokens_per_epoch=round(sum(len(row["input_ids"]) for row in rows) * scale),
        steps=total,
        weights_bytes=weights,
        optimizer_bytes=trained * 12,
        disk_bytes=_disk(recipe, parameters, trained, dtype(settings).itemsize),
        download=_download(recipe.base),
        probe=probe,
    )


def _disk(recipe: Recipe, parameters: int, trained: int, width: int) -> int:
    """Three checkpoints while the third is written, each with two moments; then the models of the export."""
    quantized = sum(_BITS[kind] for kind in recipe.export.quantizations) / 8
    merged = width if recipe.export.keep_merged else 0
    return round(3 * trained * (width + 8) + trained * width + parameters * (merged + quantized))


def _shape(job: Job) -> tuple[Any, Any]:
    """The base's configuration and tokenizer; of a pretrained one no weights are fetched."""
    import torch
    from transformers import AutoConfig

    from drivecoach.train import bases, nano_backend

    base = job.recipe.base
    if base.source == "nano":
        model, tokenizer = nano_backend.load(job, torch.float32)
        return model.config, tokenizer
    tokenizer = bases.load_tokenizer(base, job.chat)
    source = bases.locate(base)
    try:
        return AutoConfig.from_pretrained(source, revision=base.revision), tokenizer
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"cannot read the config of {source}: {error}", hint="check base.name and the network"
        ) from error


def _random(config: Any, kind: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config, dtype=kind)


def _adapted(recipe: Recipe, model: Any) -> Any:
    from drivecoach.train import peft_backend

    return peft_backend.adapt(model, recipe.train.lora) if recipe.train.lora else model


def _probe(recipe: Recipe, config: Any, rows: Sequence[TokenRow], steps: int) -> tuple[float, int]:
    """Train ``steps`` optimizer steps; the median of their seconds (the first two left out), and the peak in bytes."""
    import torch

    from drivecoach.train.muon import own_optimizer
    from drivecoach.train.trainer import dtype

    settings = recipe.train
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _adapted(recipe, _random(config, dtype(settings)).to(device))
    model.train()
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = own_optimizer(model, settings) or torch.optim.AdamW(trained)
    times: list[float] = []
    at = 0
    with progress("plan: probe", steps, unit="step") as task:
        for _ in range(steps):
            start = time.perf_counter()
            for _ in range(settings.gradient_accumulation):
                batch = [rows[(at + place) % len(rows)] for place in range(settings.batch_size)]
                at += settings.batch_size
                ids, labels = padded(batch, device)
                with torch.autocast(device, torch.bfloat16, enabled=dtype(settings) is torch.bfloat16):
                    model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
            task.advance()
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else _resident_peak()
    return median(times[2:] or times), peak


def _resident_peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _memory() -> int:
    """Bytes of memory that training can use: the GPU's, else the machine's."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[1])
    return int(psutil.virtual_memory().available)


def _download(base: BaseConfig) -> dict[str, int] | None:
    """What `from_pretrained` would fetch: files of the base that are not in the cache."""
    if base.source in ("nano", "local"):
        return {}
    if base.source == "modelscope":
        return None
    from fnmatch import fnmatch

    from huggingface_hub import model_info, try_to_load_from_cache

    try:
        files = model_info(base.name or "", revision=base.revision, files_metadata=True).siblings or []
    except Exception:  # no network, no such model, no permission: the hub client has no common base of its errors
        return None
    return {
        file.rfilename: file.size or 0
        for file in files
        if any(fnmatch(file.rfilename, pattern) for pattern in _NEEDED)
        and not isinstance(try_to_load_from_cache(base.name or "", file.rfilename, revision=base.revision), str)
    }
