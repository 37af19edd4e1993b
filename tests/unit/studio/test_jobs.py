"""Commands that the studio starts: they live on without it, are found again, and end as Ctrl-C ends them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drivecoach.errors import InputError
from drivecoach.studio import keeper
from drivecoach.studio.jobs import Job, Jobs
from drivecoach.studio.workspace import Workspace

ROOT = Path(__file__).parents[3]
STUDIO = """
import signal, sys
from pathlib import Path
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import Workspace
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what it puts into the background
print(Jobs(Workspace(Path(sys.argv[1]))).start(["serve", "rules", "--port", "0"], about="x").id, flush=True)
signal.pause()
"""
"""A studio that starts a command which runs until it is told to end."""


def until(jobs: Jobs, id: str, met: Callable[[Job], bool]) -> Job:
    limit = time.monotonic() + 60
    while not met(job := jobs.job(id)):
        assert time.monotonic() < limit, job.to_json()
        time.sleep(0.05)
    return job


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Workspace(tmp_path))


def test_a_killed_studio_leaves_its_command_running_and_the_next_one_stops_it(jobs: Jobs, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    studio = subprocess.Popen(
        [sys.executable, "-c", STUDIO, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert studio.stdout is not None
    id = studio.stdout.readline().strip()
    studio.kill()
    studio.wait()
    found = until(jobs, id, lambda job: "Ctrl-C stops" in job.output)
    assert (found.state, found.about, found.command) == ("running", "x", "drivecoach serve rules --port 0")
    assert [job.id for job in jobs.running("serve")] == [id]
    jobs.stop(found)
    ended = until(jobs, id, lambda job: job.state != "running")
    assert "stopped" in ended.messages or ended.code in (0, 130)
    assert jobs.running("serve") == []


def test_a_result_and_an_error_are_kept(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "data/rows.jsonl").write_text('{"input": "a", "output": "b"}\n{"input": "c"}\n', encoding="utf-8")
    check = jobs.start(["data", "check", "data/rows.jsonl", "--domain", "text", "--json"])
    missing = jobs.start(["data", "check", "data/none.jsonl", "--domain", "text", "--json"])
    ended = until(jobs, check.id, lambda job: job.state != "running")
    assert (ended.state, ended.code) == ("failed", 1)  # a row is refused
    assert ended.result()["refused"][0]["value"] == {"input": "c"}
    failed = until(jobs, missing.id, lambda job: job.state != "running")
    assert failed.state == "failed" and "no file at data/none.jsonl" in failed.messages and failed.result() is None
    again = Jobs(Workspace(tmp_path))
    assert [job.id for job in again.jobs()] == [missing.id, check.id]
    assert again.job(check.id).result() == ended.result()


@pytest.mark.parametrize("id", ["", "..", "20260101-000000-000000-tune", "../../etc", "x" * 200])
def test_an_unknown_job_is_refused(jobs: Jobs, id: str) -> None:
    with pytest.raises(InputError, match="no job"):
        jobs.job(id)


def test_a_command_that_holds_more_memory_than_it_may_ends_alone(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    for bytes_held, ended_well in ((1 << 20, True), (512 << 20, False)):
        command = [sys.executable, "-c", f"bytearray({bytes_held})"]
        kept = [sys.executable, keeper.__file__, str(tmp_path), str(128 << 20), str(lock), *command]
        subprocess.run(kept, check=True, pass_fds=[lock])
        assert ((tmp_path / keeper.CODE).read_text() == "0") is ended_well
    assert "MemoryError" in (tmp_path / keeper.ERR).read_text()
    os.close(lock)
