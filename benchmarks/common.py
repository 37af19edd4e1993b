"""What all benchmarks share: runs in turns, medians, a ratio beside its bar, peak memory, the machine, the result file.

A script measures its subject and its baselines in the same run, hands the figures to `finish`, and leaves
``results/<script>.json``; ``python benchmarks/all.py`` runs them all and writes RESULTS.md from those files.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
RUNS = 5
"""Runs of each way, whose median counts."""


class Figure(BaseModel):
    """One measured figure, beside the baseline of the same run and the bar that it should meet."""

    what: str
    value: float
    unit: str
    baseline: str = ""
    """What it is compared with, in words; empty where the figure stands alone."""
    baseline_value: float | None = None
    ratio: float | None = None
    """How many times as good as the baseline: faster, smaller; or how many times as much, where ``bar_is`` says so."""
    bar: float | None = None
    bar_is: Literal["at least", "at most"] = "at least"
    bar_on: Literal["ratio", "value"] = "ratio"
    low: float | None = None
    high: float | None = None
    """The least and the largest of the runs."""

    @property
    def is_met(self) -> bool | None:
        """None where there is no bar."""
        found = self.ratio if self.bar_on == "ratio" else self.value
        if self.bar is None or found is None:
            return None
        return found >= self.bar if self.bar_is == "at least" else found <= self.bar


class Result(BaseModel):
    """What one script measured."""

    title: str
    command: str
    date: str
    machine: str
    peak_mib: float
    """Peak memory of the script, and of the largest process that it started if that was larger."""
    figures: list[Figure]
    notes: list[str] = []


def in_turns(ways: Mapping[str, Callable[[], float]], runs: int = RUNS) -> dict[str, list[float]]:
    """Every way ``runs`` times, in turns so that a change of the machine's mood meets all of them alike.

    A way returns the figure of one run (rows a second, milliseconds, …).
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            found[name].append(way())
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def figure(
    what: str,
    values: Sequence[float],
    unit: str,
    *,
    baseline: str = "",
    against: Sequence[float] | None = None,
    bar: float | None = None,
    bar_is: Literal["at least", "at most"] = "at least",
    bar_on: Literal["ratio", "value"] = "ratio",
    less_is_better: bool = False,
) -> Figure:
    """The median of ``values``, and its ratio to the median of ``against``.

    ``less_is_better``: the ratio says how many times less (seconds, bytes) than the baseline.
    """
    value = median(values)
    base = None if against is None else median(against)
    ratio = None if base is None else (base / value if less_is_better else value / base)
    return Figure(
        what=what,
        value=value,
        unit=unit,
        baseline=baseline,
        baseline_value=base,
        ratio=ratio,
        bar=bar,
        bar_is=bar_is,
        bar_on=bar_on,
        low=min(values),
        high=max(values),
    )


def finish(title: str, figures: Sequence[Figure], notes: Sequence[str] = ()) -> None:
    """Print the table and leave ``results/<script>.json``."""
    script = Path(sys.argv[0])
    result = Result(
        title=title,
        command=" ".join(["python", f"benchmarks/{script.name}", *map(_named, sys.argv[1:])]),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        peak_mib=round(peak_mib(), 0),
        figures=list(figures),
        notes=list(notes),
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{script.stem}.json").write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    show(result)


def show(result: Result) -> None:
    """The figures as a table on the terminal."""
    table = Table(title=result.title, title_justify="left")
    for column in HEADER:
        table.add_column(column, justify="left" if column in ("what", "baseline") else "right")
    for one in result.figures:
        table.add_row(*cells(one))
    console = Console()
    console.print(table)
    for note in [*result.notes, f"peak memory {result.peak_mib:,.0f} MiB; {result.machine}"]:
        console.print(note, highlight=False)


HEADER = ("what", "median", "runs", "baseline", "baseline's median", "ratio", "bar", "met")


def cells(one: Figure) -> list[str]:
    """A figure as a row under `HEADER`."""
    spread = "" if one.low is None or one.high is None else f"{number(one.low)} to {number(one.high)}"
    unit = "×" if one.bar_on == "ratio" else one.unit
    bar = "" if one.bar is None else f"{one.bar_is} {number(one.bar)} {unit}"
    return [
        one.what,
        f"{number(one.value)} {one.unit}",
        spread,
        one.baseline,
        "" if one.baseline_value is None else f"{number(one.baseline_value)} {one.unit}",
        "" if one.ratio is None else f"{number(one.ratio)} ×",
        bar,
        {None: "", True: "yes", False: "no"}[one.is_met],
    ]


def number(value: float) -> str:
    """Three figures that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def peak_mib() -> float:
    """Peak resident memory of this process, or of its largest finished child."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) / 1024


def machine() -> str:
    """Processor, cores, memory, Python: what a figure was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _named(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if Path(argument).is_absolute() else argument
