"""Reading inputs as a stream: plain lines, JSONL, CSV with one column a feature, Parquet."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.errors import DataError
from drivecoach.registry import Domain

FORMS = "plain lines, .jsonl, .csv with one column a feature, or .parquet"
_BLOCK = 1 << 20
_FIELD = 1 << 20
_ROWS = 1024


@dataclass(frozen=True)
class Source:
    """Inputs of a file: how many there are, and the way to read them again from the start."""

    path: Path
    rows: int
    domain: Domain

    def texts(self) -> Iterator[str]:
        """The input texts in file order; memory holds a few."""
        reader = {".csv": _csv, ".parquet": _parquet}.get(self.path.suffix.lower(), _lines)
        yield from reader(self.path, self.domain)


def open_source(path: Path, domain: Domain) -> Source:
    """Check that a file can be read at all and count its rows.

    Raises DataError for a file that is missing, empty, not UTF-8, or has no column that is an input.
    """
    try:
        if path.suffix.lower() == ".parquet":
            rows = _open_parquet(path).metadata.num_rows
        else:
            _check_utf8(path)
            if path.suffix.lower() == ".csv":
                rows = sum(1 for _ in _csv(path, domain))
            else:
                rows = sum(1 for _ in _stripped(path))
    except FileNotFoundError:
        raise DataError(f"no file at {path}", hint="check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint="name a readable file") from None
    if not rows:
        raise DataError(f"{path} is empty", hint=f"give one input a row: {FORMS}")
    return Source(path, rows, domain)


def _lines(path: Path, domain: Domain) -> Iterator[str]:
    """Plain lines, or JSON objects with an ``input`` key or one key a feature.

    A line that starts with ``{`` but holds no such object is passed on as it is, and becomes a failed row.
    """
    for line in _stripped(path):
        try:
            value = json.loads(line) if line.startswith("{") else line
        except (ValueError, RecursionError):
            value = line
        yield _text(value, domain) if isinstance(value, dict) else line


def _csv(path: Path, domain: Domain) -> Iterator[str]:
    csv.field_size_limit(_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, restkey="")
        _check_columns(path, rows.fieldnames or [], domain)
        try:
            for row in rows:
                yield _text({key: value for key, value in row.items() if key and value is not None}, domain)
        except csv.Error as error:
            raise DataError(f"{path} is not valid CSV: {error} at line {rows.line_num}", hint="mend it") from None


def _parquet(path: Path, domain: Domain) -> Iterator[str]:
    file = _open_parquet(path)
    _check_columns(path, file.schema_arrow.names, domain)
    for batch in file.iter_batches(batch_size=_ROWS):
        for row in batch.to_pylist():
            yield _text(row, domain)


def _open_parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError("Parquet needs pyarrow", hint="pip install 'drivecoach[parquet]'") from None
    try:
        return ParquetFile(path)
    except ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file: {error}", hint=f"give {FORMS}") from None


def _text(record: Mapping[str, Any], domain: Domain) -> str:
    given = record.get("input")
    return given if isinstance(given, str) else domain.record_text(record)


def _check_columns(path: Path, names: Any, domain: Domain) -> None:
    """One column of inputs, or columns that the domain can make a record of: its own names, in either language."""
    wanted = domain.record_keys()
    if "input" in names or any(all(name in names for name in keys) for keys in wanted):
        return
    raise DataError(
        f"{path} has no column of inputs; its columns are: {', '.join(map(str, names))[:200]}",
        hint="name the columns input, or " + ", or ".join(", ".join(keys) for keys in wanted),
    )


def _stripped(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as stream:
        for line in stream:
            if text := line.strip():
                yield text


def _check_utf8(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while block := stream.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8", hint=f"convert it: iconv -f GB18030 -t UTF-8 {path}") from None
