"""Writing outcome rows as a stream: JSONL, CSV or Parquet, by the name of the output."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drivecoach.errors import DataError
from drivecoach.files import written_aside
from drivecoach.infer import Outcome
from drivecoach.registry import Domain

_ROWS = 4096
Write = Callable[[Outcome], None]


@contextmanager
def open_output(path: Path, domain: Domain) -> Iterator[Write]:
    """Yield the function that writes one outcome; the file appears under its name once it is whole.

    CSV and Parquet have one column a key of the answer. Raises StorageError when the disk is full.
    """
    writer = {".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower(), _jsonl)
    with written_aside(path) as part, writer(part, domain) as write:
        yield write


def columns(domain: Domain) -> list[str]:
    """The columns of a table of outcomes."""
    return ["row", "input", "status", "source", *_answer_keys(domain), "thinking", "reason", "milliseconds"]


def record(outcome: Outcome, domain: Domain) -> dict[str, Any]:
    """An outcome as one row of a table."""
    row = {"thinking": "", **outcome.to_json()}
    answer = row.pop("answer")
    keys = _answer_keys(domain)
    return row | ({key: (answer or {}).get(key) for key in keys} if keys != ["answer"] else {"answer": answer})


def arrow_schema(domain: Domain) -> Any:
    """The types of `columns`, for Parquet."""
    try:
        import pyarrow as pa
    except ImportError:
        raise DataError("Parquet needs pyarrow", hint="pip install 'drivecoach[parquet]'") from None
    types = {"row": pa.int64(), "milliseconds": pa.float64()}
    for key, node in domain.answer.node.fields.items():
        if node.kind == "list":
            types[key] = pa.list_(pa.string())
    return pa.schema([(name, types.get(name, pa.string())) for name in columns(domain)])


@contextmanager
def _jsonl(part: Path, _: Domain) -> Iterator[Write]:
    with part.open("w", encoding="utf-8") as stream:

        def write(outcome: Outcome) -> None:
            stream.write(json.dumps(outcome.to_json(), ensure_ascii=False) + "\n")

        yield write


@contextmanager
def _csv(part: Path, domain: Domain) -> Iterator[Write]:
    # The byte order mark is what makes spreadsheets read Chinese.
    with part.open("w", encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictWriter(stream, columns(domain))
        rows.writeheader()

        def write(outcome: Outcome) -> None:
            cells = record(outcome, domain)
            rows.writerow({key: "；".join(value) if isinstance(value, list) else value for key, value in cells.items()})

        yield write


@contextmanager
def _parquet(part: Path, domain: Domain) -> Iterator[Write]:
    schema = arrow_schema(domain)
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    held: list[dict[str, Any]] = []
    with ParquetWriter(part, schema) as rows:

        def write(outcome: Outcome) -> None:
            held.append(record(outcome, domain))
            if len(held) >= _ROWS:
                rows.write_table(pa.Table.from_pylist(held, schema))
                held.clear()

        yield write
        if held:
            rows.write_table(pa.Table.from_pylist(held, schema))


def _answer_keys(domain: Domain) -> list[str]:
    return list(domain.answer.node.fields) or ["answer"]
