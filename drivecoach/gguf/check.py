"""Whether the numbers in a GGUF's header fit its tensors: llama.cpp ends the whole process where some do not."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from drivecoach.errors import Fault, ModelError
from drivecoach.gguf.architectures import ARCHITECTURES
from drivecoach.gguf.reader import STRING, Field, Header, Scalar, read_header

_MOST = 1 << 30
"""Of tokens: llama.cpp counts them in 32 bits."""
_NAMES = {architecture.name for architecture in ARCHITECTURES.values()}


def read_model(path: Path) -> dict[str, Scalar]:
    """What `read_metadata` reads, of a file whose numbers fit its tensors.

    Of a file that is not ours, or of an architecture that is not in our table, only the wholeness is checked. Raises
    ModelError with every number that does not fit.
    """
    header = read_header(path)
    metadata = {key: field.value for key, field in header.fields.items() if field.value is not None}
    ours = "drivecoach.num_ctx" in metadata and metadata.get("general.architecture") in _NAMES
    if ours and (faults := list(_faults(header, metadata))):
        raise ModelError(
            f"{path} is damaged: its header does not fit its tensors",
            hint="delete it and run `drivecoach export` again",
            faults=faults,
        )
    return metadata


def _faults(header: Header, metadata: dict[str, Scalar]) -> Iterator[Fault]:
    architecture = metadata["general.architecture"]
    tensors = {tensor.name: tensor for tensor in header.tensors}
    layers = {int(found[1]) for name in tensors if (found := re.match(r"blk\.(\d+)\.", name))}
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        yield Fault("token_embd.weight", "missing" if embedding is None else str(embedding.shape), "a matrix")
        return
    width, rows = embedding.shape

    def number(key: str, default: int = 0) -> int:
        """A count of the header; 0, which fits nothing, where it is no count."""
        value = metadata.get(f"{architecture}.{key}", default)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    for key, value in metadata.items():
        if key.startswith(f"{architecture}.") and isinstance(value, float) and not 0 <= value < math.inf:
            yield Fault(key, repr(value), "a number from 0 on")
    heads = number("attention.head_count")
    groups = number("attention.head_count_kv", heads)
    head = number("attention.key_length", width // heads if heads else 0)
    for key, fits, what in (
        ("block_count", len(layers), "the layers that are there"),
        ("embedding_length", width, "the width of token_embd.weight"),
        ("rope.dimension_count", head, "the width of a head"),
    ):
        if number(key, head if key.startswith("rope") else 0) != fits:
            yield Fault(f"{architecture}.{key}", str(number(key)), f"{fits}, {what}")
    if layers != set(range(len(layers))):
        yield Fault("blk.*", f"layers {sorted(layers)[:20]}", "all from 0 on")
    for key in (f"{architecture}.context_length", "drivecoach.num_ctx", "drivecoach.num_predict"):
        value = metadata.get(key, 1)
        if not isinstance(value, int) or not 0 < value <= _MOST:
            yield Fault(key, repr(value), f"1 to {_MOST}")
    if not heads or not groups or heads % groups:
        yield Fault(f"{architecture}.attention.head_count_kv", f"{groups} of {heads} heads", "a divisor of the heads")
    if "tokenizer.ggml.tokens" in header.fields:
        tokens = _texts(header.fields["tokenizer.ggml.tokens"])
        if len(tokens) != rows:
            yield Fault("tokenizer.ggml.tokens", f"{len(tokens)} tokens", f"{rows}, the rows of token_embd.weight")
        if doubles := len(tokens) - len(set(tokens)):
            yield Fault("tokenizer.ggml.tokens", f"{doubles} that were there before", "each token once")
    for key, value in metadata.items():
        if key.endswith("_token_id") and (not isinstance(value, int) or not 0 <= value < rows):
            yield Fault(key, repr(value), f"0 to {rows - 1}")
    sizes = {
        "attn_q.weight": (heads * head, f"{heads} heads of {head}"),
        "attn_k.weight": (groups * head, f"{groups} heads of {head}"),
        "ffn_up.weight": (number("feed_forward_length"), "feed_forward_length"),
    }
    for tensor in header.tensors:
        role = re.sub(r"^blk\.\d+\.", "", tensor.name)
        if role in sizes and tensor.shape[1:] != (sizes[role][0],):
            yield Fault(tensor.name, f"{tensor.shape[1:]} rows", "{}, by the header's {}".format(*sizes[role]))
        if role.endswith("norm.weight") and tensor.type != "F32":
            yield Fault(tensor.name, tensor.type, "F32")


def _texts(field: Field) -> list[bytes]:
    """The texts of an array, as they stand in the file; none where it holds something else."""
    at = 8 + struct.unpack_from("<Q", field.raw)[0] + 4  # behind the key and the type
    if struct.unpack_from("<I", field.raw, at)[0] != STRING:
        return []
    texts, at = [], at + 12
    while at < len(field.raw):
        end = at + 8 + struct.unpack_from("<Q", field.raw, at)[0]
        texts.append(field.raw[at + 8 : end])
        at = end
    return texts
