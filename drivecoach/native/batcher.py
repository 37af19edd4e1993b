"""Greedy answers for many threads: whoever waits when the model is free is answered in one batch."""

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
from drivecoach.native.llama import Context

SEQUENCES = 64
"""Rows of one batch at most."""
TOKENS = 512
"""Tokens of one batch at least; a longer prompt needs more."""
_CELLS = 16 * 1024
"""Tokens that the context holds at most, unless a single row needs more: each takes memory from the start."""
_LOGITS = 64 << 20
"""Bytes of logits of one batch at most."""

Never = Callable[[], bool]


@dataclass(frozen=True)
class Greedy:
    """A greedy answer and what it cost."""

    text: str
    prompt_tokens: int
    tokens: int
    seconds: float
    """From the question to the answer, waiting included."""
    finished: bool


@dataclass
class _Asked:
    prompt: str
    draft: str
    stop: Never | None
    answer: Future[Greedy] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """The model in ``path``, its context ``length`` tokens a row, answers at most ``limit`` tokens long.

    ``end``: the text that ends an answer. Safe to use from many threads. Raises ModelError where the model cannot be
    loaded, or the library is not the one that is known.
    """

    def __init__(self, path: Path, *, length: int, limit: int, end: str, threads: int) -> None:
        tokens = max(TOKENS, length)
        self._sequences = max(1, min(SEQUENCES, (_CELLS - tokens) // limit))
        self._context = Context(
            path,
            cells=tokens + self._sequences * limit,
            tokens=tokens,
            sequences=self._sequences,
            outputs=tokens,
            threads=threads,
        )
        self._context.outputs = max(1, min(tokens, _LOGITS // (4 * self._context.vocabulary_size)))
        self._length, self._limit, self._end = length, limit, end
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="decode", daemon=True)
        self._thread.start()

    def ask(self, prompt: str, draft: str = "", stop: Never | None = None) -> Greedy:
        """The greedy continuation of a rendered prompt; ``draft``: what it may be, as a whole.

        Raises InputError for a prompt that is too long, RuntimeFailure once closed.
        """
        if self._closed:
            raise RuntimeFailure("the model was closed", hint="open it again, or ask before it is closed")
        asked = _Asked(prompt, draft, stop)
        self._waiting.put(asked)
        return asked.answer.result()

    def close(self) -> None:
        """Finish what is asked already, then free the model."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join()
            self._context.close()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < self._sequences and not ended:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    batch.append(more)
            self._answer(batch)
            if ended:
                break
        while not self._waiting.empty():
            if (left := self._waiting.get()) is not None:
                left.answer.set_exception(RuntimeFailure("the model was closed", hint="open it again"))

    def _answer(self, batch: list[_Asked]) -> None:
        try:
            rows, whose = [], []
            for asked in batch:
                prompt = self._context.tokenize(asked.prompt)
                if len(prompt) >= self._length:
                    asked.answer.set_exception(
                        InputError(
                            f"the input is too long for the model's context of {self._length} tokens",
                            hint="shorten it, or raise export.num_ctx in the recipe and export again",
                        )
                    )
                    continue
                draft = self._context.tokenize(asked.draft + self._end) if asked.draft else []
                rows.append(decode.Row(prompt, draft[: self._length - len(prompt)][: self._limit]))
                whose.append(asked)
            limits = [min(self._limit, self._length - len(row.prompt)) for row in rows]
            stops = [asked.stop for asked in whose]
            for at, written in decode.write(self._context, rows, limits, stops):
                asked = whose[at]
                text = decode.pieces(self._context, written.tokens)
                seconds = time.perf_counter() - asked.since
                asked.answer.set_result(
                    Greedy(text, len(rows[at].prompt), len(written.tokens), seconds, written.finished)
                )
        except BaseException as error:  # whoever waits must hear of it, whatever it was
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
