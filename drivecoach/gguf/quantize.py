"""Quantize a GGUF with ggml's own code: the bytes are those that ``llama-quantize`` would write."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Iterator
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, get_args

import numpy as np

from drivecoach.config import Quantization
from drivecoach.errors import ModelError
from drivecoach.files import written_aside
from drivecoach.gguf.ahead import in_order
from drivecoach.gguf.numbers import NUMPY, are_finite, floats
from drivecoach.gguf.quantize_types import choose_types, tensor_order
from drivecoach.gguf.reader import MAGIC, Header, Tensor, read_header
from drivecoach.gguf.types import TYPES
from drivecoach.native.library import shared_library
from drivecoach.progress import progress

# llama.cpp's ``enum llama_ftype``, the value of ``general.file_type``.
_FILE_TYPE = {"f16": 1, "q8_0": 7, "q3_K_M": 12, "q4_K_M": 15, "q5_K_M": 17, "q6_K": 18}
_QUANTIZATION_VERSION = 2
_REPLACED = (
    "general.quantization_version",
    "general.file_type",
    "split.no",
    "split.count",
    "split.tensors.count",
)
_CHUNK = 1 << 20
"""Values converted at a time: a model's largest tensor never stands in memory as float32."""


def quantize(source: Path, target: Path, quantization: Quantization) -> None:
    """Write ``source`` (an F32, F16 or BF16 GGUF) as ``target`` in another precision.

    The file is the one ``llama-quantize source target q4_K_M`` writes, byte for byte; metadata is kept as it
    is except ``general.file_type`` and ``general.quantization_version``. Raises ModelError for a source that
    is damaged, foreign, quantized already or not finite, StorageError when ``target`` cannot be written.
    """
    if quantization not in get_args(Quantization):
        raise ModelError(
            f"there is no quantization {quantization!r}",
            hint="choose one of: " + ", ".join(get_args(Quantization)),
        )
    header = read_header(source)
    metadata = {key: field.value for key, field in header.fields.items()}
    types = choose_types(metadata, header.tensors, quantization)
    tensors = sorted(header.tensors, key=lambda tensor: tensor_order(tensor.name))
    runs = ((tensor, run) for tensor in tensors for run in _runs(tensor))
    with (
        written_aside(target) as part,
        part.open("wb") as stream,
        progress(f"export: {target.name}", len(tensors), unit="tensor") as task,
    ):
        stream.write(_header_bytes(header, tensors, types, _FILE_TYPE[quantization]))
        _pad(stream, header.alignment)
        # Through all tensors at once: most are too small to keep every core busy alone.
        for _, blocks in groupby(in_order(partial(_convert, source, types), runs), itemgetter(0)):
            for _, block in blocks:
                stream.write(block)
            _pad(stream, header.alignment)
            task.advance()


def _header_bytes(header: Header, tensors: list[Tensor], types: dict[str, str], file_type: int) -> bytes:
    """Header of the new file: the old fields as they stand, the two replaced ones, then the tensor table."""
    kept = [field.raw for key, field in header.fields.items() if key not in _REPLACED]
    new = [
        _text("general.quantization_version") + struct.pack("<II", 4, _QUANTIZATION_VERSION),
        _text("general.file_type") + struct.pack("<II", 4, file_type),
    ]
    table, offset = [], 0
    for tensor in tensors:
        table.append(
            _text(tensor.name)
            + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            + struct.pack("<IQ", TYPES[types[tensor.name]].code, offset)
        )
        offset += -(-_nbytes(tensor, types[tensor.name]) // header.alignment) * header.alignment
    counts = struct.pack("<IQQ", 3, len(tensors), len(kept) + len(new))
    return b"".join([MAGIC, counts, *kept, *new, *table])


def _runs(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """A tensor cut into runs of whole rows: the first row of each, and how many."""
    width = tensor.shape[0] if tensor.shape else 1
    count = math.prod(tensor.shape) // width
    step = max(1, _CHUNK // width)
    return ((first, min(step, count - first)) for first in range(0, count, step))


def _convert(source: Path, types: dict[str, str], part: tuple[Tensor, tuple[int, int]]) -> tuple[str, memoryview]:
    """A tensor's name and some of its rows in their new type; runs in several threads at a time.

    They are read here, and not seen through a mapping of the file, which would count as this process's memory.
    """
    tensor, (first, count) = part
    kind = types[tensor.name]
    width = tensor.shape[0] if tensor.shape else 1
    dtype = np.dtype(NUMPY[tensor.type])
    start = tensor.offset + first * width * dtype.itemsize
    rows = np.fromfile(source, dtype, count * width, offset=start).reshape(count, width)
    if kind == tensor.type:
        return tensor.name, rows.data
    values = floats(rows, tensor.type).astype(np.float32, copy=False)
    if not are_finite(values):
        raise ModelError(
            f"tensor {tensor.name} holds numbers that are not finite",
            hint="the training diverged: train again with a lower learning rate",
        )
    if kind == "F16":
        return tensor.name, values.astype("<f2").data
    ggml, code = _ggml(), TYPES[kind].code
    out = np.empty(len(values) * ggml.ggml_row_size(code, values.shape[1]), dtype=np.uint8)
    written = ggml.ggml_quantize_chunk(code, values.ctypes.data, out.ctypes.data, 0, len(values), values.shape[1], None)
    if written != out.nbytes or not ggml.ggml_validate_row_data(code, out.ctypes.data, out.nbytes):
        raise ModelError(
            f"ggml could not quantize tensor {tensor.name} to {kind}",
            hint="the weights may be out of range: train again with a lower learning rate",
        )
    return tensor.name, out.data


def _nbytes(tensor: Tensor, kind: str) -> int:
    _, block, size = TYPES[kind]
    return math.prod(tensor.shape) // block * size


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _pad(stream: BinaryIO, alignment: int) -> None:
    stream.write(bytes(-stream.tell() % alignment))


@cache
def _ggml() -> ctypes.CDLL:
    """ggml's row functions; ``llama_model_quantize`` is not exported by the wheel."""
    library = shared_library()
    try:
        library.ggml_quantize_chunk.restype = ctypes.c_size_t
    except AttributeError as error:
        raise ModelError(
            "ggml's quantization functions were not found in the xllamacpp package",
            hint="install it again: pip install --force-reinstall xllamacpp",
        ) from error
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        *[ctypes.c_int64] * 3,
        ctypes.c_void_p,
    ]
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    for kind in ("Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "Q5_0", "Q5_1"):
        library.ggml_quantize_init(TYPES[kind].code)
    return library
