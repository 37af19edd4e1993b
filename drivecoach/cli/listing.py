"""`drivecoach runs`, and what every verb says of a run whose stages are stale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drivecoach.cli import show
from drivecoach.cli.options import RUNS, AsJson, Runs

if TYPE_CHECKING:
    from drivecoach.listing import Entry


def runs(
    folder: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """List the runs: base, rows, date, scores, where they are deployed, parent, and whether they are up to date."""
    from rich.table import Table
    from rich.text import Text

    from drivecoach.listing import list_runs

    entries = list(list_runs(folder)) if folder.is_dir() else []
    if as_json:
        show.as_json(entries)
        return
    if not entries:
        show.stdout.print(f"no runs in {folder}; the first one: drivecoach tune nano", markup=False)
        return
    table = Table(title=Text(str(folder)), title_justify="left")
    for column in ("run", "base", "rows", "trained", "right", "deployed", "state"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        table.add_row(*(Text(cell) for cell in _cells(entry)))
    show.stdout.print(table)


def note_stale(model: Path) -> None:
    """Say on standard error where a run folder, or a GGUF file in a run's ``export/``, is not up to date."""
    from drivecoach.stale import stale_stages

    if (found := stale_stages(model)) is not None:
        say_stale(*found)


def say_stale(run: Path, stages: Mapping[str, str], *, scores: bool = False) -> None:
    """Say on standard error which stages are stale; of the ``scores`` too, where they are shown."""
    for name, reason in stages.items():
        if name != "evaluate" or scores:
            remedy = f"drivecoach {name} {run}" if name in ("export", "evaluate") else "drivecoach tune RECIPE"
            show.note(f"{run}: {name} is stale: {reason} (bring it up to date: {remedy})")


def _cells(entry: Entry) -> tuple[str, ...]:
    parent = [f"goes on from {entry.parent}"] if entry.parent else []
    stale = [f"stale: {name}: {reason}" for name, reason in entry.stale.items()]
    return (
        Path(entry.folder).name,
        entry.base,
        "" if entry.rows is None else f"{entry.rows:,}",
        entry.date[:16].replace("T", " "),
        "\n".join(f"{name} {share:.2%}" for name, share in entry.scores.items()),
        "\n".join(entry.deployed),
        "\n".join([entry.state, *parent, *stale]),
    )
