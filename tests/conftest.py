"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# Tests run side by side: a worker's own matrices are too small to share among threads that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shared machine with two cores stalls at times: how long an example took says nothing about the code.
settings.register_profile("drivecoach", deadline=None)
settings.load_profile("drivecoach")
