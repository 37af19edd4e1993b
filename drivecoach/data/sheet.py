"""Writing an XLSX file that a person goes on with: header frozen, drop-downs, texts that are never formulas."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drivecoach.errors import DataError
from drivecoach.files import written_aside

Value = str | int | float | bool
Mark = Literal["fault", "warning"]

_ROWS = 1_048_576
_CELL = 32_767
"""How many rows a sheet has, and characters a cell."""
_RATHER_CSV = "write CSV instead: a name ending in .csv"
_COLOURS: dict[Mark, str] = {"fault": "FFFFC7CE", "warning": "FFFFEB9C"}
"""The red and yellow that Excel itself uses for bad and doubtful cells."""


@dataclass(frozen=True)
class Heading:
    """One column of a sheet."""

    name: str
    width: int
    """In characters; a Chinese one counts for two."""
    values: tuple[Value, ...] = ()
    """What it may hold, if that is a closed set."""
    several: bool = False
    """Whether a cell holds several of the values, so that a drop-down cannot choose."""
    wrapped: bool = False


def write_sheet(
    target: Path,
    title: str,
    headings: Sequence[Heading],
    rows: Iterable[Sequence[Value]],
    marks: Mapping[tuple[int, int], Mark] | None = None,
) -> None:
    """Write ``rows`` (the header is row 1); ``marks`` colours cells by row and column, both from 1.

    Raises DataError for more rows, or a longer text, than a sheet can hold.
    """
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet(title)
    styles = _Styles(book)
    sheet.freeze_panes = "A2"
    for place, heading in enumerate(headings, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = heading.width
    _offer_values(book, sheet, headings, styles)
    sheet.append([styles.cell(sheet, heading.name, "head") for heading in headings])
    try:
        number = _append(sheet, headings, rows, marks or {}, styles)
    except BaseException:
        for opened in book.worksheets:  # else what openpyxl has begun to write complains when it is thrown away
            opened.close()
        raise
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(headings))}{number}"
    with written_aside(target) as part:
        book.save(part)


def _append(
    sheet: Any,
    headings: Sequence[Heading],
    rows: Iterable[Sequence[Value]],
    marks: Mapping[tuple[int, int], Mark],
    styles: _Styles,
) -> int:
    """Add the rows; the number of the last one."""
    number = 1
    for number, row in enumerate(rows, start=2):
        if number > _ROWS:
            raise DataError(f"an XLSX sheet has {_ROWS:,} rows at most", hint=_RATHER_CSV)
        cells = []
        for place, value in enumerate(row, start=1):
            if isinstance(value, str) and len(value) > _CELL:
                where = f"row {number}, column {headings[place - 1].name if place <= len(headings) else place}"
                raise DataError(
                    f"{where}: {len(value):,} characters, a cell of XLSX holds {_CELL:,}",
                    hint=_RATHER_CSV,
                )
            mark = marks.get((number, place))
            wrapped = place <= len(headings) and headings[place - 1].wrapped
            cells.append(styles.cell(sheet, value, mark or ("wrapped" if wrapped else "plain")))
        sheet.append(cells)
    return number


def width_of(*texts: str) -> int:
    """The width of a column that shows all of ``texts``."""
    widths = (sum(1 + (unicodedata.east_asian_width(c) in "FW") for c in text) for text in texts)
    return min(60, max(widths, default=0) + 3)


def _offer_values(book: Any, sheet: Any, headings: Sequence[Heading], styles: _Styles) -> None:
    """Drop-downs from a second sheet: a list inside the rule itself is limited to 255 characters."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    closed = [(place, heading) for place, heading in enumerate(headings, start=1) if heading.values]
    if not closed:
        return
    other: Any = book.create_sheet("values")
    other.freeze_panes = "A2"
    for column, (place, heading) in enumerate(closed, start=1):
        letter, end = get_column_letter(column), len(heading.values) + 1
        other.column_dimensions[letter].width = heading.width
        if heading.several:
            rule = DataValidation(prompt="可写多个，用；隔开 / several, joined by ；", showInputMessage=True)
        else:
            rule = DataValidation(type="list", formula1=f"values!${letter}$2:${letter}${end}", showErrorMessage=True)
        rule.add(f"{get_column_letter(place)}2:{get_column_letter(place)}{_ROWS}")
        sheet.data_validations.append(rule)
    other.append([styles.cell(other, heading.name, "head") for _, heading in closed])
    for row in range(max(len(heading.values) for _, heading in closed)):
        values = (heading.values[row] if row < len(heading.values) else "" for _, heading in closed)
        other.append([styles.cell(other, value, "plain") for value in values])


class _Styles:
    """The styles of a book's cells; each is worked out once, which is what makes many cells fast."""

    def __init__(self, book: Any) -> None:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Font, PatternFill

        self._make = WriteOnlyCell
        usual, no_fill, wrapped = Font(), PatternFill(), Alignment(wrap_text=True, vertical="top")
        looks: dict[str, tuple[Font, PatternFill, Alignment]] = {
            "plain": (usual, no_fill, Alignment(vertical="top")),
            "wrapped": (usual, no_fill, wrapped),
            "head": (Font(bold=True), PatternFill("solid", fgColor="FFD9E1F2"), Alignment()),
            **{mark: (usual, PatternFill("solid", fgColor=colour), wrapped) for mark, colour in _COLOURS.items()},
        }
        sheet = book.worksheets[0]
        self._styles = {}
        for name, (font, fill, alignment) in looks.items():
            for text in (True, False):
                cell = WriteOnlyCell(sheet)
                cell.font, cell.fill, cell.alignment = font, fill, alignment
                cell.number_format = "@" if text else "General"
                cell.quotePrefix = text
                self._styles[name, text] = cell._style

    def cell(self, sheet: Any, value: Value, look: str) -> Any:
        """A cell; a text is a text for the spreadsheet too, whatever it looks like, also once it is edited."""
        text = isinstance(value, str)
        cell = self._make(sheet, None if value == "" else value)
        cell._style = self._styles[look, text]
        if text and value:
            cell.data_type = "s"
        return cell
