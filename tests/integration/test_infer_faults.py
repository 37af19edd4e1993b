"""`drivecoach infer` under every fault at once, over real sockets, with real kills: no row lost, none doubled."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivecoach.domains.driving import DRIVING
from tests.support.driving import states
from tests.support.fault_server import UNSAFE

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
INFER = [sys.executable, "-c", "from drivecoach.cli import main; main()", "infer"]
ROWS = 10_000
DISTINCT = 3_000
FAULTS = (
    "hangs past the timeout",
    "connection cut in the answer",
    "text cut in the answer",
    "500",
    "503 queue full",
    "valid by schema, breaks an invariant",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FaultServer:
    """The server as a process that can be killed and started again on the same port."""

    def __init__(self, plan: str) -> None:
        self.port, self._plan = free_port(), plan
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "tests/support/fault_server.py"), str(self.port), self._plan]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def counts(self) -> Counter[str]:
        """How often it misbehaved in which way since it was started."""
        return Counter(httpx.post(f"http://127.0.0.1:{self.port}/counts", json={}).json())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def servers() -> Iterator[list[FaultServer]]:
    running = [FaultServer("bad"), FaultServer("bad")]
    yield running
    for server in running:
        server.kill()


def make_states(count: int) -> list[Any]:
    """States in which the unsafe answer does break an invariant."""
    unsafe = DRIVING.read_answer(UNSAFE)
    found = [state for state in states(count * 4 // 3) if DRIVING.violations(state, unsafe)][:count]
    assert len(found) == count
    return found


def infer(source: Path, output: Path, servers: list[FaultServer], *more: str, **popen: Any) -> subprocess.Popen[str]:
    hosts = [word for server in servers for word in ("--host", f"http://127.0.0.1:{server.port}")]
    command = [*INFER, str(source), "-o", str(output), "--model", "ollama:goDrive", *hosts, "--timeout", "1.5", *more]
    return subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **popen
    )


def answered(journal: Path) -> int:
    """How far the journal has grown in bytes, some thousands an answer until it is tidied up."""
    wal = journal.with_name(journal.name + "-wal")
    return (wal.stat().st_size if wal.exists() else 0) + (journal.stat().st_size if journal.exists() else 0)


def until(process: subprocess.Popen[str], journal: Path, size: int) -> None:
    """Wait until the journal has grown to ``size`` bytes."""
    end = time.monotonic() + 120
    while answered(journal) < size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ten_thousand_rows_under_every_fault(tmp_path: Path, servers: list[FaultServer]) -> None:
    states = make_states(DISTINCT)
    lines = [DRIVING.write_input(state) for state in states]
    rows = random.Random(5).choices(range(DISTINCT), k=ROWS - DISTINCT) + list(range(DISTINCT))
    source, output = tmp_path / "states.txt", tmp_path / "outcomes.jsonl"
    source.write_text("\n".join(lines[row] for row in rows), encoding="utf-8")
    journal = output.with_name(output.name + ".journal")

    # A disk that fills while the journal is written: a clear end, and what was answered is kept.
    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))

    full = infer(source, output, servers, preexec_fn=small_disk)
    _, errors = full.communicate(timeout=120)
    assert full.returncode == 1
    assert "could not write" in errors
    assert "Traceback" not in errors
    assert not output.exists()
    assert answered(journal) > 50_000

    # A second process on the same output is refused; the first is killed at some moment.
    killed = infer(source, output, servers)
    until(killed, journal, 2_000_000)
    second = infer(source, output, servers)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "another process is writing" in errors
    killed.kill()
    killed.communicate()
    assert not output.exists()
    with sqlite3.connect(journal) as database:
        (kept,) = database.execute("SELECT count(*) FROM answers").fetchone()
    database.close()
    assert 0 < kept < DISTINCT

    # The rest, while both servers are killed, nobody is there for ten seconds, and they come back.
    last = infer(source, output, servers)
    until(last, journal, answered(journal) + 1_000_000)
    counts = sum((server.counts() for server in servers), Counter[str]())
    for server in servers:
        server.kill()
    time.sleep(10)
    for server in servers:
        server.start()
    printed, errors = last.communicate(timeout=240)
    assert last.returncode == 0, errors
    counts += sum((server.counts() for server in servers), Counter[str]())
    summary = json.loads(printed)
    assert summary["rows"] == summary["valid"] == ROWS
    assert summary["in_journal_before"] == kept
    assert summary["asked"] == DISTINCT - kept  # nothing that was answered was asked again
    assert summary["retries"] > 0
    assert summary["asked_again"] > 0
    assert all(counts[fault] for fault in FAULTS), counts
    print(json.dumps({"faults": counts, "last run": summary}, indent=2))  # shown by pytest -s

    outcomes = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [outcome["row"] for outcome in outcomes] == list(range(1, ROWS + 1))
    assert [outcome["input"] for outcome in outcomes] == [lines[row] for row in rows]
    right = [json.loads(DRIVING.write_answer(DRIVING.teach(state))) for state in states]
    assert [outcome["answer"] for outcome in outcomes] == [right[row] for row in rows]


def test_a_permanent_error_stops_at_once(tmp_path: Path) -> None:
    source = tmp_path / "states.txt"
    source.write_text("\n".join(DRIVING.write_input(state) for state in make_states(50)), encoding="utf-8")
    from tests.support.ollama_server import ollama_server

    with ollama_server() as server:
        command = [*INFER, str(source), "-o", str(tmp_path / "o.jsonl"), "--model", "ollama:nope", "--host", server.url]
        ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
        assert ended.returncode == 1
        assert "not found" in ended.stderr
        assert "drivecoach deploy" in ended.stderr
        assert len(server.requests) < 20
    assert not (tmp_path / "o.jsonl").exists()
