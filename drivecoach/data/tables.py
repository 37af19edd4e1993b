"""Reading tables as a stream: CSV, TSV, the first sheet of an XLSX file, Parquet; a row is a dict by column."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from drivecoach.data.record import CheckColumns, Row, is_empty, reading, refuse_others, text_encoding
from drivecoach.errors import DataError, DrivecoachError, first_line

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TABLES = (*DELIMITERS, ".xlsx", ".parquet")
"""The endings of the files that are read here."""

_LARGEST_CELL = 16 << 20
_LARGEST_SHEET = 2 << 30
"""Bytes that the parts of an XLSX file may have together once they are unpacked."""


def read_table(path: Path, check_columns: CheckColumns) -> Iterator[Row]:
    """The rows of a table, whose header is row 1; rows without anything in them are passed over.

    Of a row with more cells than the header, the others stand under the empty name. Raises DataError for a file that
    is damaged, has no rows, or names two columns alike.
    """
    kind = path.suffix.lower()
    if kind == ".parquet":
        yield from _parquet(path, check_columns)
        return
    cells = _sheet(path) if kind == ".xlsx" else _csv(path, DELIMITERS[kind])
    _, header = next(cells, (1, list[str]()))
    _refuse_twins(path, header)
    check_columns(header)
    found = False
    for number, row in cells:
        if not any(row) and len(header) != 1:
            continue
        found = True
        value: dict[str, object] = dict(zip(header, row, strict=False))
        if len(row) == len(header):
            yield Row(number, value)
        elif row:
            more = {"": row[len(header) :]} if len(row) > len(header) else {}
            yield Row(number, value | more, f"{len(row)} cells, the header has {len(header)}")
    if not found:
        raise DataError(f"{path} is empty: a header and no rows", hint="put rows under the header")


def header_of(path: Path) -> list[str]:
    """The columns of a table; raises DataError as `read_table` does."""
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as table:
            return list(table.schema_arrow.names)
    kind = path.suffix.lower()
    return next(_sheet(path) if kind == ".xlsx" else _csv(path, DELIMITERS[kind]), (1, []))[1]


def _refuse_twins(path: Path, header: Sequence[str]) -> None:
    twins = [name for name, count in Counter(header).items() if count > 1 and name]
    if twins:
        raise DataError(
            f"{path} has several columns named {', '.join(map(repr, twins))}",
            hint="rename or delete all but one of them",
        )


def _csv(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    encoding = text_encoding(path)
    csv.field_size_limit(_LARGEST_CELL)
    number = 0
    with path.open(encoding=encoding, newline="") as stream:
        try:
            for number, cells in enumerate(csv.reader(stream, delimiter=delimiter, strict=True), start=1):
                yield number, cells
        except csv.Error as error:
            raise DataError(
                f"{path} is not valid CSV after row {number}: {error}", hint="save it again as CSV in UTF-8, quoted"
            ) from None


def _sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet as texts, as a CSV file has them; formulas by the value that Excel stored."""
    from openpyxl import load_workbook

    _check_workbook(path)
    try:
        with path.open("rb") as stream:
            book = load_workbook(stream, read_only=True, data_only=True)
            sheet: Any = book.worksheets[0]
            sheet.reset_dimensions()  # some programs store wrong ones
            width = 0
            for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                cells = [_text(value) for value in values]
                while len(cells) > width and not cells[-1]:
                    cells.pop()
                width = width or len(cells)
                if number == 1 and not width:
                    raise DataError(f"{path}: the first row of its first sheet is empty", hint="put the header there")
                yield number, cells + [""] * (width - len(cells))
    except (DrivecoachError, OSError):
        raise
    except Exception as error:  # openpyxl has no common base of its errors
        raise DataError(
            f"{path} is no whole XLSX file: {first_line(error)}", hint="open it in Excel and save it again as .xlsx"
        ) from error


def _check_workbook(path: Path) -> None:
    try:
        with ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
    except BadZipFile:
        refuse_others(path, but="zip")
        raise DataError(f"{path} is no whole XLSX file", hint="open it in Excel and save it again as .xlsx") from None
    if size > _LARGEST_SHEET:
        raise DataError(f"{path} is {size >> 30} GiB unpacked", hint="save the rows as CSV UTF-8 or Parquet instead")


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | time) else str(value)


@contextmanager
def open_parquet(path: Path) -> Iterator[ParquetFile]:
    """Open a Parquet file as pyarrow's ParquetFile; what is wrong with it, now or later, is a DataError."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise pyarrow_is_missing() from None
    with reading(path):
        try:
            with ParquetFile(path) as table:
                yield table
        except (ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = first_line(error)  # pyarrow tells of damaged places by an OSError without a number
            raise DataError(f"{path} is no whole Parquet file: {said}", hint="write the file again") from None


def pyarrow_is_missing() -> DataError:
    """What to say where a Parquet file is read or written without pyarrow."""
    return DataError("Parquet needs pyarrow", hint="pip install 'drivecoach[parquet]'")


def _parquet(path: Path, check_columns: CheckColumns) -> Iterator[Row]:
    with open_parquet(path) as table:
        _refuse_twins(path, table.schema_arrow.names)
        check_columns(table.schema_arrow.names)
        if not table.metadata.num_rows:
            raise is_empty(path)
        number = 1
        for batch in table.iter_batches(batch_size=1024):
            try:
                rows = [Row(number, value) for number, value in enumerate(batch.to_pylist(), start=number + 1)]
            except (ValueError, OverflowError):  # a date or time that Python has not
                rows = [_one(batch.slice(place, 1), number + 1 + place) for place in range(batch.num_rows)]
            number += batch.num_rows
            yield from rows


def _one(batch: Any, number: int) -> Row:
    """A row whose columns are read one by one, those that cannot be named."""
    value, faults = {}, []
    for name in batch.schema.names:
        try:
            value[name] = batch.column(name)[0].as_py()
        except (ValueError, OverflowError) as error:
            faults.append(f"{name!r} cannot be read: {first_line(error)}")
    return Row(number, value, "; ".join(faults) or None)
