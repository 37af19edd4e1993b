"""Reading files of rows as a stream, to learn from or to answer: JSON lists, JSONL, plain lines, tables."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from pydantic import JsonValue

from drivecoach.data.record import FORMS, CheckColumns, Row, check_utf8, is_empty, reading
from drivecoach.data.tables import TABLES, read_table
from drivecoach.errors import DataError

if TYPE_CHECKING:
    from ijson import JSONError

_BLOCK = 1 << 16
_WHOLE = 16 << 20
"""A file that begins like one JSON object is read whole up to this size, to say so."""
_DEEPEST = 500
"""Lists and objects in one another; Python's own JSON, which writes the refused rows, gives up below 1,000."""


def read_rows(path: Path, check_columns: CheckColumns = lambda columns: None) -> Iterator[Row]:
    """Yield every record of a file: a table by its ending (``.csv``, ``.tsv``, ``.xlsx``, ``.parquet``), else JSON.

    A line that is not JSON becomes a Row with a ``problem``; a file that is no data file at all (missing, empty,
    not UTF-8, a JSON object instead of a list) is a DataError.
    """
    with reading(path):
        yield from read_table(path, check_columns) if path.suffix.lower() in TABLES else _json(path)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, without their ends, each with its number from 1.

    Raises DataError for a file that is missing or not UTF-8.
    """
    with reading(path):
        check_utf8(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from numbered(stream)


def numbered(lines: Iterable[str], first: int = 1) -> Iterator[tuple[int, str]]:
    """The lines that hold something, without their ends, each with its number from ``first``."""
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield number, line.rstrip("\r\n")


def parse_json(text: str) -> JsonValue:
    """One JSON value, as the standard has it: no NaN. Raises ValueError with the reason, in words for a user."""
    try:
        value: JsonValue = _DECODER.decode(text)
        return value
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("too deeply nested") from None
    except ValueError as error:
        raise ValueError("a number has too many digits" if "digits" in str(error) else str(error)) from None


def json_row(number: int, line: str) -> Row:
    """The row of a line of JSONL, or why it is none."""
    try:
        return Row(number, parse_json(line))
    except ValueError as error:
        return Row(number, line, f"not valid JSON: {error}")


def _json(path: Path) -> Iterator[Row]:
    check_utf8(path)
    head = ""
    with path.open(encoding="utf-8-sig") as stream:
        while not head and (block := stream.read(_BLOCK)):
            head = block.lstrip()
    if not head:
        raise is_empty(path)
    yield from _json_list(path) if head[0] == "[" else _json_lines(path)


def _json_list(path: Path) -> Iterator[Row]:
    """The values of one list, of which only the one being read is held.

    Of ijson's parsers the one in Python is used: the one in C ends the process at a number of 5,000 digits, turns
    half a surrogate pair into a question mark, and refuses integers beyond 64 bits.
    """
    from ijson import JSONError, ObjectBuilder, from_iter, get_backend

    number, depth, builder = 0, 0, ObjectBuilder()
    with path.open("rb") as stream:
        if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            stream.seek(0)
        try:
            for event, value in get_backend("python").basic_parse(from_iter(_blocks(stream)), use_float=True):
                builder.event(event, value)
                depth += (event in _OPENING) - (event in _CLOSING)
                if depth > _DEEPEST:
                    raise JSONError("too deeply nested")
                if depth == 1 and builder.value:
                    number += 1
                    yield Row(number, builder.value.pop())  # out of the list, which so never grows
        except (JSONError, json.JSONDecodeError) as error:
            raise DataError(
                f"{path} is not valid JSON{f' after row {number}' if number else ''}: {_reason(path, error)}",
                hint="correct that place (NaN and Infinity are no JSON, null is); a data file is " + FORMS,
            ) from None
    if not number:
        raise DataError(f"{path} is an empty list", hint="a data file is " + FORMS)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The file in blocks that end where a string does.

    ijson keeps whatever it has read until a block ends between two symbols: of a list without line ends whose texts
    are long, cut anywhere, the whole file, and it takes the square of the time.
    """
    rest = b""
    while block := stream.read(_BLOCK):
        block = rest + block
        found = _LAST_END.match(block)
        end = found.end() if found else len(block)
        yield block[:end]
        rest = block[end:]
    yield rest


_LAST_END = re.compile(rb'.*[^\\]"(?=[ \t\r\n]*[,:}\]])', re.DOTALL)
"""Up to the last quotation mark that ends a string (or, seldom, begins one with such a character)."""

_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")


def _reason(path: Path, error: JSONError | json.JSONDecodeError) -> str:
    """What ijson found, with line and column where it knows them: at a symbol, or at the end of the file."""
    if isinstance(error, json.JSONDecodeError):  # of one string; ijson does not say which
        return error.msg.removesuffix(" at")
    said = str(error)
    if found := re.fullmatch(r"Unexpected symbol (.*) at (\d+)", said, re.DOTALL):
        return f"unexpected {found[1][:60]} at {_place(path, int(found[2]))}"
    return f"it ends too early, at {_place(path)}" if said.startswith("Incomplete") else said


def _place(path: Path, position: int = sys.maxsize) -> str:
    """Line and column, from 1, of the character at ``position`` (from 0) or of the file's end."""
    line, column = 1, 1
    with path.open(encoding="utf-8-sig", newline="") as stream:
        while block := stream.read(min(_BLOCK, position)):
            position -= len(block)
            line += block.count("\n")
            column = len(block) - block.rfind("\n") + (0 if "\n" in block else column - 1)
    return f"line {line}, column {column}"


def _json_lines(path: Path) -> Iterator[Row]:
    if _is_one_object(path):
        raise DataError(f"{path} holds one JSON object, not a list of rows", hint="a data file is " + FORMS)
    for number, line in read_lines(path):
        yield json_row(number, line)


def _is_one_object(path: Path) -> bool:
    """True for one JSON object over the whole file, pretty-printed or holding lists of rows rather than a row."""
    first, second = islice(chain((line for _, line in read_lines(path)), ["", ""]), 2)
    if path.stat().st_size > _WHOLE or (second and _is_json(first)):
        return False
    try:
        whole = parse_json(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return False
    return not isinstance(whole, dict) or not any(isinstance(value, str) for value in whole.values())


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
