"""The GGUF file format: reading the header of a file and checking that the file is whole.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (little-endian, versions 2 and 3).
``gguf.GGUFReader`` builds several NumPy views for every token of the vocabulary and does not notice a file
that is cut short inside its tensor data; asking a file for one setting must take milliseconds and must
notice.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from drivecoach.errors import ModelError
from drivecoach.gguf.types import TYPES

MAGIC = b"GGUF"
Scalar = str | int | float | bool
"""What one metadata entry can hold, arrays aside."""
_ALIGNMENT = 32
STRING, _ARRAY = 8, 9
_NAMES = {kind.code: name for name, kind in TYPES.items()}
# GGUF value type -> struct code of one value.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True)
class Field:
    """One metadata entry: its value (None for an array) and its bytes in the file, key included."""

    value: Scalar | None
    raw: bytes


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``shape`` in ggml's order (the row length first), ``offset`` from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """Everything in front of the tensor data."""

    fields: dict[str, Field]
    tensors: list[Tensor]
    alignment: int


def read_metadata(path: Path) -> dict[str, Scalar]:
    """The scalars and strings of a GGUF's metadata (arrays, such as the token list, are left out).

    Raises ModelError when the file is missing, is no GGUF, or ends before its last tensor does.
    """
    return {key: field.value for key, field in read_header(path).fields.items() if field.value is not None}


def describe(path: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, ggml type, shape with the row length first) of every tensor in file order; raises ModelError."""
    return [(tensor.name, tensor.type, tensor.shape) for tensor in read_header(path).tensors]


def read_header(path: Path) -> Header:
    """Parse the header and check that every tensor lies inside the file; raises ModelError."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Parser(path, data).header()
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror or error}",
            hint="give the path of a .gguf file, or make one with `drivecoach export`",
        ) from error
    except ValueError as error:  # mmap refuses an empty file with a ValueError
        raise ModelError(f"{path} is empty", hint=_EXPORT_AGAIN) from error


_EXPORT_AGAIN = "the file is damaged or was cut short: delete it and run `drivecoach export` again"


class _Parser:
    """Walks the header bytes; every read past the end of the file is a ModelError."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def header(self) -> Header:
        if self.data[:4] != MAGIC:
            raise ModelError(
                f"{self.path} is not a GGUF file: it begins with {self.data[:4]!r}, not {MAGIC!r}",
                hint="give the path of a .gguf file, or make one with `drivecoach export`",
            )
        self.at = 4
        version = self.scalar("<I")
        if version not in (2, 3):
            raise ModelError(
                f"{self.path} has GGUF version {version}; versions 2 and 3 (little-endian) can be read",
                hint="make the file again with `drivecoach export`",
            )
        n_tensors, n_fields = self.scalar("<Q"), self.scalar("<Q")
        fields = {}
        for _ in range(n_fields):
            start = self.at
            key = self.string()
            value = self.value(self.scalar("<I"))
            fields[key] = Field(value, self.data[start : self.at])
        alignment = fields["general.alignment"].value if "general.alignment" in fields else _ALIGNMENT
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self.damaged(f"general.alignment is {alignment!r}, not a power of two")
        entries = [self.tensor_entry() for _ in range(n_tensors)]
        start = -(-self.at // alignment) * alignment
        tensors = [Tensor(name, kind, shape, start + offset, size) for name, kind, shape, offset, size in entries]
        end = max((tensor.offset + tensor.nbytes for tensor in tensors), default=start)
        if end > len(self.data):
            raise self.damaged(f"its tensors need {end:,} bytes, the file has {len(self.data):,}")
        return Header(fields, tensors, alignment)

    def tensor_entry(self) -> tuple[str, str, tuple[int, ...], int, int]:
        name, n_dims = self.string(), self.scalar("<I")
        if n_dims > 4:
            raise self.damaged(f"tensor {name} has {n_dims} dimensions; at most 4 are possible")
        shape = tuple(self.scalar("<Q") for _ in range(n_dims))
        code, offset = self.scalar("<I"), self.scalar("<Q")
        if code not in _NAMES:
            raise self.damaged(f"tensor {name} has the unknown ggml type {code}")
        kind = _NAMES[code]
        _, block, size = TYPES[kind]
        if shape and shape[0] % block:
            raise self.damaged(f"tensor {name} has rows of {shape[0]}, not a multiple of {block} ({kind})")
        return name, kind, shape, offset, prod(shape) // block * size

    def value(self, kind: int) -> Scalar | None:
        if kind == STRING:
            return self.string()
        if kind != _ARRAY:
            found: Scalar = self.scalar(self.code(kind))
            return found
        inner, count = self.scalar("<I"), self.scalar("<Q")
        if inner == STRING:
            for _ in range(count):
                self.skip(self.scalar("<Q"))
        else:
            self.skip(count * struct.calcsize(self.code(inner)))
        return None

    def code(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise self.damaged(f"unknown metadata type {kind}")
        return _SCALARS[kind]

    def scalar(self, code: str) -> Any:
        start = self.at
        self.skip(struct.calcsize(code))
        return struct.unpack_from(code, self.data, start)[0]

    def string(self) -> str:
        length = self.scalar("<Q")
        start = self.at
        self.skip(length)
        try:
            return self.data[start : self.at].decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged("a text in its header is not UTF-8") from None

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise self.damaged("it ends inside its header")

    def damaged(self, what: str) -> ModelError:
        return ModelError(f"{self.path} is not a whole GGUF file: {what}", hint=_EXPORT_AGAIN)
