"""The examples are run as they stand (the JavaScript one beside the npm client's contract)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.serve.model import ServedModel
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
LINE = (
    "<特征>场地类型:科目二; 当前项目:侧方停车; 车辆类型:手动挡; 挡位:空挡; 手刹:拉起; 发动机:打火; 安全带:系上; "
    "车门:关闭; 离合:未踩; 刹车:未踩; 油门:踩下; 速度:静止; 时间特征:白天</特征>"
)

SPOKEN = DRIVING.teach(DRIVING.read_input(LINE)).speech


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("examples") / "m.gguf", ANSWER, chat=Chat(DRIVING.system))


@pytest.fixture(scope="module")
def server(gguf: Path) -> Iterator[str]:
    with serving(ServedModel(gguf, "goDrive")) as url:
        yield url


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with the `drivecoach` of this checkout first."""
    script = tmp_path / "drivecoach"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from drivecoach.cli import main; main()" "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_curl(server: str, environment: dict[str, str]) -> None:
    ended = subprocess.run([ROOT / "examples/ask.sh", server], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    answered = json.loads(ended.stdout)
    # The scripted answer breaks an invariant in this state (no belt), so the rules speak.
    assert (answered["source"], answered["answer"]["级别"]) == ("rules", "警告")


@pytest.mark.parametrize("where", ["file", "server"])
def test_python(where: str, gguf: Path, server: str, environment: dict[str, str]) -> None:
    arguments = [str(gguf)] if where == "file" else ["ollama:goDrive", server]
    command = [sys.executable, ROOT / "examples/ask.py", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    # The scripted answer breaks an invariant in this state (no belt), so the rules speak.
    assert "from rules, 0 violations" in ended.stdout


def test_shell_pipe(gguf: Path, environment: dict[str, str]) -> None:
    """A sentence for each line, and for the next line as soon as it comes."""
    command = [ROOT / "examples/pipe.sh", "--model", gguf]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        for _ in range(2):
            process.stdin.write(LINE + "\n")
            process.stdin.flush()
            # The scripted answer breaks an invariant in this state (no belt), so the rules speak.
            assert process.stdout.readline().strip() == SPOKEN
        process.stdin.close()
        assert process.stdout.read() == ""
        errors = process.stderr.read()
    assert process.returncode == 0, errors


def test_the_five_lines_of_the_pages(gguf: Path, environment: dict[str, str], tmp_path: Path) -> None:
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/serving.md")]
    blocks = [block.split("```")[0] for page in pages for block in page.split("```python\n")[1:]]
    codes = [block for block in blocks if "import Coach" in block]
    assert codes
    for code in codes:
        assert len(code.strip().splitlines()) == 5
        (model,) = [word for word in code.split('"') if word.endswith(".gguf") or word.startswith("ollama:")]
        script = tmp_path / "five.py"
        script.write_text(code.replace(model, str(gguf)), encoding="utf-8")
        ended = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
        assert ended.returncode == 0, ended.stderr
        assert "rules" in ended.stdout
