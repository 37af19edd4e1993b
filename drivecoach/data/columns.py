"""Pairs as a table: one column a field of the input and of the answer, and the way back, without a loss."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pydantic import JsonValue

from drivecoach.chat.template import split
from drivecoach.data.formats import Example, Malformed
from drivecoach.domain import AnyDomain
from drivecoach.domain.form import Form, ModelForm
from drivecoach.domain.line import coerced
from drivecoach.domain.node import Node
from drivecoach.errors import DataError, InputError

THINKING, FAULTS = "thinking", "faults"
"""The columns beside those of the domain: the reasoning, and what a check found."""
_RESERVED = ("input", "output", THINKING, FAULTS)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table of pairs."""

    name: str
    side: Literal["input", "answer", "thinking"]
    key: str
    """The field; empty where the column holds the whole side."""
    node: Node
    required: bool = True


class Columns:
    """The columns of a domain's pairs: those of the input, of the answer, the reasoning.

    A side that is free text is one column, ``input`` or ``output``; where both are, the output keeps its reasoning, as
    in every other file of pairs. A field of the answer that is named like one of the input is ``answer NAME``.
    """

    def __init__(self, domain: AnyDomain) -> None:
        self.domain = domain
        inputs = _columns("input", domain.input, "input", _RESERVED)
        answers = _columns("answer", domain.answer, "output", (*_RESERVED, *(column.name for column in inputs)))
        self.is_plain = not (inputs[0].key or answers[0].key)
        """Whether neither side has fields: the table is the plain one of ``input`` and ``output``, each a text."""
        if self.is_plain:
            inputs, answers = ((replace(columns[0], node=Node("text")),) for columns in (inputs, answers))
        thinking = () if self.is_plain else (Column(THINKING, "thinking", "", Node("text"), required=False),)
        self.all: tuple[Column, ...] = (*inputs, *answers, *thinking)
        self._fit = lru_cache(maxsize=64)(self._fits)  # rows of one file have the same keys
        self._known = {_folded(column.name): column for column in self.all}
        for form, columns in ((domain.input, inputs), (domain.answer, answers)):
            others = {alias: name for name, alias in form.names.items()} if isinstance(form, ModelForm) else {}
            for column in columns:
                self._known.setdefault(_folded(others.get(column.key, column.name)), column)

    def column(self, name: str) -> Column | None:
        """The column that a header means: the field's own name, or its English one; None for any other."""
        return self._known.get(_folded(name))

    def missing(self, names: Collection[str]) -> list[str]:
        """The columns that a table with ``names`` lacks; all of them where it has none."""
        found = {self.column(name) for name in names}
        return [column.name for column in self.all if column.required and column not in found]

    def fit(self, names: Collection[str]) -> bool:
        """Whether a row with these keys has one for each field."""
        return self._fit(tuple(names))

    def _fits(self, names: tuple[str, ...]) -> bool:
        sides = {column.side for name in names if (column := self.column(name))}
        return {"input", "answer"} <= sides and not self.missing(names)

    def check(self, names: Collection[str], where: str) -> None:
        """Raise DataError, naming the columns that are not there, unless `fit`."""
        if not self.fit(names):
            raise DataError(
                f"{where} lacks columns of the domain {self.domain.name}: {', '.join(self.missing(names))}",
                hint="the first row names the columns, one a field: " + ", ".join(column.name for column in self.all),
            )

    def nearly_fit(self, names: Collection[str]) -> bool:
        """Whether more of the columns are there than not: such a table is meant to be one of this domain."""
        missing = len(self.missing(names))
        return missing < sum(column.required for column in self.all) - missing

    def unknown(self, names: Collection[str]) -> list[str]:
        """The columns that are no part of a pair."""
        return [name for name in names if name and name != FAULTS and self.column(name) is None]

    def example(self, row: Mapping[str, object]) -> Example:
        """The input and output of a row, the answer in canonical form where it is one.

        Raises Malformed for two columns of one field.
        """
        cells: dict[Column, object] = {}
        named = [(name, column) for name in row if (column := self.column(name))]
        twice = [column for column, count in Counter(column for _, column in named).items() if count > 1]
        if twice:
            said = (", ".join(name for name, found in named if found is column) for column in twice)
            raise Malformed("; ".join(f"columns {names} are one field" for names in said))
        for name, column in named:
            cells[column] = row[name]
        if self.is_plain:
            given, output = (_plain(str(cells.get(column, ""))) for column in self.all)
            return Example(given, output)
        thinking = cells.get(self.all[-1])
        thinking = _plain(thinking).strip() if isinstance(thinking, str) else ""
        reasoning = f"<think>\n{thinking}\n</think>\n\n" if thinking else ""
        answer = self._side("answer", cells)
        try:
            text = self.domain.write_answer(self.domain.answer.parse(answer))
        except InputError:  # the check will say what is wrong with it
            text = _text(self.domain.answer, answer)
        return Example(_text(self.domain.input, self._side("input", cells)), reasoning + text)

    def cells(self, input: str, output: str) -> list[str]:
        """The row of a pair; raises InputError for one that is not valid."""
        if self.is_plain:
            return [_cell(column.node, text) for column, text in zip(self.all, (input, output), strict=True)]
        parts = split(output)
        given = self.domain.input.dump(self.domain.read_input(input))
        answer = self.domain.answer.dump(self.domain.read_answer(parts.text))
        sides = {"input": given, "answer": answer, "thinking": parts.thinking}
        return [self._written(column, sides[column.side]) for column in self.all]

    def _written(self, column: Column, value: JsonValue) -> str:
        if column.key and isinstance(value, dict):
            if column.key not in value:
                return ""
            value = value[column.key]
        if value is None:
            return "" if column.required else "null"
        is_none = value == "" or (value == [] and column.key != "")
        if is_none and not column.node.nullable and (column.required or not column.key):
            return ""
        return _cell(column.node, value)

    def _side(self, side: str, cells: Mapping[Column, object]) -> JsonValue:
        columns = [column for column in self.all if column.side == side]
        if not columns[0].key:
            return _value(columns[0].node, cells.get(columns[0], ""))
        record: dict[str, JsonValue] = {}
        for column in columns:
            cell, node = cells.get(column), column.node
            if cell is not None and cell != "":
                record[column.key] = _value(node, cell)
            elif column.required and node.nullable:
                record[column.key] = None
            elif column.required and node.kind in ("text", "list"):
                record[column.key] = "" if node.kind == "text" else []
        return record


def _columns(
    side: Literal["input", "answer"], form: Form[object], whole: str, taken: Collection[str]
) -> tuple[Column, ...]:
    node = form.node
    if not node.fields:
        return (Column(whole, side, "", node),)
    return tuple(
        Column(f"{side} {key}" if key in taken else key, side, key, part, key in node.required)
        for key, part in node.fields.items()
    )


def _text(form: Form[object], value: JsonValue) -> str:
    """What stands in a file of pairs for a side."""
    if form.node.kind == "text" and isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


# --- cells: every value has one text, and that text means this value alone ---

_FORMULA = re.compile(r"'*[=+\-@\t]")
"""How a text begins that a spreadsheet would take for a formula, or that got an apostrophe against that."""
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
"""What a spreadsheet cannot hold, or reads as the escape of something else."""
_SEPARATORS = "；;、，,\n"
_JOINED = "；"


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: with an apostrophe before it where it would."""
    return "'" + text if _FORMULA.match(text) else text


def _cell(node: Node, value: JsonValue) -> str:
    if node.kind == "any":
        return guarded(_dumped(value))
    if isinstance(value, list) and value and _joins(node) and all(isinstance(item, str) for item in value):
        joined = guarded(_JOINED.join(map(str, value)))
        return joined if _value(node, joined) == value and not _UNSAFE.search(joined) else _dumped(value)
    if not isinstance(value, str):
        return _dumped(value)
    if _UNSAFE.search(value) or _unquoted(value) is not None or value == "" or (value == "null" and node.nullable):
        return _dumped(value)
    return guarded(value)


def _dumped(value: JsonValue) -> str:
    """JSON that a spreadsheet keeps as it is."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0][0]):04x}{found[0][1:]}", json.dumps(value, ensure_ascii=False))


def _value(node: Node, cell: object) -> JsonValue:
    """What a cell means; what means nothing here stays as it is, and the schema names the fault."""
    if not isinstance(cell, str):
        return cell  # type: ignore[return-value]  # of a Parquet file, or JSON
    if node.nullable and cell == "null":
        return None
    if node.kind == "list" and _joins(node):
        value = _json(cell)
        if not isinstance(value, list):
            separators = _SEPARATORS if not _holds_separators(node) else "；;\n"
            value = [piece.strip() for piece in re.split(f"[{separators}]", _plain(cell)) if piece.strip()]
        return [coerced(node.items, item) for item in value] if node.items else value
    if node.kind == "text":
        return _plain(cell)
    if node.kind in ("any", "object", "list"):
        value = _json(_unguarded(cell))
        return cell if value is None and cell.strip() != "null" else value
    text = _plain(cell)
    value = text if text in node.values else coerced(node, text)
    return int(value) if node.kind == "integer" and isinstance(value, float) and value.is_integer() else value


def _joins(node: Node) -> bool:
    """Whether a list's items can stand in one cell, joined."""
    items = node.items
    if items is None or items.nullable:
        return False
    return items.kind == "text" or (items.kind == "closed" and all(isinstance(value, str) for value in items.values))


def _holds_separators(node: Node) -> bool:
    items = node.items
    return items is None or items.kind == "text" or bool({*_SEPARATORS} & {*"".join(map(str, items.values))})


def _plain(cell: str) -> str:
    """The text that a cell holds: without the apostrophe of `guarded`, or what it quotes as JSON."""
    quoted = _unquoted(cell)
    return _unguarded(cell) if quoted is None else quoted


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _unquoted(cell: str) -> str | None:
    value = _json(cell) if cell.startswith('"') else None
    return value if isinstance(value, str) else None


def _json(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip()
