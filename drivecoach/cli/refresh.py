"""`drivecoach refresh`: the committed files that are made from code, written anew or checked for drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.errors import DataError, Fault
from drivecoach.files import write_text


def refresh(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a file differs.")] = False,
    root: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
) -> None:
    """Write datasets/, docs/driving-rules.md, docs/drives.md, schemas/ and modelfiles/ anew from the code."""
    from drivecoach.generated import generated_files

    faults = []
    for file in generated_files(root):
        show.stdout.print(f"{file.path}: {file.told}", markup=False, soft_wrap=True)
        if file.changed and check:
            faults.append(Fault(file.path, file.told, "the generated text"))
        elif file.changed:
            write_text(root / file.path, file.text)
    if faults:
        raise DataError("generated files are not up to date", faults=faults, hint="run: drivecoach refresh")
