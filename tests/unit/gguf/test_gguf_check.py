"""One damaged number in a GGUF: found in our own reading, before llama.cpp would end the process over it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.chat import Chat
from drivecoach.errors import ModelError
from drivecoach.gguf.check import read_model
from drivecoach.gguf.reader import read_header
from drivecoach.runtime import open_runtime
from tests.support.scripted_model import write_scripted_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("gguf") / "whole.gguf", "好", chat=Chat("你是教练。"))


def damaged(whole: Path, key: str, code: str, value: object) -> Path:
    """A copy in which the number of one metadata field, its last bytes, is another."""
    raw = read_header(whole).fields[key].raw
    content = whole.read_bytes()
    end = content.index(raw) + len(raw)
    copy = whole.with_name("damaged.gguf")
    copy.write_bytes(content[: end - struct.calcsize(code)] + struct.pack(code, value) + content[end:])
    return copy


NUMBERS = {
    "qwen3.block_count": "<I",
    "qwen3.embedding_length": "<I",
    "qwen3.feed_forward_length": "<I",
    "qwen3.attention.head_count": "<I",
    "qwen3.attention.head_count_kv": "<I",
    "qwen3.attention.key_length": "<I",
    "qwen3.rope.dimension_count": "<I",
}


def test_a_whole_file_fits(whole: Path) -> None:
    assert read_model(whole)["qwen3.block_count"] == 1


@given(st.sampled_from(sorted(NUMBERS)), st.integers(0, 2**32 - 1) | st.integers(0, 300))
def test_every_count_fits_the_tensors_or_is_named(whole: Path, key: str, value: int) -> None:
    right = read_header(whole).fields[key].value
    copy = damaged(whole, key, NUMBERS[key], value)
    if value == right:
        assert read_model(copy)[key] == value
        return
    with pytest.raises(ModelError, match="does not fit its tensors") as caught:
        open_runtime(str(copy))
    assert caught.value.faults and caught.value.hint
    assert str(value) in "".join(map(str, caught.value.faults))


@pytest.mark.parametrize(
    ("key", "code", "value"),
    [
        ("qwen3.context_length", "<I", 0),
        ("qwen3.context_length", "<I", 2**31),
        ("drivecoach.num_ctx", "<I", 2**32 - 1),
        ("drivecoach.num_predict", "<I", 0),
        ("qwen3.attention.layer_norm_rms_epsilon", "<f", float("nan")),
        ("qwen3.attention.layer_norm_rms_epsilon", "<f", -1.0),
        ("qwen3.rope.freq_base", "<f", float("inf")),
        ("tokenizer.ggml.eos_token_id", "<I", 2**32 - 1),
    ],
)
def test_what_llama_cpp_could_not_take_is_named(whole: Path, key: str, code: str, value: float) -> None:
    with pytest.raises(ModelError) as caught:
        read_model(damaged(whole, key, code, value))
    assert [fault.where for fault in caught.value.faults] == [key]


def test_a_token_that_is_there_twice_is_named(whole: Path) -> None:
    """llama.cpp ends the process over it."""
    raw = read_header(whole).fields["tokenizer.ggml.tokens"].raw
    one, two = (struct.pack("<Q", 1) + text for text in (b"A", b"B"))
    content = whole.read_bytes().replace(raw, raw.replace(one, two))
    copy = whole.with_name("doubles.gguf")
    copy.write_bytes(content)
    with pytest.raises(ModelError, match="1 that were there before"):
        read_model(copy)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("output_norm.weight", {"type": 1}, "output_norm.weight: F16"),
        ("blk.0.attn_q.weight", {"rows": 32}, "blk.0.attn_q.weight"),
        ("blk.0.ffn_up.weight", {"rows": 31}, "blk.0.ffn_up.weight"),
        ("token_embd.weight", {"rows": 7}, "tokenizer.ggml.tokens"),
        ("blk.0.attn_v.weight", {"name": b"blk.9.attn_v.weight"}, "blk.*"),
    ],
)
def test_tensors_of_another_shape_type_or_name_are_named(
    whole: Path, name: str, change: dict[str, int | bytes], said: str
) -> None:
    content = bytearray(whole.read_bytes())
    at = content.index(struct.pack("<Q", len(name)) + name.encode()) + 8
    dimensions = struct.unpack_from("<I", content, at + len(name))[0]
    after = at + len(name) + 4
    if "rows" in change:
        struct.pack_into("<Q", content, after + 8, change["rows"])
    if "type" in change:
        struct.pack_into("<I", content, after + 8 * dimensions, change["type"])
    if isinstance(renamed := change.get("name"), bytes):
        content[at : at + len(name)] = renamed
    copy = whole.with_name("tensors.gguf")
    copy.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_model(copy)
    assert said in str(caught.value)
