"""`drivecoach infer` between two pipes: a line in, an outcome line out, for as long as both ends are open."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from drivecoach.domains.driving import DRIVING
from tests.support.driving import lines
from tests.support.ollama_server import OllamaServer, ollama_server, said

ROOT = Path(__file__).parents[2]
LINES = lines(5)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def server() -> Iterator[OllamaServer]:
    """An Ollama that answers as the rules do."""
    with ollama_server(coach=lambda line: said(DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(line))))) as found:
        yield found


def infer(server: OllamaServer, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "drivecoach", "infer", *map(str, arguments)]
    command += ["--model", "ollama:coach", "--host", server.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=ENVIRONMENT, **pipes)


def ends(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None and process.stdout is not None
    return process.stdin, process.stdout


def test_each_line_is_answered_while_the_pipe_stays_open(server: OllamaServer, tmp_path: Path) -> None:
    process = infer(server, "-", "-o", "-", "--json")
    into, out = ends(process)
    for number, line in enumerate([LINES[0], "no state", *LINES[1:]], start=1):
        into.write(f"{line}\n")
        into.flush()
        outcome = json.loads(out.readline())  # which waits for ever where the answer is held back
        assert (outcome["row"], outcome["input"]) == (number, line)
        assert outcome["status"] == ("failed" if line == "no state" else "valid")
    rest, errors = process.communicate(timeout=60)
    assert rest == ""
    assert process.returncode == 1, "one row is not valid"
    assert "waiting for lines from standard input" in errors and "no journal is kept" in errors
    assert json.loads(errors[errors.index("{") :])["rows"] == len(LINES) + 1
    assert not list(tmp_path.iterdir()) and not Path("-").exists()


def test_lines_that_wait_are_answered_in_their_order(server: OllamaServer, tmp_path: Path) -> None:
    rows = LINES * 40
    done, _ = infer(server, "-", "-o", "-").communicate("\n".join(rows) + "\n", timeout=60)
    outcomes = [json.loads(line) for line in done.splitlines()]
    assert [outcome["input"] for outcome in outcomes] == rows
    assert [outcome["row"] for outcome in outcomes] == list(range(1, len(rows) + 1))
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(rows), encoding="utf-8")
    from_file, _ = infer(server, path, "-o", "-").communicate(timeout=60)
    assert [json.loads(line)["input"] for line in from_file.splitlines()] == rows
    assert [found.name for found in tmp_path.iterdir()] == ["lines.txt"], "no journal"


def test_a_reader_that_goes_away_ends_it_quietly(server: OllamaServer) -> None:
    process = infer(server, "-", "-o", "-")
    into, out = ends(process)
    into.write(f"{LINES[0]}\n")
    into.flush()
    assert json.loads(out.readline())["status"] == "valid"
    out.close()
    into.write(f"{LINES[1]}\n")
    into.flush()
    assert process.wait(timeout=60) == 1, "it ends, though the input stays open"
    assert process.stderr is not None
    errors = process.stderr.read()
    assert "Traceback" not in errors and "error" not in errors.lower()
    into.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_ended_while_it_waits(server: OllamaServer, tmp_path: Path, number: int, code: int) -> None:
    pipe = tmp_path / "lines"
    os.mkfifo(pipe)
    process = infer(server, pipe, "-o", tmp_path / "o.jsonl")
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"note: waiting for lines from {pipe}")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "what was finished is kept" in errors and "Traceback" not in errors and "hint:" not in errors
    assert not (tmp_path / "o.jsonl").exists() and not (tmp_path / "o.jsonl.part").exists()


@pytest.mark.parametrize("closed", [True, False])
def test_an_input_without_a_line_is_an_error(server: OllamaServer, closed: bool) -> None:
    command = f"{sys.executable} -m drivecoach infer - -o - --model ollama:coach --host {server.url}"
    script = f"{command} {'<&-' if closed else '</dev/null'}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert "standard input held no line" in done.stderr and "hint:" in done.stderr
