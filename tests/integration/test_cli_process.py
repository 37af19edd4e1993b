"""The command in its process: signals from the first moment on, closed streams, narrow encodings, its version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import drivecoach
from tests.support.driving import lines

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}

WAITING = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("importing", flush=True)
            {then}
sys.meta_path.insert(0, Slow())
sys.argv = ["drivecoach", "doctor"]
from drivecoach.cli import main
main()
"""


def importing(module: str, then: str) -> subprocess.Popen[str]:
    """`drivecoach doctor` in a process that does ``then`` when it comes to import ``module``."""
    code = WAITING.format(module=module, then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    return process


def interrupted(module: str, number: int, then: str = "time.sleep(60)") -> str:
    """What a command says that gets a signal while it imports ``module``; its exit code in front."""
    process = importing(module, then)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return f"{process.returncode}: {errors.strip()}"


@pytest.mark.parametrize("module", ["typer", "drivecoach.cli.app", "drivecoach.cli.before"])
def test_ctrl_c_while_the_verbs_are_imported_is_one_line(module: str) -> None:
    assert interrupted(module, signal.SIGINT) == "130: interrupted"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_verb_imports_is_one_line(number: int, code: int) -> None:
    said = interrupted("drivecoach.doctor", number)
    assert said.startswith(f"{code}: ") and said.endswith("the same command goes on from there")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_would_drop_in_a_finalizer_ends_the_command(number: int) -> None:
    then = "held = type('Held', (), {'__del__': lambda self: time.sleep(60)})(); del held; time.sleep(60)"
    said = interrupted("drivecoach.doctor", number, then)
    assert said.startswith(f"{128 + number}: ") and "Traceback" not in said


def test_a_second_signal_ends_what_does_not_end() -> None:
    then = """
            try:
                print("waiting", flush=True)
                time.sleep(60)
            finally:
                print("ending", flush=True)
                time.sleep(60)
"""
    process = importing("drivecoach.doctor", then)
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ended at once" in errors and "Traceback" not in errors


def test_an_ignored_signal_stays_ignored() -> None:
    """As under nohup, or behind a shell's ``&``."""
    then = "import os; os.kill(os.getpid(), 2); print('still here', flush=True); sys.exit(7)"
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code += WAITING.format(module="drivecoach.doctor", then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 7
    assert "still here" in done.stdout and "interrupted" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed: str) -> None:
    script = f"{sys.executable} -m drivecoach --version {closed}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else f"drivecoach {drivecoach.__version__}\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gb18030", "utf-8"])
def test_every_encoding_of_the_terminal_will_do(tmp_path: Path, encoding: str) -> None:
    (line,) = lines(1)
    rows = [{"input": line, "output": "走"}, {"input": "☃ 速度:飞快", "output": "走"}]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": encoding}

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "drivecoach", *arguments]
        return subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, timeout=120)

    table = run("data", "check", "pairs.jsonl")
    assert table.returncode == 1 and b"Traceback" not in table.stderr
    said = table.stderr.decode(encoding)
    assert ("飞快" if encoding.startswith(("gb", "utf")) else r"\u98de\u5feb") in said
    as_json = run("data", "check", "pairs.jsonl", "--json")
    assert b"Traceback" not in as_json.stderr
    assert "飞快" in json.dumps(json.loads(as_json.stdout.decode(encoding)), ensure_ascii=False)


@pytest.mark.parametrize("verb", [["ask", lines(1)[0], "--model", "ollama:x"], ["doctor"]])
def test_an_environment_that_names_no_ollama(verb: list[str], tmp_path: Path) -> None:
    """In a process of its own: the official client reads OLLAMA_HOST as it is imported."""
    environment = {**ENVIRONMENT, "OLLAMA_HOST": "http://[bad", "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "drivecoach", *verb]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60)
    assert "'http://[bad' is no address of an Ollama" in ended.stdout + ended.stderr
    assert "OLLAMA_HOST" in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
