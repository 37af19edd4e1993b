"""Settings that all tests share."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests run side by side: a thread that has nothing to do sleeps, instead of spinning on the core of another test, and
# the matrices of tiny models are not worth sharing among threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in the background lets Ctrl-C be ignored, and so would every command under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine with two cores stalls at times: how long an example took says nothing about the code.
settings.register_profile("drivecoach", deadline=None)
settings.load_profile("drivecoach")


@pytest.fixture(autouse=True)
def _one_at_a_time_asks_ollama(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that run side by side share the real Ollama, where one is named: each has it for itself."""
    if request.node.get_closest_marker("ollama") is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / "drivecoach-tests-ollama.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
