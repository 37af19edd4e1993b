"""Inputs out of files and streams: which columns or keys are one, how many there are, their texts as they come."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drivecoach.data.columns import FAULTS, Columns
from drivecoach.data.read import parse_json, read_lines, read_rows
from drivecoach.data.record import FORMS
from drivecoach.data.tables import TABLES, open_parquet
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.files import hint_for, not_regular
from drivecoach.text import shown

STANDARD = "-"
"""Standard input or output, in the place of a path."""
_BLOCK = 1 << 16
_LONGEST = 1 << 20
"""Bytes of a line that is still read: endless ones would fill the memory."""


@dataclass(frozen=True)
class Source:
    """Inputs of a file: how many there are, and the way to read them again from the start."""

    path: Path
    rows: int
    domain: AnyDomain

    def texts(self) -> Iterator[str]:
        """The input texts in file order; memory holds a few."""
        return (_text(value, self.domain) for value in _values(self.path, self.domain))

    def batches(self) -> Iterator[Iterable[str]]:
        """All of them in one batch."""
        yield self.texts()


@dataclass(frozen=True)
class Stream:
    """Inputs that come as lines from standard input or a named pipe, for as long as the other end stays open."""

    path: Path
    domain: AnyDomain
    rows: None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return "standard input" if str(self.path) == STANDARD else str(self.path)

    def batches(self) -> Iterator[Iterable[str]]:
        """What has come, each time that something came: one line where they are typed, many where they wait.

        Raises DataError for a line that is not UTF-8 or has no end, and where no line came at all.
        """
        if str(self.path) == STANDARD:
            yield from self._batches(sys.stdin.fileno())
            return
        descriptor = os.open(self.path, os.O_RDONLY)  # which waits until somebody writes
        try:
            yield from self._batches(descriptor)
        finally:
            os.close(descriptor)

    def _batches(self, descriptor: int) -> Iterator[list[str]]:
        number, some = 0, False
        for lines in _whole_lines(descriptor):
            texts: list[str] = []
            fault: DataError | None = None
            for line in lines:
                number += 1
                try:
                    text = self._read(line, number)
                except DataError as error:
                    fault = error
                    break
                if text:
                    texts.append(text)
            if texts:
                some = True
                yield texts
            if fault is not None:  # what came before it is answered first
                raise fault
        if not some:
            raise DataError(f"{self.name} held no line", hint="write one input a line to it")

    def _read(self, line: bytes, number: int) -> str:
        if len(line) > _LONGEST:
            raise DataError(
                f"{self.name}: line {number} is longer than {_LONGEST:,} bytes",
                hint="an input is one line of text, or one JSON object on a line",
            )
        try:
            return _text(line.decode("utf-8-sig" if number == 1 else "utf-8").strip(), self.domain)
        except UnicodeDecodeError:
            raise DataError(
                f"{self.name}: line {number} is not UTF-8", hint="convert it on the way: iconv -f GB18030 -t UTF-8"
            ) from None


def _whole_lines(descriptor: int) -> Iterator[list[bytes]]:
    """The lines that each read completes; the last one may have no end."""
    rest = b""
    while len(rest) <= _LONGEST and (block := os.read(descriptor, _BLOCK)):
        *lines, rest = (rest + block).split(b"\n")
        yield lines
    yield [rest]


def open_source(path: Path, domain: AnyDomain) -> Source | Stream:
    """A stream, or a file that can be read at all, with its rows counted.

    Raises DataError for a file that is missing, empty, not UTF-8, or has no column that is an input, and for devices.
    """
    if str(path) == STANDARD:
        return Stream(path, domain)
    try:
        kind = not_regular(path)
    except OSError as error:
        raise DataError(f"cannot read {shown(str(path), 200)}: {error.strerror}", hint=hint_for(error)) from error
    if kind == "a pipe":
        if path.suffix.lower() in (*TABLES, ".json"):
            raise DataError(f"{path} is a pipe, which holds plain lines or JSONL", hint="give a file, or convert it")
        return Stream(path, domain)
    if kind in ("a device", "a socket"):
        raise DataError(f"{path} is {kind}", hint="give a file, a named pipe, or - for standard input")
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as table:
            _check_columns(path, domain, table.schema_arrow.names)
            rows = int(table.metadata.num_rows)
    else:
        rows = sum(1 for _ in _values(path, domain))
    if not rows:
        raise DataError(f"{path} is empty", hint="a data file is " + FORMS)
    return Source(path, rows, domain)


def _values(path: Path, domain: AnyDomain) -> Iterator[object]:
    if path.suffix.lower() in (*TABLES, ".json"):
        columns = Columns(domain)
        return (_input(row.value, columns) for row in read_rows(path, partial(_check_columns, path, domain)))
    return (line.strip() for _, line in read_lines(path))


def _input(value: object, columns: Columns) -> object:
    """A record without what is no part of an input in a table of pairs: the answer, its reasoning, a check's faults."""
    if not isinstance(value, Mapping):
        return value
    sides = {name: column.side for name in value if (column := columns.column(name))}
    return {name: cell for name, cell in value.items() if name != FAULTS and sides.get(name, "input") == "input"}


def _text(value: object, domain: AnyDomain) -> str:
    """A text as it is; a record's ``input``, or its columns as the domain writes them (unnamed ones are no input).

    A text that starts with ``{`` but holds no record is passed on as it is, and becomes a failed row.
    """
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            value = parse_json(value)
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    given = value.get("input")
    if isinstance(given, str):
        return given
    return domain.record_text({key: cell for key, cell in value.items() if key})


def _check_columns(path: Path, domain: AnyDomain, names: Collection[str]) -> None:
    """One column of inputs, or columns that the domain can make a record of: its own names, in either language."""
    wanted = domain.record_keys()
    if "input" in names or any(all(name in names for name in keys) for keys in wanted):
        return
    raise DataError(
        f"{path} has no column of inputs; its columns are: {', '.join(map(str, names))[:200]}",
        hint="name the columns input, or " + ", or ".join(", ".join(keys) for keys in wanted),
    )
