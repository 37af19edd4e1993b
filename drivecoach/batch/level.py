"""How many requests a server works best with at once, found while working."""

from __future__ import annotations

import time
from math import ceil

MOST = 64
START = 8
WINDOW = 0.4
"""Seconds of work that one measurement takes at least."""
_GAIN = 1.1
_FULL = 0.1
"""Share of requests turned away from which a queue is full; a few are a server's hiccups."""
_REST = 6
"""Windows to stay at a level before the next higher one is tried again."""


class Level:
    """A limit that climbs while more requests at once give more answers a second, and yields to a full queue.

    Timeouts and broken connections do not lower it: what hangs costs the least when others go on beside it.
    """

    def __init__(self, start: int = START, most: int = MOST) -> None:
        self.limit = min(start, most)
        self._most = most
        self._base = self.limit
        self._base_rate = 0.0
        self._rest = 0
        self._begin()

    def done(self) -> None:
        """One answer came."""
        self._answers += 1
        self._look()

    def busy(self) -> None:
        """The server turned one request away."""
        self._refusals += 1
        self._look()

    def _begin(self) -> None:
        self._answers = self._refusals = 0
        self._since = time.monotonic()

    def _look(self) -> None:
        """At the end of a window the limit may move."""
        elapsed = time.monotonic() - self._since
        requests = self._answers + self._refusals
        if elapsed < WINDOW or requests < 2 * self.limit:
            return
        rate, full = self._answers / elapsed, self._refusals > _FULL * requests
        self._begin()
        if full:
            self.limit = self._base = max(1, self.limit // 2)
            self._base_rate, self._rest = rate, _REST
        elif self.limit > self._base and rate < _GAIN * self._base_rate:
            self.limit, self._rest = self._base, _REST
        else:
            self._base, self._base_rate = self.limit, rate
            if self._rest:
                self._rest -= 1
            else:
                self.limit = min(self._most, ceil(self.limit * 1.5))
