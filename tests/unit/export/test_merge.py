"""Merging gives what PEFT gives, and refuses an adapter that is missing, damaged, or was made for another base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from drivecoach.config import BaseConfig
from drivecoach.errors import ModelError
from drivecoach.export.merge import merge
from tests.support.recipes import tiny_base


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base and an adapter of it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("adapted")
    base = tiny_base("qwen3", folder / "base")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "adapter")
    return base, folder / "adapter"


def test_an_adapter_of_another_base_is_refused(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = adapted
    other = tiny_base("qwen2", tmp_path / "other")
    with pytest.raises(ModelError, match=f"was made for {base}, not for {other}"):
        merge(BaseConfig(source="local", name=str(other)), adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_whose_shapes_do_not_fit_is_refused(adapted: tuple[Path, Path], tmp_path: Path) -> None:
    """The same path, but another model lies there now."""
    import shutil

    from tests.support.tiny_models import save_model

    base, adapter = adapted
    copy = shutil.copytree(adapter, tmp_path / "adapter")
    config = json.loads((copy / "adapter_config.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(base, other)
    save_model("qwen3", other, rows=720, hidden_size=32)
    (copy / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(other)}))
    with pytest.raises(ModelError, match="does not fit"):
        merge(BaseConfig(source="local", name=str(other)), copy, tmp_path / "out")


@pytest.mark.parametrize("damage", ["missing", "no json", "cut weights"])
def test_a_damaged_adapter_is_refused(damage: str, adapted: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    base, adapter = adapted
    copy = tmp_path / "adapter"
    if damage != "missing":
        shutil.copytree(adapter, copy)
    if damage == "no json":
        (copy / "adapter_config.json").write_text("{")
    if damage == "cut weights":
        with (copy / "adapter_model.safetensors").open("r+b") as stream:
            stream.truncate(100)
    with pytest.raises(ModelError) as caught:
        merge(BaseConfig(source="local", name=str(base)), copy, tmp_path / "out")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "shards"),
    [
        ({}, True),
        ({"use_rslora": True, "lora_alpha": 7}, False),
        ({"use_dora": True}, False),
        ({"rank_pattern": {"v_proj": 3}}, False),
    ],
    ids=str,
)
def test_tensor_by_tensor_gives_what_peft_gives(
    settings: dict[str, Any], shards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tiny_base("qwen3", tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base).to(torch.bfloat16)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="40KB" if shards else "1GB")
    assert len(list(base.glob("*.safetensors"))) > 1 or not shards
    names = ["q_proj", "v_proj", "down_proj"]
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=names, init_lora_weights=False, **settings))
    adapted.save_pretrained(tmp_path / "adapter")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "adapter")
    config = BaseConfig(source="local", name=str(base))
    merge(config, tmp_path / "adapter", tmp_path / "streamed")
    monkeypatch.setattr("drivecoach.train.bases.stored", lambda base: {})
    merge(config, tmp_path / "adapter", tmp_path / "peft")
    streamed, peft = (load_file(tmp_path / name / "model.safetensors") for name in ("streamed", "peft"))
    assert streamed.keys() == peft.keys()
    for key, tensor in peft.items():
        assert tensor.dtype == torch.bfloat16 and torch.equal(streamed[key], tensor), key
    assert {path.name for path in (tmp_path / "streamed").iterdir()} == {
        path.name for path in (tmp_path / "peft").iterdir()
    }
    for name in ("config.json", "generation_config.json"):
        assert (tmp_path / "streamed" / name).read_text() == (tmp_path / "peft" / name).read_text()
