"""Progress of long work on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING

from drivecoach import quiet

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 30.0
"""Without a terminal: a line at least so often, also while one step takes longer than that …"""
LINE_SHARE = 0.05
"""… or whenever this share of it was done."""
_SHORTEST = 5.0
"""Seconds before the first line and between two, at least: short work is not worth twenty of them."""
_REDRAWN = 0.1
"""Seconds between two pictures of a bar: work of many small steps must not wait for its bar."""


class Task:
    """One piece of work that is under way; `progress` opens it. Call it from one thread at a time."""

    def __init__(self, label: str, unit: str, total: int | None, bar: Progress | None) -> None:
        self.done = 0
        self._label, self._unit, self._total, self._bar = label, unit, total, bar
        self._facts: dict[str, str] = {}
        self._lock = RLock()
        self._start = self._told_at = time.monotonic()
        self._began_at = self._told = 0
        self._shown = bar.add_task(label, total=total, facts="") if bar else None

    def begin(self, done: int, total: int | None = None) -> None:
        """Say how much is done already and how much there is in all, once that is known."""
        self.done = self._began_at = self._told = done
        self._total = total if total is not None else self._total
        self._start = time.monotonic()
        if self._bar is not None and self._shown is not None:
            self._bar.update(self._shown, completed=done, total=self._total)

    def update(self, done: int, **facts: str) -> None:
        """Set how much is done; ``facts`` are shown beside it (``loss="0.114"``) until they are replaced."""
        with self._lock:
            self.done = done
            self._facts |= facts
        if self._bar is None:
            self.tell()
        elif self._shown is not None and (time.monotonic() - self._told_at >= _REDRAWN or done == self._total):
            self._told_at = time.monotonic()
            self._bar.update(self._shown, completed=done, facts=self._told_facts())

    def advance(self, count: int = 1, **facts: str) -> None:
        """Move on by ``count``."""
        self.update(self.done + count, **facts)

    def tell(self) -> None:
        """Write a line, if it is time for one."""
        with self._lock:
            self._line()

    def _told_facts(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._facts.items())

    def _line(self) -> None:
        now = time.monotonic()
        silent = now - self._told_at
        enough = self._total is not None and self.done - self._told >= LINE_SHARE * self._total
        if silent < _SHORTEST or not (enough or silent >= LINE_SECONDS):
            return
        self._told_at, self._told = now, self.done
        of = f"/{self._total}" if self._total is not None else ""
        count = f"{self._unit} {self.done}{of}".strip() if self.done or of else ""
        parts = [count, self._told_facts(), self._left(now)]
        print(f"{self._label}: " + ", ".join(part for part in parts if part), file=quiet.stderr, flush=True)

    def _left(self, now: float) -> str:
        moved = self.done - self._began_at
        if self._total is None or moved <= 0:
            return f"{duration(now - self._start)} so far"
        return f"{duration((now - self._start) / moved * max(0, self._total - self.done))} left"


@contextmanager
def progress(label: str, total: int | None = None, *, unit: str = "", shown: bool = True) -> Iterator[Task]:
    """Show work of ``total`` steps (None: not known, or said later by `Task.begin`); ``unit`` names them in lines.

    On a terminal a bar that goes away when the work ends. Elsewhere a line each half minute or twentieth:
    ``train: step 120/1078, loss 0.114, 9 min left``. Nothing at all unless ``shown``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=quiet.stderr)  # standard output is for results
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    if shown and not console.is_terminal:
        task, ended = Task(label, unit, total, None), Event()
        teller = Thread(target=_keep_telling, args=(task, ended), daemon=True)
        teller.start()
        try:
            yield task
        finally:
            ended.set()
            teller.join()
        return
    loud = not quiet.is_quiet()  # then what is printed meanwhile stands above the bar
    with Progress(
        *columns, console=console, transient=True, disable=not shown, redirect_stdout=loud, redirect_stderr=loud
    ) as bar:
        yield Task(label, unit, total, bar)


def _keep_telling(task: Task, ended: Event) -> None:
    while not ended.wait(LINE_SECONDS / 10):
        task.tell()


def duration(seconds: float) -> str:
    """``40 s``, ``9 min`` or ``1.5 h``: as exact as a person wants it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
