"""Judging without generating: for many prompts and answers, whether the model would write just that, and how likely."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from drivecoach.native.decode import Row, batches, fill
from drivecoach.native.llama import Context, decoders

_WINDOW = 512
"""Rows that are sorted together, so that neighbours share most of their prompts; few, so that all cores have some."""
_TOKENS, _SEQUENCES, _LOGITS = 256, 48, 64 << 20
"""Of one batch. In a larger one each token would be held against more that are none of its own row's."""


@dataclass(frozen=True)
class Verdict:
    """Whether greedy decoding would write the answer, and how likely the answer is."""

    right: bool
    log_probability: float
    """Natural logarithm, summed over the answer's tokens and its end."""
    tokens: int
    """Of the answer, its end included."""
    margin: float
    """By how much the least certain of its tokens beats every other one, in logits; negative where it loses."""


def judge(path: Path, rows: Iterable[tuple[str, str]], *, length: int, end: str) -> Iterator[Verdict]:
    """A verdict on each (rendered prompt, answer), in order: greedy decoding would write the answer, or not.

    ``length``: the model's context in tokens; ``end``: the text that ends an answer. Memory holds a few thousand rows.
    Raises ModelError for a model that cannot be loaded and for a row that is longer than its context.
    """
    count, threads = decoders(path)
    tokens = max(_TOKENS, length)
    contexts: queue.SimpleQueue[Context] = queue.SimpleQueue()
    made = [
        Context(path, cells=tokens, tokens=tokens, sequences=_SEQUENCES, logits=_LOGITS, threads=threads)
        for _ in range(count)
    ]
    for context in made:
        contexts.put(context)

    given_up = threading.Event()

    def work(window: list[tuple[str, str]]) -> list[Verdict]:
        context = contexts.get()
        verdicts: dict[int, Verdict] = {}
        try:
            asked = [
                Row(context.tokenize(prompt), context.tokenize_again(answer + end))
                for prompt, answer in window
            ]
            for at, verdict in verdicts_of(context, asked):
                verdicts[at] = verdict
                if given_up.is_set():  # nobody waits for the rest
                    return []
        finally:
            contexts.put(context)
        return [verdicts[at] for at in range(len(window))]

    rest = iter(rows)
    under_way: deque[Future[list[Verdict]]] = deque()
    try:
        with ThreadPoolExecutor(count) as pool:
            try:
                while window := list(islice(rest, _WINDOW)):
                    under_way.append(pool.submit(work, window))
                    if len(under_way) > 2 * count:
                        yield from under_way.popleft().result()
                while under_way:
                    yield from under_way.popleft().result()
            finally:
                given_up.set()
    finally:
        for context in made:
            context.close()


def verdicts_of(context: Context, rows: Sequence[Row]) -> Iterator[tuple[int, Verdict]]:
    """A verdict for every row's draft, with the row's place in ``rows``, in the order in which they are found."""
    for batch in batches(context, rows):
        places = fill(context, [rows[at] for at in batch])
        context.decode()
        logits = np.ctypeslib.as_array(context.logits, (context.wanted, context.vocabulary_size))
        best = logits.argmax(axis=1)
        totals = _log_sums(logits)
        for at, place in zip(batch, places, strict=True):
            draft = np.asarray(rows[at].draft)
            start, stop = place.start, place.start + len(draft)
            its = np.arange(start, stop), draft
            chosen = logits[its].astype(np.float64)
            logits[its] = -np.inf  # what is left of its rows is what the answer is not
            margin = (chosen - logits[start:stop].max(axis=1)).min()
            right = bool((best[start:stop] == draft).all())
            yield at, Verdict(right, float((chosen - totals[start:stop]).sum()), len(draft), float(margin))


def _log_sums(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """log(sum(exp)) of each row, in 64 bits."""
    most: np.ndarray[Any, Any] = logits.max(axis=1)
    sums: np.ndarray[Any, Any] = np.exp(logits - most[:, None]).sum(axis=1, dtype=np.float64)
    totals: np.ndarray[Any, Any] = most + np.log(sums)
    return totals
