"""The export stage on a finished training: what the files say of themselves, and in which precision they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from gguf.constants import Keys
from gguf.utility import SafetensorsLocal

from drivecoach import stage
from drivecoach.config import Recipe
from drivecoach.gguf.reader import read_metadata
from drivecoach.pipeline import Run
from drivecoach.train.result import TrainResult
from tests.support.recipes import tiny_base, write_rows


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose weights are stored in bf16, as those on the hub are."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_base("qwen3", tmp_path_factory.mktemp("export") / "base")
    AutoModelForCausalLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


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


@pytest.mark.parametrize("lora", [True, False])
def test_the_merged_folder_has_the_bases_precision_whatever_it_was_trained_in(
    lora: bool, base: Path, tmp_path: Path
) -> None:
    run = trained_run(base, tmp_path, lora=lora)
    run.export()
    merged = run.folder / "export" / "merged"
    weights = SafetensorsLocal(merged / "model.safetensors").tensors
    assert {tensor.dtype for tensor in weights.values()} == {"BF16"}
    assert json.loads((merged / "config.json").read_text())["dtype"] == "bfloat16"
    assert (merged / "tokenizer.json").is_file()


def test_a_file_says_what_it_is_and_the_merged_folder_can_go(base: Path, tmp_path: Path) -> None:
    run = trained_run(base, tmp_path, lora=False, author="驾校", version="1.2", data_license="MIT", keep_merged=False)
    first = run.export()
    file = run.folder / "export" / "coach-f16.gguf"
    found = read_metadata(file)
    general = Keys.General
    digest = json.loads((run.folder / "data" / stage.MANIFEST).read_text())["inputs"]["data"]["sha256"]
    assert {
        general.NAME: "coach",
        general.AUTHOR: "驾校",
        general.VERSION: "1.2",
        general.LICENSE: "apache-2.0 AND MIT",
        general.BASE_MODEL_COUNT: 1,
        general.BASE_MODEL_NAME.format(id=0): "base",
        general.DATASET_COUNT: 1,
        general.DATASET_NAME.format(id=0): "rows.jsonl",
        general.DATASET_VERSION.format(id=0): f"sha256:{digest}",
        "drivecoach.date": "2026-02-03",
        "drivecoach.license": "apache-2.0 AND MIT\nbase model base: apache-2.0\ndataset rows.jsonl: MIT",
    }.items() <= found.items()
    assert len(found["drivecoach.data.sha256"]) == 64
    assert not [value for value in found.values() if str(tmp_path) in str(value)], "paths of this machine"
    license = 'LICENSE """apache-2.0 AND MIT\nbase model base: apache-2.0\ndataset rows.jsonl: MIT"""\n'
    assert license in file.with_name("Modelfile").read_text(encoding="utf-8")

    assert not (run.folder / "export" / "merged").exists()
    run.evaluate()
    said: list[str] = []
    run.say = said.append
    assert run.export() == first and said == ["export: unchanged, skipped"], "no later stage relies on the folder"
    file.unlink()
    assert run.export() == first and len(said) > 1, "the same training gives the same bytes"


def test_what_is_not_known_is_said(base: Path, tmp_path: Path) -> None:
    run = trained_run(base, tmp_path, lora=False)
    said: list[str] = []
    run.say = said.append
    run.export()
    assert read_metadata(run.folder / "export" / "coach-f16.gguf")["general.license"] == "apache-2.0 AND unknown"
    assert any("dataset rows.jsonl: unknown" in text and "export.data_license" in text for text in said)
