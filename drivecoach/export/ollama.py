"""Making the model known to Ollama with `ollama create`, where Ollama is installed and running."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from drivecoach.errors import RuntimeFailure


def how_to(folder: Path, name: str) -> str:
    """The one line that a person runs where Ollama is."""
    return f"cd {folder} && ollama create {name} -f Modelfile && ollama run {name}"


def create(folder: Path, name: str) -> str | None:
    """Run `ollama create NAME -f Modelfile` in ``folder`` and return what `ollama show` prints.

    None when there is no `ollama` on the PATH or its server does not answer. Raises RuntimeFailure when it refuses.
    """
    program = shutil.which("ollama")
    if program is None or _run([program, "list"], folder).returncode != 0:
        return None
    for arguments in (["create", name, "-f", "Modelfile"], ["show", name]):
        result = _run([program, *arguments], folder)
        if result.returncode != 0:
            raise RuntimeFailure(
                f"`ollama {' '.join(arguments)}` failed: {result.stderr.strip().splitlines()[-1:]}",
                hint=f"run it by hand to see more: {how_to(folder, name)}",
            )
    return result.stdout


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
