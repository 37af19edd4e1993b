"""`drivecoach data`: draw pairs from a teacher, check a file, count what is in it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import typer
from pydantic import ValidationError

from drivecoach.cli import show
from drivecoach.config import SourceConfig
from drivecoach.data import Refusal, scan
from drivecoach.data import check as check_file
from drivecoach.data.check import json_line
from drivecoach.data.formats import FORMATS
from drivecoach.data.generate import COUNT, SEED
from drivecoach.data.generate import generate as generate_file
from drivecoach.domains.load import load_domain
from drivecoach.errors import RecipeError
from drivecoach.files import written_aside

_SHOWN = 50

app = typer.Typer(help="Generate, check and count training pairs.", no_args_is_help=True)

Source = Annotated[Path, typer.Argument(help="JSON list, JSONL, CSV, TSV or Parquet of pairs or chats.")]
DomainName = Annotated[str, typer.Option("--domain", help="Whose inputs and answers the rows hold.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def generate(
    target: Annotated[Path, typer.Argument(help="Where to write the pairs.")],
    count: Annotated[int, typer.Option(min=1, help="How many pairs.")] = COUNT,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = SEED,
    domain: Annotated[str, typer.Option("--domain", help="Whose teacher answers.")] = "driving",
) -> None:
    """Draw pairs from a domain's teacher, write them with a card that says how."""
    show.table(f"{target}", generate_file(target, load_domain(domain), count, seed).summary)


@app.command()
def check(
    source: Source,
    domain: DomainName = "driving",
    rejects: Annotated[Path | None, typer.Option(help="Refused rows go here (default: beside the file).")] = None,
    accepted: Annotated[Path | None, typer.Option(help="Write the accepted pairs here as JSONL.")] = None,
    form: Annotated[str, typer.Option("--format", help="auto, pairs, alpaca, messages or sharegpt.")] = "auto",
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="OURS=THEIRS, e.g. input=parent_text (repeatable).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Find every malformed, unknown, duplicate or conflicting row; exit 1 when any row is refused."""
    rejects = rejects or source.with_suffix(".rejects.jsonl")
    counts: Counter[str] = Counter()
    refusals: list[Refusal] = []
    warnings: list[Refusal] = []
    with ExitStack() as files:
        good = _opened(files, accepted) if accepted else None
        bad = _opened(files, rejects)
        for verdict in scan([source_of(source, form, columns or [])], load_domain(domain)):
            counts["rows"] += 1
            if isinstance(verdict, Refusal):
                counts[verdict.kind] += 1
                bad.write(json_line(verdict.to_json()))
                if json or len(refusals) < _SHOWN:
                    refusals.append(verdict)
                continue
            counts["accepted"] += 1
            if verdict.warning:
                counts["warnings"] += 1
                if json or len(warnings) < _SHOWN:
                    warnings.append(verdict.warning)
            if good:
                good.write(json_line(verdict.pair.to_json()))
    refused = counts["rows"] - counts["accepted"]
    if not refused:
        rejects.unlink()
    if json:
        show.as_json(
            {
                "rows": counts["rows"],
                "accepted": counts["accepted"],
                "refused": [{"row": r.row, "kind": r.kind, "reason": r.reason} for r in refusals],
                "warnings": [{"row": r.row, "reason": r.reason} for r in warnings],
            }
        )
    else:
        for refusal in refusals:
            show.stderr.print(f"row {refusal.row}: {refusal.kind}: {refusal.reason}", markup=False)
        for warning in warnings:
            show.stderr.print(f"row {warning.row}: warning: {warning.reason}", markup=False)
        rows: dict[str, object] = {"rows": 0, "accepted": 0, **counts}
        rows["warnings"] = counts["warnings"]
        if refused:
            rows["refused rows written to"] = rejects
        show.table(str(source), rows)
    if refused:
        raise typer.Exit(1)


def source_of(path: Path, form: str, columns: list[str]) -> SourceConfig:
    """The rows that ``--format`` and ``--column`` describe; raises RecipeError for what is neither."""
    pairs = [column.partition("=") for column in columns]
    if not all(theirs for _, _, theirs in pairs):
        raise RecipeError("--column is of the form OURS=THEIRS", hint="e.g. --column input=parent_text")
    try:
        return SourceConfig(path=str(path), format=form, columns={ours: theirs for ours, _, theirs in pairs})
    except ValidationError:
        raise RecipeError(
            f"there is no format {form!r}", hint="choose one of: auto, " + ", ".join(sorted(FORMATS))
        ) from None


def _opened(files: ExitStack, path: Path) -> TextIO:
    return files.enter_context(files.enter_context(written_aside(path)).open("w", encoding="utf-8"))


@app.command()
def stats(source: Source, domain: DomainName = "driving", json: AsJson = False) -> None:
    """Count the accepted pairs by every feature, level and action."""
    report = check_file(source, load_domain(domain))
    if json:
        show.as_json({label: dict(counts.most_common()) for label, counts in report.counts.items()})
        return
    show.table(
        f"{source}: {len(report.pairs)} accepted pairs",
        {
            label: ", ".join(f"{value} {count}" for value, count in counts.most_common())
            for label, counts in report.counts.items()
        },
    )
