"""Judging without generating: for many prompts and answers, whether the model would write just that, and how likely."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from drivecoach.native import decode
from drivecoach.native.decode import Verdict
from drivecoach.native.llama import Context, decoders

_WINDOW = 512
"""Rows that are sorted together, so that neighbours share most of their prompts; few, so that all cores have some."""
_TOKENS, _SEQUENCES, _LOGITS = 256, 48, 64 << 20
"""Of one batch. In a larger one each token would be held against more that are none of its own row's."""


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
                decode.Row(context.tokenize(prompt), context.tokenize_again(answer + end))
                for prompt, answer in window
            ]
            for at, verdict in decode.judge(context, asked):
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
