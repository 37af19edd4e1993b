"""The page on live coaching: its commands, its curl, JavaScript and Python are run as they stand, on the rules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivecoach.domains.driving import DRIVING
from drivecoach.runtime.rules import Rules
from drivecoach.serve.current import Served
from drivecoach.serve.limits import Limits
from tests.integration.test_docs import Block, blocks, commands
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
PAGE, CHINESE = ROOT / "docs/live.md", ROOT / "docs/live.zh.md"
SAID = "停车！车门没关，停稳把门关好"


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with serving(Served(Rules(DRIVING), DRIVING, "strict", Limits())) as url:
        yield url.rpartition(":")[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    script = tmp_path / "bin/drivecoach"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from drivecoach.cli import main; main()" "$@"\n')
    script.chmod(0o755)
    (tmp_path / "datasets/drives").mkdir(parents=True)
    for name in ("door-open", "crossing"):
        shutil.copy(ROOT / f"datasets/drives/{name}.jsonl", tmp_path / "datasets/drives")
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{script.parent}:{os.environ['PATH']}"}


def ended(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def the(language: str) -> list[Block]:
    return [block for block in blocks(PAGE) if block.language == language]


def test_the_commands(tmp_path: Path, environment: dict[str, str]) -> None:
    (block,) = [block for block in the("sh") if "drivecoach live" in block.text]
    said = ended(["bash", "-ec", block.text], tmp_path, environment)
    assert said.count(f"SAY     危险 {SAID}") == 4 and '"kind": "say"' in said and "| all |" in said


def test_curl(port: str, tmp_path: Path, environment: dict[str, str]) -> None:
    (block,) = [block for block in the("sh") if "curl" in block.text]
    said = ended(["bash", "-ec", block.text.replace(":11434", f":{port}")], tmp_path, environment)
    assert SAID in said and '"ended": true' in said


def test_javascript(port: str, tmp_path: Path, environment: dict[str, str]) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    (block,) = the("js")
    (tmp_path / "live.mjs").write_text(block.text.replace(":11434", f":{port}"), encoding="utf-8")
    assert ended(["node", "live.mjs"], tmp_path, environment).strip() == SAID


def test_python(tmp_path: Path, environment: dict[str, str]) -> None:
    (block,) = the("python")
    assert f"say {SAID}" in ended([sys.executable, "-c", block.text], tmp_path, environment)


def test_both_pages_hold_the_same_blocks() -> None:
    assert commands(PAGE) == commands(CHINESE)
    others = [[block for block in blocks(page) if block.language != "sh"] for page in (PAGE, CHINESE)]
    assert others[0] == others[1]
