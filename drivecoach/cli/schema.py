"""`drivecoach schema`: the committed files made from code (JSON Schemas, Modelfiles), and their drift check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.errors import DataError, Fault
from drivecoach.files import write_text
from drivecoach.generated import generated_files

app = typer.Typer(help="Write or check schemas/ and modelfiles/, which are made from code.", no_args_is_help=True)
Root = Annotated[Path, typer.Option(help="The project's folder.")]


@app.command()
def write(root: Root = Path()) -> None:
    """Write every generated file."""
    for path, text in generated_files(root).items():
        write_text(root / path, text)
        show.stdout.print(path)


@app.command()
def check(root: Root = Path()) -> None:
    """Exit 1 when a generated file is missing, changed by hand, or older than the code."""
    faults = []
    for path, text in generated_files(root).items():
        target = root / path
        if not target.is_file():
            faults.append(Fault(path, "missing", "the generated text"))
        elif target.read_bytes() != text.encode():
            faults.append(Fault(path, "differs from the code", "the generated text"))
    if faults:
        raise DataError("generated files are not up to date", faults=faults, hint="run: drivecoach schema write")
    show.stdout.print("schemas/ and modelfiles/ are up to date")
