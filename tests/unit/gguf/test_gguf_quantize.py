"""Our quantized files against those of llama.cpp's ``llama_model_quantize``, frozen as types and hashes."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.reader import describe, read_metadata
from tests.support.quantize_cases import CASES, FILE_TYPES, FROZEN, Case, digest, write_source

EXPECTED = json.loads(FROZEN.read_text(encoding="utf-8"))


def test_every_case_is_frozen() -> None:
    assert [case.name for case in CASES] == list(EXPECTED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_types_and_bytes_are_those_of_llama_quantize(case: Case, tmp_path: Path) -> None:
    source, target = tmp_path / "source.gguf", tmp_path / "target.gguf"
    write_source(case, source)
    quantize(source, target, case.to)  # type: ignore[arg-type]
    found, expected = digest(target), EXPECTED[case.name]
    if platform.machine() not in ("x86_64", "AMD64"):  # elsewhere a compiler may fuse the additions otherwise
        found, expected = _types(found), _types(expected)
    assert found == expected
    vectors = [(name, kind) for name, kind, shape in describe(target) if len(shape) == 1]
    assert vectors and all(kind == "F32" for _, kind in vectors)
    assert read_metadata(target)["general.file_type"] == FILE_TYPES[case.to]


def _types(roles: dict[str, list[str]]) -> dict[str, list[str]]:
    return {role: [entry.split()[0] for entry in layers] for role, layers in roles.items()}
