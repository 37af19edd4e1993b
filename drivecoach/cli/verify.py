"""`drivecoach verify`: every input answered and counted, and a certificate held against what it is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.options import AsJson, DomainName, Host
from drivecoach.errors import ModelError

if TYPE_CHECKING:
    from drivecoach.evaluate.target import Target
    from drivecoach.verify.certificate import Certificate

NOT_CLEAN = 3
"""The exit code of a verification that was done and found wrong answers."""


def verify(
    target: Annotated[
        str | None, typer.Argument(help="A run folder, a GGUF file, ollama:NAME; with --check it is found beside.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder of the certificate (default: RUN/verify).")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Hold this certificate against its model, rules and a sample.")
    ] = None,
    host: Host = None,
    domain: DomainName = None,
    as_json: AsJson = False,
) -> None:
    """Answer every input that the domain has, count what is wrong, and write a certificate and all counterexamples.

    Interrupted, the same command goes on where it was. Exit 0: every answer is right; 3: not every one; 1: a failure.
    """
    from drivecoach.config import read_recipe
    from drivecoach.evaluate.target import open_target
    from drivecoach.export import card
    from drivecoach.lock import locked
    from drivecoach.verify.check import check as check_certificate
    from drivecoach.verify.run import verify as verify_all

    say = show.stderr if as_json else show.stdout
    if check is not None:
        with open_target(target or _model_of(check), domain, host) as opened:
            checked = check_certificate(check, opened)
        if as_json:
            show.as_json(checked)
        else:
            told = f"{checked.sampled:,} of {checked.of:,} states answered as it says"
            show.stdout.print(f"{check} holds: seal, digests, {told}", markup=False)
        return
    if target is None:
        raise typer.BadParameter("name what to verify: drivecoach verify runs/nano", param_hint="TARGET")
    with open_target(target, domain, host) as opened:
        folder = output or folder_of(opened)
        with locked(folder):
            certificate = verify_all(opened, folder, lambda text: say.print(text, markup=False))
        if opened.run is not None:
            card.write(opened.run, read_recipe(opened.run), opened.domain)
    if as_json:
        show.as_json(certificate)
    else:
        show.table(f"{folder}", rows(certificate))
    if not certificate.clean:
        raise typer.Exit(NOT_CLEAN)


def folder_of(target: Target) -> Path:
    """Where the certificate of a target lies: in its run, for the file that the run serves; else beside the file."""
    from drivecoach.config import read_recipe
    from drivecoach.verify.certificate import FOLDER

    gguf = target.gguf
    if gguf is None:
        return Path(FOLDER) / target.name.replace(":", "-").replace("/", "-")
    if target.run is not None and gguf.name == read_recipe(target.run).export.served:
        return target.run / FOLDER
    return gguf.with_suffix(".verify")


def rows(certificate: Certificate) -> dict[str, str]:
    """For a table: the counts, and the rules with the most wrong answers."""
    worst = sorted(certificate.rules.items(), key=lambda rule: -rule[1].wrong)[:8]
    often = ", ".join(f"{id or '-'} {counts.wrong:,}" for id, counts in worst if counts.wrong)
    broken = ", ".join(f"{id} {count:,}" for id, count in certificate.violations.items())
    return {
        "states": f"{certificate.states:,}",
        "wrong": f"{certificate.wrong:,} ({1 - certificate.wrong / certificate.states:.4%} right)",
        "below the right level": f"{certificate.below:,}, {certificate.lowered:,} of them lowered from the gravest",
        "invariant violations": broken or "none",
        "most often wrong": often or "none",
        "model": f"{certificate.target}, SHA-256 {certificate.digests.model[:16]}",
        "clean": "yes" if certificate.clean else "no",
    }


def _model_of(certificate: Path) -> str:
    """The model that a certificate lies beside."""
    from drivecoach.config import RECIPE

    folder = certificate if certificate.is_dir() else certificate.parent
    if (folder.parent / RECIPE).is_file():
        return str(folder.parent)
    beside = folder.with_suffix(".gguf")
    if beside.is_file():
        return str(beside)
    raise ModelError(
        f"which model {certificate} is of is not to be seen from where it lies",
        hint=f"name it: drivecoach verify MODEL --check {certificate}",
    )
