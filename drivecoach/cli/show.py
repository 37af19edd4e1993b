"""What people look at: the consoles and tables that the verbs share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from drivecoach import quiet
from drivecoach.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    stdout: Console
    stderr: Console

_NAMES = 28
"""Columns of a table's names at most: the values need the room."""


def __getattr__(name: str) -> Console:
    """``stdout`` and ``stderr``, made when they are used: a plain answer needs none of Rich's modules."""
    if name not in ("stdout", "stderr"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    return Console(file=getattr(quiet, name), highlight=False, soft_wrap=True)


def line(text: str) -> None:
    """Write one line to standard output as it is."""
    print(text, file=quiet.stdout, flush=True)


def note(text: str) -> None:
    """Say on standard error what one should know beside the result."""
    print(f"note: {text}", file=quiet.stderr)


def table(title: str, rows: Mapping[str, object], console: Console | None = None) -> None:
    """Print a two-column table; names with brackets are no markup.

    Lines are broken between words, and within a word only where it is longer than its column. What is to be copied
    whole, a command or a line of JSON, does not belong into a table.
    """
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=Text(title), show_header=False, title_justify="left")
    shown.add_column(max_width=_NAMES, overflow="fold")
    shown.add_column(overflow="fold")
    for name, value in rows.items():
        shown.add_row(Text(name), Text(printable(str(value))))
    (console or __getattr__("stdout")).print(shown, soft_wrap=False)


def as_json(value: object, stream: TextIO = quiet.stdout) -> None:
    """Write ``value`` for machines: one JSON document, nothing else; in ASCII where the encoding is not UTF-8.

    It may hold Pydantic models and dataclasses.
    """
    from pydantic_core import to_jsonable_python

    ascii_only = not (stream.encoding or "utf-8").lower().startswith("utf")
    print(json.dumps(to_jsonable_python(value), ensure_ascii=ascii_only, indent=2), file=stream)
