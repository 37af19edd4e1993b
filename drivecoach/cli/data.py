"""`drivecoach data`: draw pairs from a teacher, check a file, count what is in it, edit it in a spreadsheet."""

from __future__ import annotations

import json as jsonlib
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer
from pydantic import ValidationError

from drivecoach.cli import show
from drivecoach.cli.options import AsJson
from drivecoach.config import SourceConfig
from drivecoach.data.check import INVARIANT, Refusal, json_line
from drivecoach.data.check import check as check_rows
from drivecoach.data.exchange import export_table, import_table, notes_on, refuse_existing
from drivecoach.data.formats import FORMATS, TABLE
from drivecoach.data.generate import COUNT, LARGEST_SEED, SEED
from drivecoach.data.generate import generate as generate_file
from drivecoach.data.record import check_file
from drivecoach.data.survey import survey
from drivecoach.domain import AnyDomain
from drivecoach.domains.load import load_domain
from drivecoach.errors import DataError, RecipeError, StorageError
from drivecoach.files import check_outputs, written_aside

_SHOWN = 50
_WANTED = 5

app = typer.Typer(help="Generate, check and count training pairs; edit them in Excel.", no_args_is_help=True)

Source = Annotated[
    Path, typer.Argument(help="JSON list, JSONL, CSV, TSV, XLSX or Parquet: pairs, chats, or one column a field.")
]
DomainName = Annotated[str, typer.Option("--domain", help="Whose inputs and answers the rows hold.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over a file that is already there.")]


@app.command()
def generate(
    target: Annotated[Path, typer.Argument(help="Where to write the pairs: .json, .jsonl, or .csv, .tsv, .xlsx.")],
    count: Annotated[int, typer.Option(min=1, help="How many pairs.")] = COUNT,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="The same seed draws the same pairs.")] = SEED,
    domain: Annotated[str, typer.Option("--domain", help="Whose teacher answers.")] = "driving",
    replace: Replace = False,
) -> None:
    """Draw pairs from a domain's teacher, write them with a card that says how.

    A name in .csv, .tsv or .xlsx gives a table with one column a field.
    """
    refuse_existing(target, replace)
    show.table(f"{target}", generate_file(target, load_domain(domain), count, seed).summary)


@app.command("export")
def export(
    source: Annotated[Path, typer.Argument(help="Pairs, in any form that check reads.")],
    target: Annotated[
        Path | None, typer.Argument(help="The table: .xlsx (default: beside the pairs), .csv or .tsv.")
    ] = None,
    domain: DomainName = "driving",
    replace: Replace = False,
    json: AsJson = False,
) -> None:
    """Write pairs as a table to edit in Excel: one column a feature and one a field of the answer.

    Conflicts, repeated rows and broken invariants are coloured, with the reason in a column of its own.
    """
    done = export_table(source, target, load_domain(domain), replace=replace)
    if json:
        faults = {"refused": [_brief(row) for row in done.refusals], "warnings": [_brief(row) for row in done.warnings]}
        show.as_json({"rows": done.rows, "written": str(done.target), **faults})
        return
    for name, rows in (("refused by a check", done.refusals), ("with a warning", done.warnings)):
        if rows:
            show.stderr.print(f"{len(rows)} rows {name}: see the column faults", markup=False)
    show.stdout.print(f"{done.target}: {done.rows:,} pairs", markup=False)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A table: .xlsx (its first sheet), .csv, .tsv or .parquet.")],
    target: Annotated[Path | None, typer.Argument(help="The pairs: .jsonl (beside the table) or .json.")] = None,
    domain: DomainName = "driving",
    replace: Replace = False,
    json: AsJson = False,
) -> None:
    """Check a table and write its pairs; with faults, a copy of it says what is wrong beside each row (exit 1)."""
    knowledge = load_domain(domain)
    done = import_table(source, target, knowledge, replace=replace)
    if json:
        show.as_json(
            {
                "rows": done.rows,
                "written": None if done.refusals else str(done.target),
                "refused": [_brief(row) for row in done.refusals],
                "warnings": [_brief(row) for row in done.warnings],
                "faults": None if done.marked is None else str(done.marked),
            }
        )
    else:
        _say_notes(source, knowledge)
        _say(done.refusals[:_SHOWN], done.warnings[:_SHOWN])
        if not done.refusals:
            show.stdout.print(f"{done.target}: {done.rows:,} pairs", markup=False)
    if done.refusals:
        raise DataError(
            f"{len(done.refusals):,} of {done.rows:,} rows are refused, and nothing was imported",
            hint=f"correct the coloured rows of {done.marked}, then import that file",
        )


@app.command()
def check(
    source: Source,
    domain: DomainName = "driving",
    rejects: Annotated[Path | None, typer.Option(help="Refused rows go here (default: beside the file).")] = None,
    accepted: Annotated[Path | None, typer.Option(help="Write the accepted pairs here as JSONL.")] = None,
    form: Annotated[str, typer.Option("--format", help="auto, pairs, alpaca, messages, sharegpt or table.")] = "auto",
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="OURS=THEIRS, e.g. input=parent_text (repeatable).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Find every malformed, unknown, duplicate or conflicting row; exit 1 when any row is refused."""
    check_file(source)
    beside = rejects or source.with_name(f"{source.stem}.rejects.jsonl")
    check_outputs({"--rejects": beside, **({"--accepted": accepted} if accepted else {})}, [source])
    if rejects is None and beside.exists() and not _holds_rejects(beside):
        raise StorageError(f"{beside} is there and holds no refused rows", hint="say where they go: --rejects FILE")
    knowledge = load_domain(domain)
    counts: Counter[str] = Counter()
    refusals: list[Refusal] = []
    warnings: list[Refusal] = []
    with ExitStack() as files:
        bad = files.enter_context(TemporaryFile("w+", encoding="utf-8"))
        part = files.enter_context(written_aside(accepted)) if accepted else None
        good = files.enter_context(part.open("w", encoding="utf-8")) if part else None
        keep = (lambda pair: good.write(json_line(pair.to_json()))) if good else None
        for found in survey(source_of(source, form, columns or []), knowledge, keep):
            if isinstance(found, int):
                counts["rows"] += found
                counts["accepted"] += found
            elif found.kind == INVARIANT:
                counts["warnings"] += 1
                if json or len(warnings) < _SHOWN:
                    warnings.append(found)
            else:
                counts["rows"] += 1
                counts[found.kind] += 1
                bad.write(json_line(found.to_json()))
                if json or len(refusals) < _SHOWN:
                    refusals.append(found)
        refused = counts["rows"] - counts["accepted"]
        if refused or rejects:
            bad.seek(0)
            with written_aside(beside) as part, part.open("w", encoding="utf-8") as stream:
                shutil.copyfileobj(bad, stream)
    if json:
        show.as_json(
            {
                "rows": counts["rows"],
                "accepted": counts["accepted"],
                "refused": [{**_brief(row), "fields": row.fields, "value": row.value} for row in refusals],
                "warnings": [{**_brief(row), "value": row.value} for row in warnings],
            }
        )
    else:
        _say_notes(source, knowledge)
        _say(refusals, warnings)
        rows: dict[str, object] = {"rows": 0, "accepted": 0, **counts}
        rows["warnings"] = counts["warnings"]
        if refused:
            rows["refused rows written to"] = beside
        show.table(str(source), rows)
        if not refused and not rejects and beside.exists():
            show.note(f"{beside} is of an earlier check; nothing is refused now")
    if refused:
        raise typer.Exit(1)


def source_of(path: Path, form: str, columns: list[str]) -> SourceConfig:
    """The rows that ``--format`` and ``--column`` describe; raises RecipeError for what is neither."""
    pairs = [column.partition("=") for column in columns]
    if not all(theirs for _, _, theirs in pairs):
        raise RecipeError("--column is of the form OURS=THEIRS", hint="e.g. --column input=parent_text")
    try:
        given = {"path": str(path), "format": form, "columns": {ours: theirs for ours, _, theirs in pairs}}
        return SourceConfig.model_validate(given)
    except ValidationError:
        raise RecipeError(
            f"there is no format {form!r}", hint="choose one of: auto, " + ", ".join([*sorted(FORMATS), TABLE])
        ) from None


def _brief(row: Refusal) -> dict[str, object]:
    kind = {} if row.kind == "invariant" else {"kind": row.kind}
    return {"row": row.row, **kind, "reason": row.reason}


def _say(refusals: list[Refusal], warnings: list[Refusal]) -> None:
    for refusal in refusals:
        show.stderr.print(f"row {refusal.row}: {refusal.kind}: {refusal.reason}", markup=False)
    for warning in warnings:
        show.stderr.print(f"row {warning.row}: warning: {warning.reason}", markup=False)


def _say_notes(source: Path, domain: AnyDomain) -> None:
    for note in notes_on(source, domain):
        show.note(f"{note}")


def _holds_rejects(path: Path) -> bool:
    """Whether a file is what an earlier check left, which may be written over."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = jsonlib.loads(lines.readline() or "{}")
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and (not first or {"row", "kind", "reason", "value"} <= first.keys())


@app.command()
def stats(source: Source, domain: DomainName = "driving", json: AsJson = False) -> None:
    """Count the accepted pairs by every feature, level and action."""
    report = check_rows(source, load_domain(domain))
    refused = len(report.refusals)
    if not report.pairs:
        raise DataError(
            f"{source}: all {refused:,} rows are refused, so that there is nothing to count",
            hint=f"see why: drivecoach data check {source}",
        )
    if json:
        show.as_json({label: dict(counts.most_common()) for label, counts in report.counts.items()})
    else:
        show.table(
            f"{source}: {len(report.pairs)} accepted pairs",
            {
                label: ", ".join(f"{value} {count}" for value, count in counts.most_common())
                for label, counts in report.counts.items()
            },
        )
    if refused:
        show.note(f"{refused:,} refused rows are not counted; see them: drivecoach data check {source}")


@app.command()
def report(
    source: Source,
    domain: DomainName = "driving",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The page (default: beside the file, NAME.report.html).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Write a page of what a file covers and lacks: values, pairs of values, rules, conflicts, neighbours."""
    from drivecoach.data.coverage import coverage
    from drivecoach.report import page
    from drivecoach.report.data import render

    check_file(source)
    target = output or source.with_name(f"{source.stem}.report.html")
    check_outputs({"--output": target}, [source])
    found = coverage(source, load_domain(domain))
    if json:
        show.as_json(found)
        return
    page.write(target, render(found))
    show.stdout.print(str(target), markup=False)
    for one in found.wanted[:_WANTED]:
        show.stdout.print(f"collect: {one.kind}: {one.what} ({one.pairs:,} pairs)", markup=False)
