"""How many requests a server works best with at once, found while working."""

from __future__ import annotations

import time
from math import ceil

MOST = 64
START = 4
WINDOW = 0.4
"""Seconds of work that one measurement takes at least."""
_GAIN = 1.1
_REST = 20
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
        self._done = 0
        self._since = time.monotonic()
        self._yielded = 0.0

    def done(self) -> None:
        """One answer came; at the end of a window the limit may move."""
        self._done += 1
        elapsed = time.monotonic() - self._since
        if elapsed < WINDOW or self._done < 2 * self.limit:
            return
        rate = self._done / elapsed
        self._done, self._since = 0, time.monotonic()
        if self.limit > self._base and rate < _GAIN * self._base_rate:
            self.limit, self._rest = self._base, _REST
            return
        self._base, self._base_rate = self.limit, rate
        if self._rest:
            self._rest -= 1
        else:
            self.limit = min(self._most, ceil(self.limit * 1.5))

    def busy(self) -> None:
        """The server's queue is full: halve, once per window however many requests were turned away."""
        now = time.monotonic()
        if now - self._yielded > WINDOW:
            self._yielded = now
            self.limit = self._base = max(1, self.limit // 2)
            self._done, self._since, self._rest = 0, now, _REST
