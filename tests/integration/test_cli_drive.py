"""`drivecoach drive` as a process: it tells its address, lets itself be opened there, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.command import Run

ROOT = Path(__file__).parents[2]


def test_it_tells_where_it_is_and_serves_the_cockpit_until_it_is_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "drivecoach", "drive", "rules", "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/cockpit", told)
        assert "rules:driving" in told
        page = httpx.get(url, timeout=30)
        assert page.status_code == 200 and "cockpit.js" in page.text
        assert httpx.post(f"{url}/drives", json={"course": "起步"}).status_code == 201
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in said and "GET /" not in said, "no line a request: a page asks many times a second"
    finally:
        process.kill()
        process.wait()


def test_a_domain_without_a_simulator_and_a_wrong_guard_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pydantic import BaseModel\n"
        "from typing import Literal\n"
        "from drivecoach.domain import Domain\n"
        "class A(BaseModel):\n    a: Literal['x', 'y']\n"
        "class Own(Domain):\n    def teach(self, value):\n        return value\n"
        "domain = Own('own', A, A, 'Say a.')\n",
        encoding="utf-8",
    )
    refused = run("drive", "rules", "--domain", "own.py:domain", "--no-open")
    assert (refused.code, "no simulator to drive in" in refused.err) == (1, True)
    assert "drivecoach serve rules" in refused.err
    assert run("drive", "rules", "--guard", "loud", "--no-open").code == 2
