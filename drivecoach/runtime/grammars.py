"""Constrained answers in the embedded llama.cpp: what holds, and how engines share its one tokenizer."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from drivecoach.domain import JsonObject


def lenient(schema: JsonObject) -> JsonObject:
    """``schema`` with what llama.cpp cannot hold (``uniqueItems``, …) passed over.

    Without this one such word makes it drop the whole schema, and answer without any, in silence.
    """
    return {**schema, "x-guidance": {"lenient": True, "coerce_one_of": True}}


class Grammars:
    """Turns at grammars, since llama.cpp keeps one tokenizer for them in a process, by the address of a vocabulary.

    Two engines at once would free it under each other, and a new engine at a freed one's address would get the wrong
    one, which ends the process. So one engine at a time has constrained answers under way, and the last that had is
    kept in memory, closed or not, until another takes its place.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.engine: object = None
        """The last that had a constrained answer."""
        self._answers = 0

    @contextmanager
    def turn(self, engine: object) -> Iterator[None]:
        """Wait until no other engine has a constrained answer under way."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answers or self.engine is engine)
            before, self.engine = self.engine, engine  # ``before`` lives until this engine's tokenizer is there
            self._answers += 1
        try:
            yield
        finally:
            with self._changed:
                self._answers -= 1
                self._changed.notify_all()
            del before

    def release(self) -> None:
        """Let go of the last engine, when the process ends."""
        self.engine = None


GRAMMARS = Grammars()
atexit.register(GRAMMARS.release)
