"""Greedy answers for many threads: those who wait when a decoder is free are answered in one batch.

A small model is decoded by one thread a core, each with a context of its own: threads that share one small
multiplication wait for each other longer than they compute, above all on a machine that does other work too. A large
one is decoded by all cores together.
"""

from __future__ import annotations

import codecs
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drivecoach.errors import InputError, ModelError, RuntimeFailure
from drivecoach.native import decode
from drivecoach.native.llama import Context, decoders

SEQUENCES = 32
"""Rows of one batch at most."""
TOKENS = 256
"""Tokens of one batch at least; a longer prompt needs more. In a larger one each token would be held against more that
are none of its own row's."""
_MANY = 4096
"""Rows that one decoder takes from those that wait, at most: sorted together, they share more of their prompts."""
_CELLS = 16 * 1024
"""Tokens that the context holds at most, unless a single row needs more: each takes memory from the start."""
_LOGITS = 64 << 20
"""Bytes of logits of one batch at most."""

Stop = Callable[[], bool]
Emit = Callable[[str], bool]


@dataclass(frozen=True)
class Greedy:
    """A greedy answer and what it cost."""

    text: str
    prompt_tokens: int
    tokens: int
    seconds: float
    """From the question to the answer, waiting included."""
    decoding: float
    """Seconds of it in which its batch was decoded."""
    finished: bool
    log_probability: float
    """Natural logarithm of how likely the whole answer was, its end included."""


@dataclass
class _Asked:
    prompt: str
    draft: str
    stop: Stop | None
    emit: Emit | None
    answer: Future[Greedy] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """The model in ``path``, its context ``length`` tokens a row, answers at most ``limit`` tokens long.

    ``end``: the text that ends an answer. Safe to use from many threads. Raises ModelError where the model cannot be
    loaded, or the library is not the one that is known.
    """

    def __init__(self, path: Path, *, length: int, limit: int, end: str) -> None:
        self._most, threads = decoders(path)
        tokens = max(TOKENS, length)
        sequences = max(1, min(SEQUENCES, (_CELLS - tokens) // limit))
        self._open = partial(
            Context,
            path,
            cells=tokens + sequences * limit,
            tokens=tokens,
            sequences=sequences,
            logits=_LOGITS,
            threads=threads,
        )
        self._length, self._limit, self._end = length, limit, end
        self._waiting: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._start(self._open())

    def _start(self, context: Context | None = None) -> None:
        thread = threading.Thread(target=self._work, args=(context,), name="decode", daemon=True)
        self._threads.append(thread)
        thread.start()

    def ask(
        self, prompt: str, draft: str = "", stop: Stop | None = None, emit: Emit | None = None
    ) -> Future[Greedy]:
        """The greedy continuation of a rendered prompt, to come; ``draft``: what it may be, as a whole.

        ``emit`` gets the text as it grows, each piece once; it, or ``stop``, ends the answer by True. The thread that
        decodes calls both.

        Raises RuntimeFailure once closed; the future InputError for a prompt that is too long.
        """
        asked = _Asked(prompt, draft, stop, emit)
        with self._closing:  # or it might be put where nobody looks any more
            if self._closed:
                raise _closed()
            if len(self._threads) < self._most and not self._waiting.empty():  # those at work have enough to do
                self._start()
            self._waiting.put(asked)
        return asked.answer

    def close(self) -> None:
        """Finish what is asked already, then free the model."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, context: Context | None) -> None:
        """Decode until the batcher is closed; the first context is made before, the others where they are needed."""
        try:
            context = context or self._open()
        except ModelError:  # no memory for one more: the others go on
            return
        with closing(context):
            self._decode(context)

    def _decode(self, context: Context) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            room = min(_MANY, -(-self._waiting.qsize() // len(self._threads)))
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
        begun = time.perf_counter()
        try:
            rows, whose = [], []
            for asked in batch:
                prompt = context.tokenize(asked.prompt)
                if len(prompt) >= self._length:
                    asked.answer.set_exception(_too_long(self._length))
                    continue
                draft = context.tokenize_again(asked.draft + self._end) if asked.draft else []
                most = min(self._limit, self._length - len(prompt), context.outputs - 1)
                rows.append(decode.Row(prompt, draft[:most]))
                whose.append(asked)
            limits = [min(self._limit, self._length - len(row.prompt)) for row in rows]
            watches = [_Watch(context, asked.stop, asked.emit) if asked.stop or asked.emit else None for asked in whose]
            for at, written in decode.write(context, rows, limits, watches):
                asked, watch = whose[at], watches[at]
                text = decode.pieces(context, written.tokens)
                if watch is not None:
                    watch.end(written.tokens)
                now = time.perf_counter()
                found = Greedy(
                    text,
                    len(rows[at].prompt),
                    len(written.tokens),
                    now - asked.since,
                    now - begun,
                    written.finished,
                    written.log_probability,
                )
                asked.answer.set_result(found)
        except BaseException as error:  # whoever waits must hear of it, whatever it was
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)


class _Watch:
    """Hands an answer on as it grows, and says when to stop."""

    def __init__(self, context: Context, stop: Stop | None, emit: Emit | None) -> None:
        self._context, self._stop, self._emit = context, stop, emit
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._seen = 0

    def __call__(self, tokens: decode.Ids) -> bool:
        left = self._tell(tokens, is_whole=False)
        return left or (self._stop is not None and self._stop())

    def end(self, tokens: decode.Ids) -> None:
        """The answer is whole: what is left of it."""
        self._tell(tokens, is_whole=True)

    def _tell(self, tokens: decode.Ids, *, is_whole: bool) -> bool:
        if self._emit is None:
            return False
        new = b"".join(map(self._context.piece, tokens[self._seen :]))
        self._seen = len(tokens)
        text = self._characters.decode(new, is_whole)
        return bool(text) and self._emit(text)


def _too_long(length: int) -> InputError:
    return InputError(
        f"the input is too long for the model's context of {length} tokens",
        hint="shorten it, or raise export.num_ctx in the recipe and export again",
    )


def _closed() -> RuntimeFailure:
    return RuntimeFailure("the model was closed", hint="open it again, or ask before it is closed")
