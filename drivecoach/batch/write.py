"""Writing outcome rows: a file of JSONL, CSV or Parquet by its name, or JSONL on standard output."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from drivecoach.data.tables import pyarrow_is_missing
from drivecoach.domain import AnyDomain, Domain
from drivecoach.domain.node import Node, text_of
from drivecoach.files import written_aside
from drivecoach.infer import Answer, Input, Outcome

if TYPE_CHECKING:
    from pyarrow import Schema

_ROWS = 4096
_encode = json.JSONEncoder(ensure_ascii=False).encode
"""As json.dumps, which would make an encoder for each row."""
Write = Callable[[Outcome[Any]], None]


@contextmanager
def open_output(path: Path, domain: AnyDomain) -> Iterator[Write]:
    """Yield the function that writes one outcome; the file appears under its name once it is whole.

    CSV and Parquet have one column a key of the answer. Raises StorageError when the disk is full.
    """
    writer = {".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower(), _jsonl)
    with written_aside(path) as part, writer(part, domain) as write:
        yield write


@contextmanager
def open_stdout(domain: AnyDomain) -> Iterator[Write]:
    """Yield the function that writes one outcome as a JSON line on standard output, at once and in UTF-8."""
    stream = sys.stdout.buffer

    def write(outcome: Outcome[Any]) -> None:
        stream.write(_line(outcome, domain).encode())
        stream.flush()

    yield write


def record(outcome: Outcome[Answer], domain: Domain[Input, Answer]) -> dict[str, JsonValue]:
    """An outcome as one row of a table: one column a key of the answer; what is nested stays JSON."""
    row: dict[str, JsonValue] = {"thinking": "", **outcome.to_json(domain)}
    answer = row.pop("answer")
    for key, (column, node) in _answer_columns(domain).items():
        value = (answer.get(key) if isinstance(answer, dict) else None) if key else answer
        row[column] = value if value is None or _type(node) else json.dumps(value, ensure_ascii=False)
    return row


def columns(domain: AnyDomain) -> list[str]:
    """The columns of a table of outcomes."""
    answers = [column for column, _ in _answer_columns(domain).values()]
    return [*_BEFORE, *answers, *_AFTER]


def arrow_schema(domain: AnyDomain) -> Schema:
    """The types of `columns`, for Parquet."""
    try:
        import pyarrow as pa
    except ImportError:
        raise pyarrow_is_missing() from None
    named = {column: _type(node) or "string" for column, node in _answer_columns(domain).values()}
    named |= {"row": "int64", "milliseconds": "float64"}
    lists = {column for column, kind in named.items() if kind == "list"}
    return pa.schema(
        [
            (name, pa.list_(pa.string()) if name in lists else pa.type_for_alias(named.get(name, "string")))
            for name in columns(domain)
        ]
    )


_BEFORE = ("row", "input", "status", "source")
_AFTER = ("thinking", "reason", "milliseconds")


def _answer_columns(domain: AnyDomain) -> dict[str, tuple[str, Node]]:
    """Key of the answer -> its column and node; one column ``answer`` where answers are no objects."""
    node = domain.answer.node
    if node.kind != "object":
        return {"": ("answer", node)}
    taken = {*_BEFORE, *_AFTER}
    return {key: (f"answer {key}" if key in taken else key, part) for key, part in node.fields.items()}


def _type(node: Node) -> str:
    """How a table holds a value, by pyarrow's names; empty where it is nested."""
    if node.kind == "list":
        return "list" if node.items is not None and _type(node.items) == "string" else ""
    if node.kind == "closed":
        kinds = {type(value) for value in node.values}
        named = {str: "string", bool: "bool", int: "int64", float: "float64"}
        return named[kinds.pop()] if len(kinds) == 1 else ""
    return {"integer": "int64", "number": "float64", "text": "string"}.get(node.kind, "")


@contextmanager
def _jsonl(part: Path, domain: AnyDomain) -> Iterator[Write]:
    with part.open("w", encoding="utf-8") as stream:

        def write(outcome: Outcome[Any]) -> None:
            stream.write(_line(outcome, domain))

        yield write


def _line(outcome: Outcome[Any], domain: AnyDomain) -> str:
    return _encode(outcome.to_json(domain)) + "\n"


@contextmanager
def _csv(part: Path, domain: AnyDomain) -> Iterator[Write]:
    # The byte order mark is what makes spreadsheets read Chinese.
    with part.open("w", encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictWriter(stream, columns(domain))
        rows.writeheader()

        def write(outcome: Outcome[Any]) -> None:
            cells = record(outcome, domain)
            rows.writerow({key: _cell(value) for key, value in cells.items()})

        yield write


def _cell(value: JsonValue) -> JsonValue:
    """A list is joined as Chinese tables do; what is true or false is written as JSON does."""
    if isinstance(value, list):
        return "；".join(map(str, value))
    return text_of(value) if isinstance(value, bool) else value


@contextmanager
def _parquet(part: Path, domain: AnyDomain) -> Iterator[Write]:
    schema = arrow_schema(domain)
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    held: list[dict[str, JsonValue]] = []
    with ParquetWriter(part, schema) as rows:

        def write(outcome: Outcome[Any]) -> None:
            held.append(record(outcome, domain))
            if len(held) >= _ROWS:
                rows.write_table(pa.Table.from_pylist(held, schema))
                held.clear()

        yield write
        if held:
            rows.write_table(pa.Table.from_pylist(held, schema))

