"""Reading GGUF files: settings of a whole one, a clear ModelError for every damaged one."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.errors import ModelError
from drivecoach.gguf.reader import describe, read_metadata
from drivecoach.gguf.types import TYPES, Type


def write(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_block_count(2)
    writer.add_layer_norm_rms_eps(0.5)
    writer.add_int64("drivecoach.count", -7)
    writer.add_bool("drivecoach.flag", True)
    writer.add_string("drivecoach.system", "你是教练 {{ . }}")
    writer.add_token_list(["a", "挡位:1挡; ", ""])
    writer.add_token_types([1, 4, 5])
    writer.add_tensor("output_norm.weight", np.ones(3, dtype=np.float32))
    writer.add_tensor("token_embd.weight", np.ones((3, 64), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "whole.gguf")


def test_scalars_and_strings_are_read_and_arrays_left_out(whole: Path) -> None:
    assert read_metadata(whole) == {
        "general.architecture": "qwen3",
        "qwen3.block_count": 2,
        "qwen3.attention.layer_norm_rms_epsilon": 0.5,
        "drivecoach.count": -7,
        "drivecoach.flag": True,
        "drivecoach.system": "你是教练 {{ . }}",
    }


def test_tensors_are_listed_with_the_row_length_first(whole: Path) -> None:
    assert describe(whole) == [("output_norm.weight", "F32", (3,)), ("token_embd.weight", "F16", (64, 3))]


def test_the_types_are_those_of_the_gguf_package() -> None:
    assert {kind.name: Type(kind, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType} == TYPES


@given(share=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_file_cut_short_anywhere_is_refused(whole: Path, share: float) -> None:
    data = whole.read_bytes()
    end = whole.stat().st_size - 3 * 64 * 2 % 32  # only the padding after the last tensor may be missing
    cut = whole.with_name("cut.gguf")
    cut.write_bytes(data[: int(share * end)])
    with pytest.raises(ModelError) as caught:
        read_metadata(cut)
    assert caught.value.hint and str(cut) in caught.value.message


@given(st.data())
def test_a_flipped_byte_is_read_or_refused_but_never_crashes(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    place = data.draw(st.integers(0, 500))
    content[place] = data.draw(st.integers(0, 255))
    broken = whole.with_name("broken.gguf")
    broken.write_bytes(content)
    try:
        read_metadata(broken)
        describe(broken)
    except ModelError as error:
        assert error.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip file", "is not a GGUF file"),
        (b"GGUF" + (1).to_bytes(4, "little") + bytes(64), "version 1"),
        (b"GGUF" + (3).to_bytes(4, "big") + bytes(64), "little-endian"),
        (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16, "ends inside its header"),
    ],
)
def test_foreign_files_are_named_as_such(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "foreign.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_metadata(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelError, match="cannot read"):
            read_metadata(path)
