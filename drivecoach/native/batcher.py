"""Greedy answers for many threads: those who wait when a decoder is free are answered in one batch.

A small model is decoded by one thread a core, each with a context of its own: threads that share one small
multiplication wait for each other longer than they compute, above all on a machine that does other work too. A large
one is decoded by all cores together.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.native import decode
from drivecoach.native.llama import Context, decoders

SEQUENCES = 32
"""Rows of one batch at most."""
TOKENS = 512
"""Tokens of one batch at least; a longer prompt needs more."""
_CELLS = 16 * 1024
"""Tokens that the context holds at most, unless a single row needs more: each takes memory from the start."""
_LOGITS = 64 << 20
"""Bytes of logits of one batch at most."""

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Greedy:
    """A greedy answer and what it cost."""

    text: str
    prompt_tokens: int
    tokens: int
    seconds: float
    """From the question to the answer, waiting included."""
    finished: bool
    log_probability: float
    """Natural logarithm of how likely the whole answer was, its end included."""


@dataclass
class _Asked:
    prompt: str
    draft: str
    stop: Stop | None
    answer: Future[Greedy] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """The model in ``path``, its context ``length`` tokens a row, answers at most ``limit`` tokens long.

    ``end``: the text that ends an answer. Safe to use from many threads. Raises ModelError where the model cannot be
    loaded, or the library is not the one that is known.
    """

    def __init__(self, path: Path, *, length: int, limit: int, end: str) -> None:
        count, threads = decoders(path)
        tokens = max(TOKENS, length)
        sequences = max(1, min(SEQUENCES, (_CELLS - tokens) // limit))
        self._contexts = [
            Context(
                path,
                cells=tokens + sequences * limit,
                tokens=tokens,
                sequences=sequences,
                logits=_LOGITS,
                threads=threads,
            )
            for _ in range(count)
        ]
        self._length, self._limit, self._end = length, limit, end
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(context,), name="decode", daemon=True)
            for context in self._contexts
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, prompt: str, draft: str = "", stop: Stop | None = None) -> Greedy:
        """The greedy continuation of a rendered prompt; ``draft``: what it may be, as a whole.

        Raises InputError for a prompt that is too long, RuntimeFailure once closed.
        """
        asked = _Asked(prompt, draft, stop)
        with self._closing:  # or it might be put where nobody looks any more
            if self._closed:
                raise _closed()
            self._waiting.put(asked)
        return asked.answer.result()

    def close(self) -> None:
        """Finish what is asked already, then free the model."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread, context in zip(self._threads, self._contexts, strict=True):
            thread.join()
            context.close()

    def _work(self, context: Context) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            room = min(context.sequences, -(-self._waiting.qsize() // len(self._threads)))
            while len(batch) < room:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            self._answer(context, batch)

    def _answer(self, context: Context, batch: list[_Asked]) -> None:
        try:
            rows, whose = [], []
            for asked in batch:
                prompt = context.tokenize(asked.prompt)
                if len(prompt) >= self._length:
                    asked.answer.set_exception(_too_long(self._length))
                    continue
                draft = context.tokenize(asked.draft + self._end) if asked.draft else []
                most = min(self._limit, self._length - len(prompt), context.outputs - 1)
                rows.append(decode.Row(prompt, draft[:most]))
                whose.append(asked)
            limits = [min(self._limit, self._length - len(row.prompt)) for row in rows]
            for at, written in decode.write(context, rows, limits, [asked.stop for asked in whose]):
                asked = whose[at]
                text = decode.pieces(context, written.tokens)
                seconds = time.perf_counter() - asked.since
                counts = len(rows[at].prompt), len(written.tokens)
                asked.answer.set_result(Greedy(text, *counts, seconds, written.finished, written.log_probability))
        except BaseException as error:  # whoever waits must hear of it, whatever it was
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)


def _too_long(length: int) -> InputError:
    return InputError(
        f"the input is too long for the model's context of {length} tokens",
        hint="shorten it, or raise export.num_ctx in the recipe and export again",
    )


def _closed() -> RuntimeFailure:
    return RuntimeFailure("the model was closed", hint="open it again, or ask before it is closed")
