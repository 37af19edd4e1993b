"""What other libraries print goes into the log, by whichever way they print; our own lines are seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NOISE = """
import ctypes, logging, os, sys, warnings
from pathlib import Path

early = logging.StreamHandler()  # bound to standard error before it is turned away

def noise():
    print("by print")
    print("by print to stderr", file=sys.stderr)
    warnings.warn("by warning")
    logging.getLogger("theirs").warning("by logging")
    logging.getLogger("early").addHandler(early)
    logging.getLogger("early").warning("by an early handler")
    os.write(1, b"by descriptor 1\\n")
    os.write(2, b"by descriptor 2\\n")
    ctypes.CDLL(None).printf(b"by C\\n")
    os.system("echo by a child")
"""
WAYS = ["print", "print to stderr", "warning", "logging", "an early handler", "descriptor 1", "descriptor 2", "C"]
WAYS += ["a child"]


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", NOISE + code], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


def test_every_way_of_printing_ends_in_the_log_and_ours_does_not(tmp_path: Path) -> None:
    done = run(
        """
from drivecoach.cli import show
from drivecoach.quiet import noise_into
show.stdout.print("before")
with noise_into(Path("run/run.log")):
    noise()
    show.stdout.print("result 结果")
    show.stderr.print("progress")
    noise()
print("after")
print("after on stderr", file=sys.stderr)
""",
        tmp_path,
    )
    assert done.returncode == 0
    assert done.stdout == "before\nresult 结果\nafter\n"
    assert done.stderr == "progress\nafter on stderr\n"
    log = (tmp_path / "run/run.log").read_text(encoding="utf-8")
    assert {way: log.count(f"by {way}\n") for way in WAYS} == {
        way: 1 if way == "warning" else 2 for way in WAYS  # Python warns once of one line
    }


@pytest.mark.parametrize("error", ["ValueError('mine')", "DrivecoachError('mine', hint='do that')"])
def test_an_error_is_seen_and_names_the_log(error: str, tmp_path: Path) -> None:
    done = run(
        f"""
from drivecoach.cli import app
from drivecoach.errors import DrivecoachError
from drivecoach.quiet import noise_into

def broken():
    with noise_into(Path("run.log")):
        noise()
        raise {error}

app.main(broken)
""",
        tmp_path,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "mine" in done.stderr and done.stderr.endswith("what the libraries said is in run.log\n")
    assert ("Traceback" in done.stderr) == error.startswith("ValueError")
    assert "by print" not in done.stderr


def test_an_error_beside_which_no_library_spoke_does_not_name_the_log(tmp_path: Path) -> None:
    done = run("from drivecoach.quiet import noise_into\nwith noise_into(Path('run.log')):\n    1 / 0", tmp_path)
    assert "ZeroDivisionError" in done.stderr and "run.log" not in done.stderr.splitlines()[-1]


def test_where_no_log_can_be_written_nothing_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "run.log").mkdir()
    done = run("from drivecoach.quiet import noise_into\nwith noise_into(Path('run.log')):\n    noise()", tmp_path)
    assert done.returncode == 0 and "by print\n" in done.stdout and "by logging" in done.stderr


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_is_no_obstacle(closed: int, tmp_path: Path) -> None:
    code = """
from pathlib import Path
from drivecoach.cli import show
from drivecoach.quiet import noise_into
with noise_into(Path("run.log")):
    print("x")
    show.stdout.print("result")
    show.stderr.print("progress")
show.table("t", {"a": "b"})
show.stderr.print("done")
"""
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}>&-', sys.executable, code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_logs_are_appended_to_each_with_its_command(tmp_path: Path) -> None:
    for _ in range(2):
        run("from drivecoach.quiet import noise_into\nwith noise_into(Path('run.log')):\n    noise()", tmp_path)
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert log.count("--- ") == 2 and log.count("by print\n") == 2
