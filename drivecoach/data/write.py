"""Writing pairs by the ending of the file: a JSON list, JSONL, or a table (CSV, TSV, XLSX) with one column a field."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from drivecoach.data.columns import FAULTS, THINKING, Column, Columns, guarded
from drivecoach.data.record import Row
from drivecoach.data.sheet import Heading, Mark, Value, width_of, write_sheet
from drivecoach.data.tables import DELIMITERS
from drivecoach.domain.line import coerced
from drivecoach.domain.node import text_of
from drivecoach.files import written_aside

SHEETS = (*DELIMITERS, ".xlsx")
"""The endings of the tables that are written here."""


@dataclass(frozen=True)
class Note:
    """What is said of one row beside it: a fault for which it is refused, or a warning."""

    mark: Mark
    text: str
    fields: tuple[str, ...] = ()
    """The fields that are coloured too."""


def write_json(target: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write pairs as JSON: one list where the name ends in ``.json``, else JSONL; a pair a line either way."""
    listed = target.suffix.lower() == ".json"
    with written_aside(target) as part, part.open("w", encoding="utf-8") as stream:
        for number, row in enumerate(rows):
            before = ("," if number else "[") + "\n" if listed else ""
            stream.write(before + json.dumps(row, ensure_ascii=False) + ("" if listed else "\n"))
        if listed:
            stream.write("\n]\n")


def write_table(
    target: Path, table: Columns, pairs: Iterable[tuple[str, str]], notes: Mapping[int, Note] | None = None
) -> None:
    """Write pairs of input and output as a table; ``notes`` (by row, the header is row 1) get a column of their own."""
    rows = (table.cells(given, output) for given, output in pairs)
    _write(target, table, [column.name for column in table.all], rows, notes or {})


def write_marked(
    target: Path, table: Columns, header: Sequence[str], rows: Iterable[Row], notes: Mapping[int, Note]
) -> None:
    """Write the rows of a table again, each in its own line and as it was, with ``notes`` beside them."""
    names = [name for name in header if name not in ("", FAULTS)]
    _write(target, table, names, _in_their_lines(rows, names), notes)


def _in_their_lines(rows: Iterable[Row], names: Sequence[str]) -> Iterator[list[str]]:
    line = 2
    for row in rows:
        yield from ([] for _ in range(line, row.number))
        line = row.number + 1
        cells = row.value if isinstance(row.value, dict) else {}
        more = cells.get("")
        values = [*(cells.get(name) for name in names), *(more if isinstance(more, list) else [])]
        yield ["" if value is None else value if isinstance(value, str) else _json(value) for value in values]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _write(
    target: Path, table: Columns, names: Sequence[str], rows: Iterable[list[str]], notes: Mapping[int, Note]
) -> None:
    columns = [table.column(name) for name in names]
    headings = [_heading(name, column) for name, column in zip(names, columns, strict=True)]
    typed = ([_typed(column, text) for column, text in zip_longest(columns, row)] for row in rows)
    if notes:
        headings = [Heading(FAULTS, 60, wrapped=True), *headings]
        typed = ([guarded(notes[line].text) if line in notes else "", *row] for line, row in enumerate(typed, start=2))
    if target.suffix.lower() not in DELIMITERS:
        marks = {(line, 1): note.mark for line, note in notes.items()}
        for line, note in notes.items():
            faulty = (place for place, column in enumerate(columns, start=2) if column and column.key in note.fields)
            marks |= {(line, place): note.mark for place in faulty}
        write_sheet(target, "pairs", headings, typed, marks)
        return
    with written_aside(target) as part, part.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, delimiter=DELIMITERS[target.suffix.lower()])
        writer.writerow([guarded(heading.name) for heading in headings])
        writer.writerows([text_of(value) for value in row] for row in typed)


def _heading(name: str, column: Column | None) -> Heading:
    if column is None:
        return Heading(name, 20)
    node, several = column.node, column.node.kind == "list"
    inner = node.items if several and node.items is not None else node
    values = inner.values if inner.kind == "closed" else ()
    longest = width_of(name, *map(text_of, values))
    wide = 60 if name == THINKING else 40 if several or node.kind in ("text", "object", "any") else longest
    return Heading(name, wide, tuple(_typed(column, value) for value in map(text_of, values)), several)


def _typed(column: Column | None, text: str | None) -> Value:
    """What a cell is for a spreadsheet: a number or a boolean where the field holds these, else a text."""
    text = text or ""
    node = column.node if column else None
    if node and node.kind in ("integer", "number", "closed"):
        value = coerced(node, text)
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) < _EXACT:
            return value
    return guarded(text) if text[:1] in _STARTS and not _NUMBER.fullmatch(text) else text


_EXACT = 10**15
"""Spreadsheets keep 15 digits."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_STARTS = frozenset("=+-@\t")
