"""Model shapes on which our quantization is compared with llama.cpp's ``llama_model_quantize``.

The reference is not a dependency of the project: its answers are frozen in ``tests/data/llama_quantize.json``. They are
those of llama.cpp's library as the npm package @node-llama-cpp/linux-x64 3.22.1 brings it; llama-cpp-python 0.3.36 gave
the same where both were asked. ``python -m tests.support.quantize_cases LIBRARY`` (the path of such a ``libllama.so``,
its folder in ``LD_LIBRARY_PATH``) writes the file anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

from drivecoach.gguf.architectures import ARCHITECTURES

FROZEN = Path(__file__).parents[1] / "data" / "llama_quantize.json"
FILE_TYPES = {"f16": 1, "q8_0": 7, "q3_K_M": 12, "q4_K_M": 15, "q5_K_M": 17, "q6_K": 18}
"""llama.cpp's ``enum llama_ftype``."""
_ROWS = 96
"""Rows of the embedding: quantization goes row by row, so few are enough."""


@dataclass(frozen=True)
class Case:
    """A dense model's shape, the type of its source file and the quantization asked for."""

    arch: str
    hidden: int = 256
    ffn: int = 512
    layers: int = 4
    heads: int = 4
    kv: int = 2
    head_dim: int = 64
    tied: bool = True
    source: str = "F16"
    to: str = "q4_K_M"

    @property
    def name(self) -> str:
        return (
            f"{self.arch} hidden={self.hidden} ffn={self.ffn} layers={self.layers} "
            f"heads={self.heads}/{self.kv}x{self.head_dim} {'tied' if self.tied else 'untied'} "
            f"{self.source}->{self.to}"
        )


CASES = [
    Case("qwen3"),
    Case("qwen3", to="q8_0"),
    Case("qwen3", source="F32"),
    Case("qwen3", source="F32", to="f16"),
    Case("qwen3", source="BF16", tied=False),
    Case("qwen3", layers=8, heads=8, kv=1, head_dim=32, tied=False),
    Case("qwen3", hidden=96, ffn=160, layers=5, kv=4, head_dim=32),
    Case("qwen3", hidden=96, ffn=160, layers=5, kv=4, head_dim=32, tied=False),
    Case("qwen3", ffn=256, heads=3, kv=1, head_dim=16, layers=9),
    Case("qwen3", ffn=256, layers=28, heads=2, kv=1, head_dim=32),
    Case("qwen3", hidden=64, ffn=256, layers=64, heads=4, kv=1, head_dim=64, tied=False),
    Case("qwen2", hidden=224, ffn=768, layers=24, heads=7, kv=1, head_dim=32),
    Case("qwen2", heads=8, kv=2, head_dim=32, tied=False),
    Case("qwen2", ffn=256, layers=80, heads=2, kv=1, head_dim=32, tied=False),
    Case("llama", layers=16, heads=8, kv=2, head_dim=32, tied=False),
    Case("llama", ffn=704, layers=22, kv=4),
    Case("llama", layers=32, heads=4, kv=4, head_dim=32, tied=False),
    Case("llama", hidden=96, ffn=160, layers=80, heads=3, kv=1, head_dim=32, tied=False),
    Case("llama", hidden=64, ffn=256, layers=80, heads=2, kv=2, head_dim=32, tied=False),
    Case("llama", heads=8, kv=1, head_dim=32, tied=False, to="q8_0"),
    Case("gemma3", layers=26, heads=4, kv=1),
    Case("gemma3", hidden=288, ffn=576, layers=7, heads=2, kv=1, head_dim=32),
    Case("gemma3", layers=18, kv=1, to="q8_0"),
    Case("qwen3", to="q3_K_M"),
    Case("qwen3", hidden=96, ffn=160, layers=5, kv=4, head_dim=32, tied=False, to="q3_K_M"),
    Case("qwen2", ffn=256, layers=80, heads=2, kv=1, head_dim=32, tied=False, to="q3_K_M"),
    Case("llama", layers=16, heads=8, kv=2, head_dim=32, tied=False, to="q3_K_M"),
    Case("qwen3", to="q5_K_M"),
    Case("qwen3", hidden=96, ffn=160, layers=5, kv=4, head_dim=32, tied=False, to="q5_K_M"),
    Case("qwen3", to="q6_K"),
    Case("gemma3", hidden=288, ffn=576, layers=7, heads=2, kv=1, head_dim=32, to="q6_K"),
]


def write_source(case: Case, target: Path) -> None:
    """A GGUF with the tensors of ``case`` and weights that depend on nothing but their place."""
    writer = GGUFWriter(target, case.arch)
    writer.add_block_count(case.layers)
    writer.add_context_length(512)
    writer.add_embedding_length(case.hidden)
    writer.add_feed_forward_length(case.ffn)
    writer.add_head_count(case.heads)
    writer.add_head_count_kv(case.kv)
    writer.add_key_length(case.head_dim)
    writer.add_value_length(case.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(1)
    q, kv = case.heads * case.head_dim, case.kv * case.head_dim
    shapes = {
        "attn_q": (q, case.hidden),
        "attn_k": (kv, case.hidden),
        "attn_v": (kv, case.hidden),
        "attn_output": (case.hidden, q),
        "ffn_gate": (case.ffn, case.hidden),
        "ffn_up": (case.ffn, case.hidden),
        "ffn_down": (case.hidden, case.ffn),
    }
    block = next(entry.block for entry in ARCHITECTURES.values() if entry.name == case.arch)
    names = ["token_embd.weight", "output_norm.weight", *([] if case.tied else ["output.weight"])]
    names += [f"blk.{layer}.{part}" for layer in range(case.layers) for part in block]
    for seed, name in enumerate(names):
        role = name.removesuffix(".weight").rpartition(".")[2]
        shape = (_ROWS, case.hidden) if role in ("token_embd", "output") else shapes.get(role, (case.hidden,))
        values = _values(seed, prod(shape)).reshape(shape)
        if len(shape) == 1 or not name.endswith("weight"):
            writer.add_tensor(name, values)
        elif case.source == "BF16":
            bits = (values.view(np.uint32) >> 16).astype(np.uint16)
            writer.add_tensor(name, bits.view(np.uint8), raw_dtype=GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, values.astype("<f2" if case.source == "F16" else "<f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def digest(path: Path) -> dict[str, list[str]]:
    """Role of the matrix -> "type, first digits of the SHA-256 of its bytes" for each layer in turn."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for tensor in GGUFReader(path).tensors:
        if len(tensor.shape) > 1:
            parts = tensor.name.split(".")
            layer = int(parts[1]) if parts[0] == "blk" else 0
            code = hashlib.sha256(tensor.data.tobytes()).hexdigest()[:8]
            found[parts[-2]][layer] = f"{tensor.tensor_type.name} {code}"
    return {role: [layers[layer] for layer in sorted(layers)] for role, layers in sorted(found.items())}


def _values(seed: int, count: int) -> np.ndarray:
    """Numbers in [-1, 1) with heavier middle, by SplitMix64: the same with every version of NumPy."""
    with np.errstate(over="ignore"):
        state = (np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    unit = (state >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return unit * np.abs(unit)


class _Settings(ctypes.Structure):
    """``llama_model_quantize_params``, with room for what is added to it."""

    _fields_ = (("nthread", ctypes.c_int32), ("ftype", ctypes.c_int), ("rest", ctypes.c_uint8 * 1024))


def _freeze(library: str) -> None:
    llama = ctypes.CDLL(library)
    llama.llama_model_quantize_default_params.restype = _Settings
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(_Settings)]
    llama.llama_backend_init()
    frozen = {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.gguf"), Path(folder, "target.gguf")
        for case in CASES:
            write_source(case, source)
            settings = llama.llama_model_quantize_default_params()
            settings.ftype = FILE_TYPES[case.to]
            if llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings)):
                raise RuntimeError(f"the reference refused {case.name}")
            frozen[case.name] = digest(target)
    lines = [f"{json.dumps(name)}: {json.dumps(roles)}" for name, roles in frozen.items()]
    FROZEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    _freeze(sys.argv[1])
