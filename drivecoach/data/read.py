"""Reading data files as a stream: JSON lists, JSONL, CSV, TSV and Parquet; memory does not grow with them."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from drivecoach.errors import DataError

FORMS = 'a JSON list, or JSONL with one object a line: {"input": "…", "output": "…"}; or CSV, TSV, Parquet'

_BLOCK = 1 << 20
_WHOLE = 16 << 20
"""A file that begins like one JSON object is read whole up to this size, to say so."""

CheckColumns = Callable[[Collection[str]], None]
"""Called with the columns of a table before its first row; raises DataError where they are the wrong ones."""


@dataclass(frozen=True)
class Row:
    """One record as it stands in the file, or the raw text of one that could not be read."""

    number: int
    """1-based: the position in a JSON list, the line of a JSONL file, the row of a table (its header is row 1)."""
    value: Any
    problem: str | None = None
    """Why the record could not be read."""


def read_rows(path: Path, check_columns: CheckColumns = lambda columns: None) -> Iterator[Row]:
    """Yield every record of a file, which is read by its ending (``.csv``, ``.tsv``, ``.parquet``), else as JSON.

    A line that is not JSON becomes a Row with a ``problem``; a file that is no data file at all (missing, empty,
    not UTF-8, a JSON object instead of a list) is a DataError.
    """
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty", hint="a data file is " + FORMS)
        if path.suffix == ".parquet":
            yield from _parquet(path, check_columns)
            return
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if path.suffix in (".csv", ".tsv"):
                yield from _table(path, stream, "\t" if path.suffix == ".tsv" else ",", check_columns)
            else:
                yield from _json(path, stream)
    except FileNotFoundError:
        raise DataError(
            f"no data file at {path}", hint="check the path, or make one: drivecoach data generate"
        ) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder", hint="name the file in it: " + FORMS) from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not UTF-8 (byte {_first_bad_byte(path)})",
            hint=f"convert it: iconv -f GB18030 -t UTF-8 {path}",
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the file's permissions") from None


def _first_bad_byte(path: Path) -> int:
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return place - held + error.start
            place += len(block)
    return place - len(decoder.getstate()[0])


def _json(path: Path, stream: TextIO) -> Iterator[Row]:
    head = ""
    while not head and (block := stream.read(_BLOCK)):
        head = block.lstrip()
    stream.seek(0)
    if not head:
        raise DataError(f"{path} is empty", hint="a data file is " + FORMS)
    yield from _json_list(path, stream) if head[0] == "[" else _json_lines(path, stream)


def _json_list(path: Path, stream: TextIO) -> Iterator[Row]:
    reader = _Values(path, stream)
    reader.take("[")
    if reader.peek() == "]":
        raise DataError(f"{path} is an empty list", hint="a data file is " + FORMS)
    number = 0
    while True:
        number += 1
        yield Row(number, reader.value())
        if reader.peek() != ",":
            break
        reader.take(",")
    reader.take("]")
    reader.end()


class _Values:
    """JSON values one after another out of a text stream, of which only the part being read is held."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path, self._stream = path, stream
        self._text, self._at = "", 0
        self._lines, self._columns = 0, 0  # of the text that is no longer held
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Read one character that must stand here."""
        if self.peek() != character:
            raise self._fault(f"Expecting '{character}'", self._at)
        self._at += 1

    def value(self) -> Any:
        """Read one JSON value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # A number may go on in the next block.
                if self._text[end : end + 1] not in ("", ".", "e", "E") or not self._more():
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                # Only what reaches to the end of the text can be a value that is not all here yet.
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - 16
                if not cut or not self._more():
                    raise self._fault(error.msg, error.pos) from None
            except UnicodeDecodeError:
                raise
            except (RecursionError, ValueError) as error:
                raise self._fault(_beyond_json(error), self._at) from None

    def end(self) -> None:
        """Nothing may stand here any more."""
        if self.peek():
            raise self._fault("Extra data", self._at)

    def _more(self) -> bool:
        """Read another block (as much as is held, so that a long value is not tried too often)."""
        block = self._stream.read(max(_BLOCK, len(self._text) - self._at))
        if not block:
            return False
        gone = self._text[: self._at]
        self._lines += gone.count("\n")
        self._columns = len(gone) - gone.rfind("\n") - 1 + (self._columns if "\n" not in gone else 0)
        self._text, self._at = self._text[self._at :] + block, 0
        return True

    def _fault(self, message: str, position: int) -> DataError:
        before = self._text[:position]
        line = self._lines + before.count("\n") + 1
        column = len(before) - before.rfind("\n") + (self._columns if "\n" not in before else 0)
        return DataError(
            f"{self._path} is not valid JSON: {message} at line {line}, column {column}",
            hint="mend that place; a data file is " + FORMS,
        )


def _json_lines(path: Path, stream: TextIO) -> Iterator[Row]:
    if _is_one_object(path):
        raise DataError(f"{path} holds one JSON object, not a list of pairs", hint="a data file is " + FORMS)
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            yield Row(number, json.loads(line))
        except json.JSONDecodeError as error:
            yield Row(number, line.rstrip("\r\n"), f"not valid JSON: {error.msg} at column {error.colno}")
        except (RecursionError, ValueError) as error:
            yield Row(number, line.rstrip("\r\n"), f"not valid JSON: {_beyond_json(error)}")


def _beyond_json(error: RecursionError | ValueError) -> str:
    """Why Python will not read what is JSON by the letter."""
    return "too deeply nested" if isinstance(error, RecursionError) else "a number has too many digits"


def _is_one_object(path: Path) -> bool:
    """True for one JSON object over the whole file, pretty-printed or holding lists of rows rather than a row."""
    with path.open(encoding="utf-8-sig") as stream:
        first, second = islice(chain(filter(str.strip, stream), ["", ""]), 2)
    if path.stat().st_size > _WHOLE or (second and _is_json(first)):
        return False
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return not isinstance(whole, dict) or not any(isinstance(value, str) for value in whole.values())


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _table(path: Path, stream: TextIO, delimiter: str, check_columns: CheckColumns) -> Iterator[Row]:
    csv.field_size_limit(_WHOLE)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    number = 0
    try:
        header = next(reader, [])
        check_columns(header)
        for number, cells in enumerate(reader, start=2):
            if not cells:
                continue
            if len(cells) == len(header):
                yield Row(number, dict(zip(header, cells, strict=True)))
            else:
                yield Row(number, cells, f"{len(cells)} cells, the header has {len(header)}")
    except csv.Error as error:
        raise DataError(
            f"{path} is not valid CSV after row {number}: {error}", hint="save it again as CSV in UTF-8, quoted"
        ) from None


def _parquet(path: Path, check_columns: CheckColumns) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError("Parquet files need pyarrow", hint="pip install 'drivecoach[train]'") from None
    try:
        with ParquetFile(path) as table:
            check_columns(table.schema_arrow.names)
            number = 1
            for batch in table.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(number, value)
    except ArrowException as error:
        raise DataError(f"cannot read {path}: {error}", hint="write the Parquet file again") from None
