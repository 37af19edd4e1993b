"""`drivecoach refine`: a finished run is taught what it gets wrong, round by round."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from drivecoach.cli import show
from drivecoach.cli.options import AsJson
from drivecoach.cli.runs import RunFolder
from drivecoach.cli.verify import NOT_CLEAN
from drivecoach.quiet import LOG, noise_into


def refine(
    run_folder: RunFolder,
    rounds: Annotated[int | None, typer.Option(min=1, help="At most so many rounds (default: the recipe's).")] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="Pairs drawn in all rounds together (default: the recipe's).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify every state, train on what was answered wrong or hardly right, export, verify again, until all is right.

    The run stays as it is; the refined one lies beside it (RUN-refined), with each round's pairs. Interrupted, the same
    command goes on. Exit 0: every answer is right; 3: not every one.
    """
    from drivecoach.lock import locked
    from drivecoach.pipeline import Run
    from drivecoach.refine.rounds import COLUMNS
    from drivecoach.refine.run import refine as run_rounds
    from drivecoach.refine.run import refined_folder

    console = show.stderr if as_json else show.stdout
    parent = Run.open(run_folder, lambda text: console.print(text, markup=False))
    given = {name: value for name, value in {"rounds": rounds, "pairs": pairs}.items() if value is not None}
    settings = parent.recipe.refine.model_copy(update=given)
    folder = refined_folder(run_folder)
    with locked(folder), noise_into(folder / LOG):
        run, record = run_rounds(parent, settings, parent.say)
    if record.kept:
        with noise_into(folder / LOG):
            run.evaluate()  # what was held out was never taught; deploying goes by its score
    if as_json:
        show.as_json({"run": str(run.folder), **record.model_dump(mode="json")})
    else:
        table = Table(*COLUMNS, title=Text(str(folder)), title_justify="left")
        for row in record.rows():
            table.add_row(*row)
        show.stdout.print(table)
        if record.held_out_before:
            told = ", ".join(f"{name} {share:.2%}" for name, share in record.held_out_before.items())
            show.stdout.print(f"held-out figures before anything was drawn from all states: {told}", markup=False)
        show.stdout.print(f"kept: round {record.kept}, {run.quantized}", markup=False)
    if not record.rounds[record.kept].is_clean:
        raise typer.Exit(NOT_CLEAN)
