"""What a record of a file is, and what is said of a file that holds none: missing, a folder, empty, of another kind."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from drivecoach.errors import DataError
from drivecoach.files import not_regular

FORMS = (
    'a JSON list, JSONL, CSV, TSV, XLSX or Parquet of rows {"input": "…", "output": "…"}, or with one column a field; '
    "for infer the input alone, or plain lines"
)

CheckColumns = Callable[[Collection[str]], None]
"""Called with the columns of a table before its first row; raises DataError where they are the wrong ones."""

_BLOCK = 1 << 16
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNPACK = "unpack it first, and name the file inside"
_OTHERS = {
    b"\x1f\x8b": ("gzip", _UNPACK),
    b"BZh": ("bzip2", _UNPACK),
    b"\xfd7zXZ": ("xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("zstd", _UNPACK),
    b"PK\x03\x04": ("zip or a spreadsheet", "a spreadsheet's name ends in .xlsx; anything else: " + _UNPACK),
    b"\xd0\xcf\x11\xe0": (
        "an old Excel file, or one with a password",
        "in Excel, save it as .xlsx without a password",
    ),
    b"PAR1": ("Parquet", "give it a name that ends in .parquet"),
}
"""How files begin that hold no text: what they are, and what to do with them."""


class Row(NamedTuple):
    """One record as it stands in the file, or what there is of one that could not be read."""

    number: int
    """1-based: the position in a JSON list, the line of a JSONL file, the row of a table (its header is row 1)."""
    value: object
    """Any JSON value; for a row of a table a dict by column. Of a line that is not JSON, its text."""
    problem: str | None = None
    """Why the record could not be read."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system says of ``path``, and a file without a byte, into a DataError."""
    try:
        status = path.stat()
        if status.st_size == 0 and stat.S_ISREG(status.st_mode):
            raise is_empty(path)
        yield
    except FileNotFoundError:
        raise DataError(f"no file at {path}", hint="check the path; to read is " + FORMS) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder", hint="name the file in it: " + FORMS) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint="name a readable file") from None


def check_file(path: Path) -> None:
    """Raise DataError unless ``path`` is a file that can be read, and read again."""
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no path", hint="name a file: " + FORMS)
    with reading(path):
        kind = not_regular(path)
        if kind == "a folder":
            raise IsADirectoryError
        if kind:
            raise DataError(f"{path} is {kind}", hint="save the rows as a file: they are read twice")
        with path.open("rb"):
            pass


def is_empty(path: Path) -> DataError:
    """What to say of a file that holds no row."""
    return DataError(f"{path} is empty", hint="a data file is " + FORMS)


def check_utf8(path: Path) -> None:
    """Raise DataError with the place of the first byte that is no UTF-8, or with what the file is instead."""
    place = _first_fault(path, "utf-8")
    if place is not None:
        refuse_others(path)
        with path.open("rb") as stream:
            said = "UTF-16" if stream.read(2) in _UTF16 else "GB18030"
        raise DataError(f"{path} is not UTF-8 (byte {place})", hint=f"convert it: iconv -f {said} -t UTF-8 {path}")


def text_encoding(path: Path) -> str:
    """The encoding of a table's text: UTF-8, UTF-16 where it says so, else GB18030, of which GBK is a part.

    Raises DataError for what is none of these, and for UTF-8 with damaged places.
    """
    place = _first_fault(path, "utf-8")
    if place is None:
        return "utf-8-sig"
    refuse_others(path)
    with path.open("rb") as stream:
        encoding = "utf-16" if stream.read(2) in _UTF16 else "gb18030"
    if not _is_damaged_utf8(path) and _first_fault(path, encoding) is None:
        return encoding
    raise DataError(
        f"{path} is neither UTF-8 nor GBK (no UTF-8 at byte {place})",
        hint='save it again, in Excel as "CSV UTF-8"',
    )


def _first_fault(path: Path, encoding: str) -> int | None:
    """The place of the first byte that cannot be decoded."""
    decoder, place = codecs.getincrementaldecoder(encoding)(), 0
    with path.open("rb") as stream:
        block = b" "
        while block:
            block = stream.read(_BLOCK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return place - held + error.start
            place += len(block)
    return None


def _is_damaged_utf8(path: Path) -> bool:
    """Whether more of what is not ASCII is UTF-8 than not: GBK holds UTF-8 by accident only."""
    right = wrong = 0
    with path.open(encoding="utf-8", errors="replace") as stream:
        while block := stream.read(_BLOCK):
            found = block.count("\N{REPLACEMENT CHARACTER}")
            wrong += found
            right += sum(not character.isascii() for character in block) - found
    return right > wrong


def refuse_others(path: Path, but: str = "") -> None:
    """Raise DataError for a file that begins as no text does, and say what it is; ``but`` is the kind to let pass."""
    with path.open("rb") as stream:
        head = stream.read(8)
    for start, (kind, hint) in _OTHERS.items():
        if head.startswith(start) and not (but and kind.startswith(but)):
            raise DataError(f"{path} is no text but {kind}", hint=hint)
