"""The export stage on a finished training: what the files say of themselves, and in which precision they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("peft")

from gguf.constants import Keys
from gguf.utility import SafetensorsLocal

from drivecoach import stage
from drivecoach.gguf.reader import read_metadata
from tests.support.recipes import tiny_base
from tests.support.trained import trained_run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose weights are stored in bf16, as those on the hub are."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_base("qwen3", tmp_path_factory.mktemp("export") / "base")
    AutoModelForCausalLM.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


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
