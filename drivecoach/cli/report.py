"""`drivecoach report` and `drivecoach compare`: what runs have come to, as a page, and two of them held together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from drivecoach.cli import show
from drivecoach.cli.options import AsJson
from drivecoach.files import check_outputs, write_lines

if TYPE_CHECKING:
    from drivecoach.report.compare import Comparison

_SHOWN = 10
RunFolder = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/nano")]


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders; several stand side by side.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the page.")] = Path("report"),
) -> None:
    """Write all that is known of runs into one page, FOLDER/index.html, that needs no network."""
    from drivecoach.report.run import write

    show.stdout.print(str(write(runs, output)), markup=False)


def compare(
    first: RunFolder,
    second: RunFolder,
    flips: Annotated[
        Path | None, typer.Option("--flips", help="Write every input that flipped here, a JSON object a line.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the second run answers better and worse than the first, and whether that may be chance."""
    from drivecoach.report.compare import compare as hold
    from drivecoach.report.measured import measured

    if flips:
        check_outputs({"--flips": flips})
    found = hold(measured(first), measured(second))
    if flips:
        write_lines(flips, (flip.model_dump_json() for flip in found.flips))
    if as_json:
        show.as_json(found)
        return
    _print(found)
    if flips:
        show.stdout.print(f"{flips}: {len(found.flips):,} inputs that flipped", markup=False)


def _print(found: Comparison) -> None:
    from drivecoach.report.compare import told
    from drivecoach.report.words import percent

    table = Table(title=Text(f"{found.first} and {found.second}"), title_justify="left")
    for name in ("split", "inputs", found.first, found.second, "better", "worse", "p", "verdict"):
        table.add_column(Text(name), overflow="fold")
    for split in found.splits:
        shares = (percent(one.count, one.rows) for one in (split.first, split.second))
        test = split.test
        cells = (f"{test.rows:,}", *shares, f"{test.second:,}", f"{test.first:,}", f"{test.p_value:.3g}")
        table.add_row(*map(Text, (split.split, *cells, split.verdict)))
    show.stdout.print(table, soft_wrap=False)
    for split in found.splits:
        if split.rules:
            rules = Table(title=Text(f"{split.split}: rules that flipped most"), title_justify="left")
            for name in ("rule", "better", "worse"):
                rules.add_column(name)
            for rule in split.rules[:_SHOWN]:
                rules.add_row(*map(Text, (rule.rule, f"{rule.better:,}", f"{rule.worse:,}")))
            show.stdout.print(rules)
    for flip in found.flips[:_SHOWN]:
        show.stdout.print(told(flip), markup=False)
    if len(found.flips) > _SHOWN:
        show.note(f"{len(found.flips) - _SHOWN:,} more flipped; all of them: --flips FILE")
    for name, reason in found.not_compared.items():
        show.note(f"{name} is not compared: {reason}")
