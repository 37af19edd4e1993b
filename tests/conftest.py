"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# A shared machine with two cores stalls at times: how long an example took says nothing about the code.
settings.register_profile("drivecoach", deadline=None)
settings.load_profile("drivecoach")
