"""A run whose training is finished without any step: a tiny base's own weights, whole or under an adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drivecoach import stage
from drivecoach.config import Recipe
from drivecoach.pipeline import Run
from drivecoach.train.result import TrainResult
from tests.support.recipes import write_rows


def trained_run(base: Path, folder: Path, *, lora: bool, **export: Any) -> Run:
    """A run whose training, in 32 bits, is finished; its weights are the base's."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe = Recipe.model_validate(
        {
            "name": "trial",
            "domain": "text",
            "data": {"path": str(write_rows("alpaca", folder / "rows.jsonl")), "test": 0.2},
            "base": {"source": "local", "name": str(base)},
            "train": {"lora": {"target_modules": ["q_proj"]} if lora else None},
            "export": {"name": "coach", "quantizations": ["f16"], "num_predict": 4, "num_ctx": 256, **export},
        }
    )
    run = Run(folder / "run", recipe, lambda _: None)
    run.prepare()
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    fitted = run.folder / "train" / ("adapter" if lora else "model")
    (get_peft_model(model, LoraConfig(target_modules=["q_proj"])) if lora else model).save_pretrained(fitted)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.save_pretrained(fitted)
    result = TrainResult(
        fitted=fitted.name,
        parameters=1,
        trained_parameters=1,
        steps=1,
        rows=1,
        too_long=0,
        longest_row=1,
        loss=1.0,
        validation_loss=None,
        exact_match=None,
        best=None,
        forgetting=None,
    )
    stage.finish(run.folder / "train", {}, result, [fitted.name])
    manifest = run.folder / "train" / stage.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "date": "2026-02-03T04:05:06+00:00"}))
    return run
