"""Writing a model folder as GGUF: values, fields, and a clear error that names every fault."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file, save_file

from drivecoach.errors import ModelError, StorageError
from drivecoach.gguf.numbers import are_finite, floats, halves
from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.reader import describe, read_metadata
from drivecoach.gguf.writer import write_gguf
from tests.support.tiny_models import byte_level_tokenizer, save_model, save_tokenizer


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = byte_level_tokenizer("gpt2", size=400, added=["挡位:1挡; "])
    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    save_model("qwen3", folder, rows=tokenizer.get_vocab_size() + 3, num_hidden_layers=2)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tiny")


def edit_json(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    value.update(changes)
    path.write_text(json.dumps({key: entry for key, entry in value.items() if entry is not None}), encoding="utf-8")


def test_matrices_become_f16_and_vectors_f32_from_sharded_bf16(folder: Path, tmp_path: Path) -> None:
    model = save_model("qwen3", folder, rows=410, num_hidden_layers=2).to(torch.bfloat16)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    target = tmp_path / "model.gguf"
    write_gguf(folder, target)
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(target).tensors}
    state = model.state_dict()
    for name, key in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight"),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("blk.0.attn_q_norm.weight", "model.layers.0.self_attn.q_norm.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ):
        expected = state[key].float().numpy()
        assert tensors[name].dtype == (np.float16 if expected.ndim == 2 else np.float32)
        assert np.array_equal(tensors[name], expected.astype(tensors[name].dtype))


def test_fields_of_ones_own_are_written_and_kept_by_quantization(folder: Path, tmp_path: Path) -> None:
    own = {"drivecoach.system": "一句话 {{ x }}", "drivecoach.thinking": False, "drivecoach.rows": 7799}
    write_gguf(folder, tmp_path / "f16.gguf", metadata=own, chat_template="{{ messages }}")
    quantize(tmp_path / "f16.gguf", tmp_path / "q4.gguf", "q4_K_M")
    first, second = read_metadata(tmp_path / "f16.gguf"), read_metadata(tmp_path / "q4.gguf")
    assert own.items() <= first.items()
    assert first["tokenizer.chat_template"] == "{{ messages }}"
    assert first["general.name"] == "tiny" and first["tokenizer.ggml.pre"] == "gpt-2"
    assert second == first | {"general.file_type": 15}


def test_the_tokenizers_own_chat_template_is_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for tool in tools %}{% endfor %}", encoding="utf-8")
    write_gguf(folder, tmp_path / "model.gguf")
    assert "tokenizer.chat_template" not in read_metadata(tmp_path / "model.gguf")


def test_kinds_of_tokens(folder: Path, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "model.gguf")
    fields = GGUFReader(tmp_path / "model.gguf").fields
    kinds = dict(
        zip(fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents(), strict=True)
    )
    assert kinds["<|im_end|>"] == 3
    assert kinds["挡位:1挡; "] == 4
    assert kinds["Ġthe"] == 1
    assert [kinds[f"[PAD{row}]"] for row in range(401, 404)] == [5, 5, 5]


@pytest.mark.parametrize("key", ["general.architecture", "qwen3.block_count", "Drive Coach", "plain", "a..b", "a.\n"])
def test_fields_that_are_taken_or_malformed_are_refused(folder: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(ModelError, match="metadata field"):
        write_gguf(folder, tmp_path / "model.gguf", metadata={key: "x"})
    assert list(tmp_path.glob("model.gguf*")) == []


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def diverge(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = float("nan")


def outgrow(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = 1e6


def lose(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.norm.weight"], tensors["model.layers.0.mlp.up_proj.weight"]
    tensors["model.layers.0.mlp.extra.weight"] = torch.zeros(2, 2)


def compress(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.0.mlp.up_proj.weight"] = torch.zeros(8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (diverge, ["blk.1.ffn_up.weight", "not finite"]),
        (outgrow, ["blk.1.ffn_up.weight", "in 16 bits"]),
        (lose, ["output_norm.weight", "blk.0.ffn_up.weight", "mlp.extra.weight"]),
        (compress, ["up_proj.weight", "U8"]),
    ],
)
def test_wrong_weights_are_named(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], named: list[str]
) -> None:
    change_tensors(folder, change)
    with pytest.raises(ModelError) as caught:
        write_gguf(folder, tmp_path / "model.gguf")
    assert caught.value.hint
    assert all(name in str(caught.value) for name in named)
    assert list(tmp_path.glob("model.gguf*")) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architectures": ["MambaForCausalLM"]}, ["MambaForCausalLM"]),
        ({"architectures": None}, ["None"]),
        ({"hidden_size": None, "rms_norm_eps": "small"}, ["hidden_size", "rms_norm_eps"]),
        ({"hidden_act": "relu", "use_sliding_window": True}, ["relu", "use_sliding_window"]),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, ["dynamic"]),
        ({"rope_parameters": {"rope_type": "llama3"}}, ["llama3"]),
        ({"rope_parameters": {"rope_type": "yarn", "beta_fast": 8}}, ["beta_fast", "yarn factor"]),
        ({"quantization_config": {"load_in_4bit": True}}, ["quantization_config"]),
    ],
)
def test_models_that_llama_cpp_computes_otherwise_are_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], named: list[str]
) -> None:
    edit_json(folder / "config.json", **changes)
    with pytest.raises(ModelError) as caught:
        write_gguf(folder, tmp_path / "model.gguf")
    assert all(name in str(caught.value) for name in named)
    assert caught.value.hint


def test_gemma_with_another_pattern_or_scale_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "gemma"
    save_model("gemma3", folder, rows=64, sliding_window_pattern=2, query_pre_attn_scalar=99)
    with pytest.raises(ModelError) as caught:
        write_gguf(folder, tmp_path / "model.gguf")
    assert [fault.where for fault in caught.value.faults] == ["layer_types", "query_pre_attn_scalar"]


def test_unknown_architecture_lists_the_known_ones(folder: Path, tmp_path: Path) -> None:
    edit_json(folder / "config.json", architectures=["Foo"])
    with pytest.raises(ModelError) as caught:
        write_gguf(folder, tmp_path / "model.gguf")
    for known in ("Qwen3ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM", "Gemma3ForCausalLM"):
        assert known in caught.value.hint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_cut_or_garbled_files_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    for content in (None, b"", b"\xff\x00 garbled", data[: len(data) // 2], data[:20]):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            write_gguf(folder, tmp_path / "model.gguf")
        assert caught.value.hint
        assert list(tmp_path.glob("model.gguf*")) == []


def test_an_adapter_is_told_to_merge(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        write_gguf(tmp_path, tmp_path / "model.gguf")
    assert "merge" in caught.value.hint


def test_a_missing_shard_is_refused(folder: Path, tmp_path: Path) -> None:
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match="model-00001-of-00002"):
        write_gguf(folder, tmp_path / "model.gguf")


def test_an_embedding_smaller_than_the_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    def shrink(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:100].clone()

    change_tensors(folder, shrink)
    with pytest.raises(ModelError, match="only 100 rows"):
        write_gguf(folder, tmp_path / "model.gguf")


@pytest.mark.parametrize("step", ["write", "quantize"])
def test_a_disk_that_fills_up_leaves_nothing_behind(folder: Path, tmp_path: Path, step: str) -> None:
    source, target = tmp_path / "source.gguf", tmp_path / "target.gguf"
    write_gguf(folder, source)
    target.write_bytes(b"what was there before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))  # the system then fails as with a full disk
    try:
        with pytest.raises(StorageError) as caught:
            if step == "write":
                write_gguf(folder, target)
            else:
                quantize(source, target, "q8_0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.hint
    assert target.read_bytes() == b"what was there before"
    assert sorted(path.name for path in tmp_path.glob("*.gguf*")) == ["source.gguf", "target.gguf"]


def test_quantize_refuses_what_it_cannot_do_well(folder: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "source.gguf", tmp_path / "target.gguf"
    write_gguf(folder, source)
    quantize(source, target, "q8_0")
    with pytest.raises(ModelError, match="quantized already"):
        quantize(target, tmp_path / "again.gguf", "q4_K_M")
    with pytest.raises(ModelError, match="no quantization 'q2_K'"):
        quantize(source, tmp_path / "again.gguf", "q2_K")  # type: ignore[arg-type]
    source.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(ModelError, match="not a whole GGUF"):
        quantize(source, tmp_path / "again.gguf", "q4_K_M")
    assert not (tmp_path / "again.gguf").exists()
    assert {kind for _, kind, shape in describe(target) if len(shape) == 2} == {"Q8_0"}


def test_brain_floats_widen_to_the_very_numbers_that_torch_reads() -> None:
    """All 65,536 of them, NaNs told by being NaN."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    expected = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(floats(bits, "BF16"), expected, equal_nan=True)
    assert floats(expected, "F32") is expected
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.array_equal(halves(bits, "BF16"), expected.astype("<f2"), equal_nan=True)


@given(arrays("<f2", st.integers(0, 5), elements=st.floats(width=16)) | arrays("<f4", 3, elements=st.floats(width=32)))
def test_numbers_that_are_not_finite_are_seen(values: np.ndarray) -> None:
    assert are_finite(values) == np.isfinite(values).all()
