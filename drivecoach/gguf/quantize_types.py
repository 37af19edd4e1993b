"""Which ggml type each tensor of a quantized file gets: the choice that llama.cpp's ``llama-quantize`` makes.

Source of the rules: ``llama_tensor_get_type_impl`` and ``tensor_type_fallback`` in llama.cpp's
``src/llama-quant.cpp``, without an importance matrix, for dense models. Equality with the real tool is frozen
in ``tests/data/llama_quantize.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from drivecoach.errors import Fault, ModelError
from drivecoach.gguf.architectures import ARCHITECTURES
from drivecoach.gguf.reader import Tensor
from drivecoach.gguf.types import TYPES

_FALLBACK = {"Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
# What a mixture gives a matrix for which nothing else is said.
_MOST = {"q3_K_M": "Q3_K", "q4_K_M": "Q4_K", "q5_K_M": "Q5_K", "q6_K": "Q6_K"}


def tensor_order(name: str) -> tuple[int, bytes]:
    """Sort key of llama.cpp's loader: by layer (tensors of no layer first), then by name."""
    layer = re.match(r"blk\.(\d+)", name)
    return (int(layer[1]) if layer else -1, name.encode())


def choose_types(metadata: Mapping[str, object], tensors: Sequence[Tensor], quantization: str) -> dict[str, str]:
    """Tensor name -> ggml type name for ``f16``, ``q8_0`` or one of the mixtures.

    ``metadata`` is the file's (see `read_metadata`). Raises ModelError for an architecture that is not in the
    table, a mixture of experts, a source that is quantized already, or rows that ``q8_0`` cannot hold.
    """
    arch = metadata.get("general.architecture")
    known = sorted({entry.name for entry in ARCHITECTURES.values()})
    if arch not in known or metadata.get(f"{arch}.expert_count"):
        raise ModelError(
            f"cannot quantize a GGUF of architecture {arch!r}" + (" with experts" if arch in known else ""),
            hint=f"dense models of these architectures can be quantized: {', '.join(known)}",
        )
    n_layers = metadata.get(f"{arch}.block_count")
    if not isinstance(n_layers, int):
        raise ModelError(
            f"the source does not say how many layers it has ({arch}.block_count)",
            hint="quantize from the f16 file that `drivecoach export` writes",
        )
    foreign = [tensor for tensor in tensors if tensor.type not in ("F32", "F16", "BF16")]
    if foreign:
        raise ModelError(
            "the source is quantized already",
            hint="quantize from the f16 file that `drivecoach export` writes",
            faults=[Fault(tensor.name, tensor.type, "F32, F16 or BF16") for tensor in foreign],
        )
    if quantization == "q8_0":
        odd = [tensor for tensor in tensors if _quantized(tensor) and tensor.shape[0] % 32]
        if odd:
            raise ModelError(
                "q8_0 needs rows that are a multiple of 32",
                hint="use q4_K_M or f16 for this model",
                faults=[Fault(tensor.name, f"rows of {tensor.shape[0]}", "a multiple of 32") for tensor in odd],
            )
    chosen = {tensor.name: tensor.type for tensor in tensors}
    n_values = sum(tensor.name.endswith("attn_v.weight") for tensor in tensors)
    tied = all(tensor.name != "output.weight" for tensor in tensors)
    seen = {"attn_v": 0, "ffn_down": 0}
    for tensor in sorted(tensors, key=lambda tensor: tensor_order(tensor.name)):
        if not _quantized(tensor):
            continue
        if quantization not in _MOST:
            chosen[tensor.name] = quantization.upper()
            continue
        role = tensor.name.removesuffix(".weight").rpartition(".")[2]
        if role == "output" or (role == "token_embd" and tied):
            kind = "Q6_K" if tensor.shape[0] % 256 == 0 else "Q8_0"
        else:
            layers = n_values if role == "attn_v" else n_layers
            kind = _mixed(quantization, role, seen.get(role, 0), layers)
            if role == "attn_v" and kind in ("Q3_K", "Q4_K") and _is_70b(arch, n_layers, metadata):
                kind = "Q5_K"
        if role in seen:
            seen[role] += 1
        if tensor.shape[0] % TYPES[kind].block:
            kind = _FALLBACK.get(kind, kind)
            if tensor.shape[0] % TYPES[kind].block:
                kind = "F16"  # (llama-quantize does the same, but gives up where this is the output matrix)
        chosen[tensor.name] = kind
    return chosen


def _mixed(quantization: str, role: str, layer: int, layers: int) -> str:
    """What a mixture gives the matrix with this role in the ``layer``-th of ``layers``."""
    if quantization == "q3_K_M":
        if role == "attn_v":
            return "Q5_K" if layer < 2 else "Q4_K"
        if role == "ffn_down":
            return "Q5_K" if layer < layers // 16 else "Q4_K"
        return "Q4_K" if role == "attn_output" else "Q3_K"
    if quantization in ("q4_K_M", "q5_K_M") and role in ("attn_v", "ffn_down") and _more_bits(layer, layers):
        return "Q6_K"
    return _MOST[quantization]


def _quantized(tensor: Tensor) -> bool:
    """Only matrices named ``…weight`` that are no norms are ever touched."""
    return len(tensor.shape) >= 2 and tensor.name.endswith("weight") and "_norm.weight" not in tensor.name


def _more_bits(layer: int, n_layers: int) -> bool:
    """The first and last eighth of the layers, and every third between, keep more bits."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _is_70b(arch: str, n_layers: int, metadata: Mapping[str, object]) -> bool:
    """llama.cpp knows its 70B type by 80 layers and, for Llama, grouped heads sharing a value matrix."""
    heads = metadata.get(f"{arch}.attention.head_count")
    grouped = heads != metadata.get(f"{arch}.attention.head_count_kv", heads)
    return n_layers == 80 and (arch == "qwen2" or (arch == "llama" and grouped))
