"""A runtime in the process whose answers a test writes, kept apart from the product's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from drivecoach.chat import Message
from drivecoach.domain import JsonObject
from drivecoach.domains.driving import DRIVING
from drivecoach.runtime import Completion

Reply = str | Exception


def right(user: str, seed: int | None) -> str:
    """The rules' own answer."""
    return DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(user)))


@dataclass(frozen=True)
class Asked:
    """One question as it came."""

    user: str
    seed: int | None
    history: Sequence[Message] = ()
    think: bool = True
    schema: JsonObject | None = None


class ScriptedRuntime:
    """Calls ``answer(user, seed)`` for every question and remembers them, and how many were in work at once."""

    name = "scripted"
    thinks = False

    def __init__(
        self,
        answer: Callable[[str, int | None], Reply] = right,
        *,
        slots: int = 1,
        finished: bool = True,
        metadata: Mapping[str, object] = {"drivecoach.domain": "driving"},  # never written to
    ) -> None:
        self.answer = answer
        self.slots = slots
        self.metadata = metadata
        self._finished = finished
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self.working = self.most = 0
        self.closed = False

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        """The scripted answer, or the scripted failure."""
        with self._lock:
            self.asked.append(Asked(user, seed, history, think, schema))
            self.working += 1
            self.most = max(self.most, self.working)
        try:
            reply = self.answer(user, seed)
        finally:
            with self._lock:
                self.working -= 1
        if isinstance(reply, Exception):
            raise reply
        return Completion(reply, prompt_tokens=15, completion_tokens=15, seconds=0.01, finished=self._finished)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
