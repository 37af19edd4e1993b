"""The page "Your own domain in ten minutes": its commands and Python blocks are run, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from drivecoach.config import Recipe

ROOT = Path(__file__).parents[2]
PAGE, CHINESE = ROOT / "docs/own-domain.md", ROOT / "docs/own-domain.zh.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What makes a small model in seconds: the page's commands are run with these words behind them.
BEHIND = {
    "drivecoach tune": " --set train.max_steps=40 --set train.warmup_steps=5 --set base.nano.hidden_size=64 "
    "--set base.nano.layers=2 --set base.nano.head_dim=16 --set base.nano.intermediate_size=128",
    "pip install": " --quiet --no-index --no-build-isolation --no-deps --target site",
}
NOT_RUN = {"ollama run thermostat": "Ollama's own program, which waits for a person's words"}
ONLY_WITH_OLLAMA = ["drivecoach deploy runs/thermostat --name thermostat"]


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file that it is to be saved as, its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[str]:
    """The commands without their comments, which each page has in its own language."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    return [re.sub(r"\s+# .*", "", line) for line in lines if line]


@dataclass
class Reader:
    """Somebody who types what the page says."""

    folder: Path
    environment: dict[str, str]
    port: int
    passed_over: list[str] = field(default_factory=list)
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def type(self, command: str) -> str:
        if command.startswith("cd "):
            self.folder = self.folder / command[3:]
            assert self.folder.is_dir(), command
            return ""
        if command in NOT_RUN or (command in ONLY_WITH_OLLAMA and "OLLAMA_HOST" not in os.environ):
            self.passed_over.append(command)
            return ""
        if command.startswith("drivecoach serve"):
            self.serve(command)
            return ""
        typed = command.replace(":11434", f":{self.port}")
        typed += "".join(words for start, words in BEHIND.items() if command.startswith(start))
        ended = subprocess.run(
            ["bash", "-c", typed], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def serve(self, command: str) -> None:
        """Start a server and wait until it listens."""
        typed = f"exec {command} --port {self.port}"
        self.servers.append(
            subprocess.Popen(["bash", "-c", typed], cwd=self.folder, env=self.environment, text=True)
        )
        for _ in range(300):
            assert self.servers[-1].poll() is None, f"{command} ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{command} does not listen")

    def take(self, block: Block) -> str:
        """Save, run or parse a block; what its commands said comes back."""
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
            return ""
        if block.language == "python":
            script = [sys.executable, "-c", block.text]
            ended = subprocess.run(script, cwd=self.folder, env=self.environment, capture_output=True, text=True)
            assert ended.returncode == 0, f"{block.text}\n{ended.stderr}"
            return ended.stdout
        if block.language == "yaml":
            least = {"name": "page", "data": {"path": "x"}, "base": {"source": "nano"}}
            Recipe.model_validate({**least, **yaml.safe_load(block.text)})
            return ""
        assert block.language == "sh", f"what is done with a block of {block.language}?"
        lines = [re.sub(r"\s+# .*", "", line) for line in block.text.splitlines() if line]
        return "".join(self.type(line) for line in lines)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = {"drivecoach": '-c "from drivecoach.cli import main; main()"', "pip": "-m pip", "pytest": "-m pytest"}
    for name, call in calls.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {call} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    folder = tmp_path / "home"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{folder / 'thermostat/site'}",
        "OMP_NUM_THREADS": "2",
    }
    reader = Reader(folder, environment, port)
    yield reader
    for server in reader.servers:
        server.terminate()
        server.wait(30)


def test_every_block_of_the_page_works_in_order(reader: Reader) -> None:
    said = {block.text: reader.take(block) for block in blocks(PAGE)}
    expected = [*NOT_RUN] if "OLLAMA_HOST" in os.environ else [*ONLY_WITH_OLLAMA, *NOT_RUN]
    assert reader.passed_over == expected
    # The file alone says that invariants are not checked, until the domain's package is installed.
    without, installed = [told for text, told in said.items() if "thermostat-f16.gguf\n" in text and "ask" in text]
    assert "invariants are not checked" in without
    assert "note:" not in installed and '"action"' in installed


def test_both_pages_hold_the_same_blocks() -> None:
    assert commands(PAGE) == commands(CHINESE)
    others = [[block for block in blocks(page) if block.language != "sh"] for page in (PAGE, CHINESE)]
    assert others[0] == others[1]


def test_a_wrong_command_or_block_is_noticed(reader: Reader) -> None:
    for block in (
        Block("sh", "", "drivecoach init a --no-such-option\n"),
        Block("sh", "", "drivecoach data check missing.jsonl  # no such file\n"),
        Block("python", "", "assert False\n"),
    ):
        with pytest.raises(AssertionError):
            reader.take(block)
