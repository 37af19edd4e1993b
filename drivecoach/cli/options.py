"""The options that several verbs have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DomainName = Annotated[
    str | None, typer.Option("--domain", help="A name, or schema.py:domain; by default the model's own domain.")
]
Host = Annotated[str | None, typer.Option("--host", help="Ollama's address (default: OLLAMA_HOST or 127.0.0.1:11434).")]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders lie.")]
RUNS = Path("runs")
