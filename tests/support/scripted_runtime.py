"""A runtime in the process whose answers a test writes, kept apart from the product's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivecoach.domains.driving import DRIVING
from drivecoach.runtime import Completion

Reply = str | Exception


def right(user: str, seed: int | None) -> str:
    """The rules' own answer."""
    return DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(user)))


class ScriptedRuntime:
    """Calls ``answer(user, seed)`` for every question and remembers them."""

    name = "scripted"
    slots = 1

    def __init__(self, answer: Callable[[str, int | None], Reply] = right) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.asked: list[tuple[str, int | None]] = []
        self.closed = False

    def generate(self, user: str, *, seed: int | None = None) -> Completion:
        """The scripted answer, or the scripted failure."""
        with self._lock:
            self.asked.append((user, seed))
        reply = self._answer(user, seed)
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, prompt_tokens=15, completion_tokens=15, seconds=0.01, finished=True)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
