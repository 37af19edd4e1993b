"""Every command of the page "Your own domain in ten minutes" is run, in order, as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "own-domain.md", ROOT / "docs" / "own-domain.zh.md"]
TINY = (
    "--set train.epochs=8 --set export.num_predict=48 "
    "--set base.nano='{hidden_size: 64, layers: 2, heads: 2, kv_heads: 1, head_dim: 32, intermediate_size: 128}'"
)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of every block that a reader is to run."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


class Reader:
    """Somebody at a shell who follows the page; keeps the current folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ollama = os.environ.get("OLLAMA_HOST", "http://127.0.0.1:1")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OLLAMA_HOST": ollama}
        self.ran: list[str] = []

    def types(self, line: str) -> None:
        words = shlex.split(line)
        self.ran.append(" ".join(words[:2]))
        if words[0] == "cd":
            self.folder /= words[1]
            assert self.folder.is_dir()
        elif words[:2] == ["drivecoach", "serve"]:
            self.serves(line)
        elif words[:2] == ["drivecoach", "deploy"] and "OLLAMA_HOST" not in os.environ:
            self.ran[-1] += " (no Ollama here)"
        else:
            done = self.runs(f"{line} {TINY}" if words[:2] == ["drivecoach", "tune"] else line)
            # A model that was tuned for seconds may answer badly; `ask` and `infer` say so with 1, and with no error.
            allowed = (0, 1) if words[1] in ("ask", "infer") else (0,)
            assert done.returncode in allowed, f"{line}\n{done.stdout}\n{done.stderr}"
            assert "error:" not in done.stderr and "Traceback" not in done.stderr, f"{line}\n{done.stderr}"

    def runs(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300
        )

    def serves(self, line: str) -> None:
        """`serve` until it has answered once, on a port of its own."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line} --port 0"],
            cwd=self.folder,
            env={**self.env, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = "http://" + process.stdout.readline().split("http://")[1].split()[0]
            tags = httpx.get(f"{url}/api/tags", timeout=60).json()
            assert [model["name"] for model in tags["models"]] == ["thermostat:latest"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def reads(self, code: str) -> None:
        """Python: appended to the file that its first line names, else run beside schema.py."""
        first = code.splitlines()[0]
        if first == "# schema.py":
            with (self.folder / "schema.py").open("a", encoding="utf-8") as schema:
                schema.write("\n\n" + code)
            return
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert done.stdout


def test_both_pages_hold_the_same_commands() -> None:
    english, chinese = map(blocks, PAGES)
    assert english == chinese
    assert len(english) > 8


def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for language, text in blocks(PAGES[0]):
        if language == "python":
            reader.reads(text)
            continue
        for line in text.splitlines():
            reader.types(line)
    verbs = [command.split()[1] for command in reader.ran if command.startswith("drivecoach")]
    assert verbs[:2] == ["init", "init"]
    assert {"data", "tune", "ask", "infer", "evaluate", "serve", "deploy"} <= set(verbs)
    left_out = [command for command in reader.ran if "no Ollama" in command]
    assert left_out == ([] if "OLLAMA_HOST" in os.environ else ["drivecoach deploy (no Ollama here)"])
    schema = (reader.folder / "schema.py").read_text(encoding="utf-8")
    assert "class Checked" in schema


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
