"""`drivecoach data`: generate the driving pairs, check a file, count what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.data import check as check_file
from drivecoach.data.generate import COUNT, SEED
from drivecoach.data.generate import generate as generate_file
from drivecoach.registry import load_domain

app = typer.Typer(help="Generate, check and count training pairs.", no_args_is_help=True)

Source = Annotated[Path, typer.Argument(help="JSON list or JSONL of input/output pairs.")]
DomainName = Annotated[str, typer.Option("--domain", help="Whose inputs and answers the rows hold.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def generate(
    target: Annotated[Path, typer.Argument(help="Where to write the pairs.")] = Path("datasets/driving.json"),
    count: Annotated[int, typer.Option(min=1, help="How many pairs.")] = COUNT,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = SEED,
) -> None:
    """Draw driving pairs from the rule teacher, write them with a card that says how."""
    summary = generate_file(target, count, seed)
    show.table(f"{target}", summary)


@app.command()
def check(
    source: Source,
    domain: DomainName = "driving",
    rejects: Annotated[Path | None, typer.Option(help="Refused rows go here (default: beside the file).")] = None,
    accepted: Annotated[Path | None, typer.Option(help="Write the accepted pairs here as JSONL.")] = None,
    json: AsJson = False,
) -> None:
    """Find every malformed, unknown, duplicate or conflicting row; exit 1 when any row is refused."""
    report = check_file(source, load_domain(domain))
    if accepted:
        report.write_accepted(accepted)
    rejects = rejects or source.with_suffix(".rejects.jsonl")
    if report.refusals:
        report.write_rejects(rejects)
    if json:
        show.as_json(
            {
                "rows": report.rows,
                "accepted": len(report.pairs),
                "refused": [{"row": r.row, "kind": r.kind, "reason": r.reason} for r in report.refusals],
                "warnings": [{"row": r.row, "reason": r.reason} for r in report.warnings],
            }
        )
    else:
        for refusal in report.refusals[:50]:
            show.stderr.print(f"row {refusal.row}: {refusal.kind}: {refusal.reason}", markup=False)
        for warning in report.warnings[:20]:
            show.stderr.print(f"row {warning.row}: warning: {warning.reason}", markup=False)
        rows = {"rows": report.rows, "accepted": len(report.pairs), **report.kinds(), "warnings": len(report.warnings)}
        if report.refusals:
            rows["refused rows written to"] = rejects  # type: ignore[assignment]
        show.table(str(source), rows)
    if report.refusals:
        raise typer.Exit(1)


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
