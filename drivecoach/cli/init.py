"""`drivecoach init`: a folder with two models, pairs, a recipe, a test and a README to tune a domain of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.data import source_of
from drivecoach.cli.options import AsJson

Name = Annotated[Path, typer.Argument(help="The folder to make; its last part names the domain.")]
Rows = Annotated[
    Path | None,
    typer.Option("--from", help="Rows to propose the models from: JSON list, JSONL, CSV, TSV or Parquet."),
]
Form = Annotated[str, typer.Option("--format", help="auto, pairs, alpaca, messages or sharegpt.")]
Columns = Annotated[list[str] | None, typer.Option("--column", help="OURS=THEIRS, e.g. input=question (repeatable).")]


def init(name: Name, rows: Rows = None, form: Form = "auto", columns: Columns = None, as_json: AsJson = False) -> None:
    """Make a folder for a domain of your own: schema.py, pairs.jsonl, recipe.yaml, a test and a README.

    With --from, two models are proposed from the rows, and rows that do not fit are listed and set aside. A text is
    a closed set where at most 30 different values of at most 64 characters are seen 3 times each on average; a value
    of one or two rows that looks like a slip of one ten times as frequent (case, spaces, a letter too many or too
    few) is left out of it, and its rows do not fit. Numbers keep the range that the rows show, texts and lists the
    length. A key that is missing or null in some rows is optional. Nothing is ever overwritten.
    """
    from drivecoach.propose import make_folder

    made = make_folder(name, source_of(rows, form, columns or []) if rows else None)
    refused = made.refused.total()
    if as_json:
        shown = [{"row": row.row, "kind": row.kind, "reason": row.reason} for row in made.refusals]
        counts = {"rows": made.rows, "pairs": made.pairs, "refused": dict(made.refused)}
        show.as_json({"folder": str(made.folder), **counts, "first_refused": shown})
        return
    for row in made.refusals:
        show.stderr.print(f"row {row.row}: {row.kind}: {row.reason}", markup=False)
    if refused > len(made.refusals):
        show.stderr.print(f"… and {refused - len(made.refusals):,} more", markup=False)
    table: dict[str, object] = {"rows": made.rows, "pairs.jsonl": made.pairs, **made.refused}
    if refused:
        table["rows that do not fit written to"] = made.folder / "rejects.jsonl"
    show.table(str(made.folder), table)
    show.stdout.print(f"next: cd {made.folder}, read schema.py, then: drivecoach tune recipe.yaml", markup=False)
