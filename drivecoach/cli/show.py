"""What people look at: the consoles, tables and bars that the verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from drivecoach.text import printable

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def table(title: str, rows: Mapping[str, object], console: Console = stdout) -> None:
    """Print a two-column table; names with brackets are no markup."""
    shown = Table(title=Text(title), show_header=False, title_justify="left")
    for name, value in rows.items():
        shown.add_row(Text(name), Text(printable(str(value))))
    console.print(shown)


def as_json(value: object, console: Console = stdout) -> None:
    """Print ``value`` for machines: one JSON document, nothing else; in ASCII where the encoding is not UTF-8.

    It may hold Pydantic models and dataclasses.
    """
    ascii_only = not console.encoding.startswith("utf")
    print(json.dumps(to_jsonable_python(value), ensure_ascii=ascii_only, indent=2), file=console.file)


@contextmanager
def bar(label: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """A progress bar on stderr with rows and time left: call the yielded function with the total, then its result."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:

        def start(total: int | None) -> Callable[[], None]:
            task = progress.add_task(label, total=total)
            return lambda: progress.advance(task)

        yield start


@contextmanager
def batch_bar(total: int | None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr with rows a second, valid answers and time left; call it with (rows, valid ones)."""
    columns = (
        TextColumn("infer"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[valid]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task("infer", total=total, rate="", valid="")

        def advance(done: int, valid: int) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:.0f} rows/s" if speed else ""
            progress.update(task, completed=done, rate=rate, valid=f"{valid / done:.1%} valid")

        yield advance
