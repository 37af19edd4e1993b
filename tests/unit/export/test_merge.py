"""Merging refuses an adapter that is missing, damaged, or was made for another base."""

from __future__ import annotations

import json
from pathlib import Path

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
