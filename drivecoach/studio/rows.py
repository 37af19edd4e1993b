"""The rows of a data file as cells to look at and edit, and the file written anew with what was edited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from drivecoach.data.check import json_line
from drivecoach.data.columns import Column, Columns
from drivecoach.data.formats import Malformed, detect
from drivecoach.data.read import read_rows
from drivecoach.domain.node import text_of
from drivecoach.domains.load import load_domain
from drivecoach.errors import DataError, InputError
from drivecoach.files import written_aside

Form = Literal["fields", "record", "line"]


class Cell(BaseModel):
    """One cell of a row."""

    name: str
    text: str
    values: list[str] = []
    """What it may hold, where that is a closed set."""
    several: bool = False
    """Whether it holds several of these, joined by ``；``."""


class Laid(BaseModel):
    """A row as it is shown: ``fields`` of the domain, a ``record`` with the file's own keys, or a ``line`` of text."""

    row: int
    form: Form
    cells: list[Cell]


class Edit(BaseModel):
    """What a row is to be instead; without cells it is left out."""

    form: Form
    cells: dict[str, str] | None


def page(path: Path, domain: str, start: int, count: int) -> tuple[list[Laid], bool]:
    """``count`` rows from the ``start``-th on, and whether there are more."""
    table = Columns(load_domain(domain))
    found = list(islice(read_rows(path), start, start + count + 1))
    return [lay_out(row.number, row.value, table) for row in found[:count]], len(found) > count


def lay_out_all(values: list[tuple[int, object]], domain: str) -> list[Laid]:
    """Rows that a check named, by number and value."""
    table = Columns(load_domain(domain))
    return [lay_out(number, value, table) for number, value in values]


def lay_out(number: int, value: object, table: Columns) -> Laid:
    """One row; a pair that the domain can read is shown field by field."""
    if not isinstance(value, dict):
        text = value if isinstance(value, str) else _json(value)
        return Laid(row=number, form="line", cells=[Cell(name="", text=text)])
    if _is_pair(value) and not table.is_plain:
        try:
            texts = table.cells(value["input"], value["output"])
        except InputError:
            pass
        else:
            cells = [_cell(column.name, text, column) for column, text in zip(table.all, texts, strict=True)]
            return Laid(row=number, form="fields", cells=cells)
    fits = table.fit(value)
    named = ((str(name), inner, table.column(str(name)) if fits else None) for name, inner in value.items())
    cells = [_cell(name, inner if isinstance(inner, str) else _json(inner), column) for name, inner, column in named]
    return Laid(row=number, form="record", cells=[*cells, *_lacking(value, table)])


def _lacking(value: Mapping[str, object], table: Columns) -> list[Cell]:
    """Empty cells for what a row ought to have and has not, so that it can be put in."""
    if table.fit(value) or detect(value) is not None:
        return []
    if not table.is_plain and table.nearly_fit(value):
        lacking = table.missing(value)
        return [_cell(column.name, "", column) for column in table.all if column.name in lacking]
    return [Cell(name=name, text="") for name in ("input", "output") if name not in value]


def save(path: Path, domain: str, edits: Mapping[int, Edit], target: Path) -> int:
    """Write the rows of ``path`` with ``edits`` as JSONL to ``target``, which is new; the number of rows written."""
    table = Columns(load_domain(domain))
    written, left = 0, {*edits}
    with written_aside(target) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        for row in read_rows(path):
            left.discard(row.number)
            edit = edits.get(row.number)
            value = row.value
            if edit is not None:
                if edit.cells is None:
                    continue
                value = _edited(value, edit.form, edit.cells, table)
            is_line = isinstance(value, str) and (row.problem or edit is not None)
            stream.write(f"{value}\n" if is_line else json_line(value))
            written += 1
        if left or not written:
            raise DataError(
                f"{path.name} has no row {min(left)}" if left else f"no row of {path.name} is left",
                hint="load the file again: it is not the one that was edited",
            )
    return written


def _edited(value: object, form: Form, cells: Mapping[str, str], table: Columns) -> object:
    if form == "line" or not isinstance(value, dict):
        text = " ".join(cells.get("", "").splitlines())
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # the check will say what is wrong with it
    if form == "fields":
        try:
            example = table.example(cells)
        except Malformed:
            return {**cells}
        return {**value, "input": example.input, "output": example.output}
    kept = {name: _typed(inner, cells.get(str(name))) for name, inner in value.items()}
    return kept | {name: text for name, text in cells.items() if name not in kept and text}


def _typed(before: object, text: str | None) -> object:
    """What a text means in the place of ``before``: a text stays one, anything else was shown as JSON."""
    if text is None or isinstance(before, str):
        return before if text is None else text
    if text == _json(before):
        return before
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_pair(value: Mapping[str, object]) -> bool:
    is_other = value.keys() & {"instruction", "messages", "conversations"}
    return not is_other and isinstance(value.get("input"), str) and isinstance(value.get("output"), str)


def _cell(name: str, text: str, column: Column | None) -> Cell:
    node = column.node if column else None
    several = node is not None and node.kind == "list" and node.items is not None
    inner = node.items if several and node is not None else node
    values = [text_of(value) for value in inner.values] if inner is not None and inner.kind == "closed" else []
    return Cell(name=name, text=text, values=values, several=several)


def _json(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
