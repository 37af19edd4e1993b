"""Inputs out of rows: which columns or keys are one, how many there are, their texts as a stream."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drivecoach.data.read import parse_json, read_lines, read_rows
from drivecoach.data.record import FORMS
from drivecoach.data.tables import TABLES, open_parquet
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError


@dataclass(frozen=True)
class Source:
    """Inputs of a file: how many there are, and the way to read them again from the start."""

    path: Path
    rows: int
    domain: AnyDomain

    def texts(self) -> Iterator[str]:
        """The input texts in file order; memory holds a few."""
        return (_text(value, self.domain) for value in _values(self.path, self.domain))


def open_source(path: Path, domain: AnyDomain) -> Source:
    """Check that a file can be read at all and count its rows.

    Raises DataError for a file that is missing, empty, not UTF-8, or has no column that is an input.
    """
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
        return (row.value for row in read_rows(path, partial(_check_columns, path, domain)))
    return (line.strip() for _, line in read_lines(path))


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
