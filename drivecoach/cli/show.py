"""What people look at: the consoles and tables that the verbs share."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table
from rich.text import Text

from drivecoach import quiet
from drivecoach.text import printable

stdout = Console(file=quiet.stdout, highlight=False, soft_wrap=True)
stderr = Console(file=quiet.stderr, highlight=False, soft_wrap=True)

_NAMES = 28
"""Columns of a table's names at most: the values need the room."""


def note(text: str) -> None:
    """Say on standard error what one should know beside the result."""
    stderr.print(f"note: {text}", markup=False)


def table(title: str, rows: Mapping[str, object], console: Console = stdout) -> None:
    """Print a two-column table; names with brackets are no markup.

    Lines are broken between words, and within a word only where it is longer than its column. What is to be copied
    whole, a command or a line of JSON, does not belong into a table.
    """
    shown = Table(title=Text(title), show_header=False, title_justify="left")
    shown.add_column(max_width=_NAMES, overflow="fold")
    shown.add_column(overflow="fold")
    for name, value in rows.items():
        shown.add_row(Text(name), Text(printable(str(value))))
    console.print(shown, soft_wrap=False)


def as_json(value: object, console: Console = stdout) -> None:
    """Print ``value`` for machines: one JSON document, nothing else; in ASCII where the encoding is not UTF-8.

    It may hold Pydantic models and dataclasses.
    """
    ascii_only = not console.encoding.startswith("utf")
    print(json.dumps(to_jsonable_python(value), ensure_ascii=ascii_only, indent=2), file=console.file)
