"""Many rows at once: answers judged, or written greedily, with the prefixes that prompts share decoded once.

Rows are sorted by prompt, so that neighbours share most of theirs; a token of the batch then belongs to all rows that
have it. A draft of the answer rides along in the same batch: where every one of its tokens is the most likely one, the
answer is known after one decode; where not, only what differs is written token by token. Either way what comes out is
greedy decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivecoach.errors import ModelError
from drivecoach.native.llama import Context

Ids = list[int]
Watch = Callable[[Ids], bool]
"""Gets an answer's tokens so far, after each; True ends it there."""


@dataclass(frozen=True)
class Row:
    """A prompt, and what its answer is held against or thought to be; ids of tokens."""

    prompt: Ids
    draft: Ids = field(default_factory=list)
    """With its end token, where the answer is whole."""


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


@dataclass
class Written:
    """An answer's tokens without the end token."""

    tokens: list[int] = field(default_factory=list)
    finished: bool = False
    """False where the limit of tokens cut it."""
    log_probability: float = 0.0
    """Natural logarithm, summed over the tokens and the end token."""


def judge(context: Context, rows: Sequence[Row]) -> Iterator[tuple[int, Verdict]]:
    """A verdict for every row's draft, with the row's place in ``rows``, in the order in which they are found."""
    for batch in _batches(context, rows):
        places = _fill(context, [rows[at] for at in batch])
        logits = context.decode()
        best = logits.argmax(axis=1)
        totals = _log_sums(logits)
        for at, (start, _) in zip(batch, places, strict=True):
            draft = np.asarray(rows[at].draft)
            stop = start + len(draft)
            its = np.arange(start, stop), draft
            chosen = logits[its].astype(np.float64)
            logits[its] = -np.inf  # what is left of its rows is what the answer is not
            margin = (chosen - logits[start:stop].max(axis=1)).min()
            right = bool((best[start:stop] == draft).all())
            yield at, Verdict(right, float((chosen - totals[start:stop]).sum()), len(draft), float(margin))


def write(
    context: Context, rows: Sequence[Row], limits: Sequence[int], watches: Sequence[Watch | None] = ()
) -> Iterator[tuple[int, Written]]:
    """The greedy answer of every row, with the row's place in ``rows``, as they are found.

    ``limits``: how many tokens each may have. ``watches``: a row is left as it is when its own says True.
    """
    for batch in _batches(context, rows):
        chosen = [rows[at] for at in batch]
        places = _fill(context, chosen)
        best, sure = _likeliest(context.decode())
        answers = [
            _accepted(context, row, best[start:stop], sure[start:stop], limits[at])
            for at, row, (start, stop) in zip(batch, chosen, places, strict=True)
        ]

        def is_open(n: int, batch: list[int] = batch, answers: list[Written] = answers) -> bool:
            at, answer = batch[n], answers[n]
            if answer.finished or len(answer.tokens) >= limits[at]:
                return False
            watch = watches[at] if watches else None
            return watch is None or not watch(answer.tokens)

        still = [n for n in range(len(batch)) if is_open(n)]
        for n in set(range(len(batch))) - set(still):
            yield batch[n], answers[n]
        for n in still:
            context.forget(n, len(chosen[n].prompt) + len(answers[n].tokens) - 1)
        while still:
            context.begin()
            for n in still:
                tokens = answers[n].tokens
                context.want(context.add(tokens[-1:], len(chosen[n].prompt) + len(tokens) - 1, n))
            for n, token, certain in zip(still, *_likeliest(context.decode()), strict=True):
                _append(context, answers[n], token, certain)
            ended = [n for n in still if not is_open(n)]
            yield from ((batch[n], answers[n]) for n in ended)
            still = [n for n in still if n not in ended]


def _accepted(context: Context, row: Row, best: Ids, sure: Sequence[float], limit: int) -> Written:
    """What is certain after one decode: the draft as far as it was the most likely, and one token more."""
    answer = Written()
    for place, (token, certain) in enumerate(zip(best, sure, strict=True)):
        _append(context, answer, token, certain)
        agrees = place < len(row.draft) and row.draft[place] == token
        if answer.finished or not agrees or len(answer.tokens) >= limit:
            break
    return answer


def _append(context: Context, answer: Written, token: int, log_probability: float) -> None:
    answer.log_probability += log_probability
    if context.ends(token):
        answer.finished = True
    else:
        answer.tokens.append(token)


def _fill(context: Context, rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Put sorted rows into an empty context and batch; for each where its logits begin and end.

    A row's logits are those after its prompt and after each token of its draft but an end token.
    """
    context.clear()
    context.begin()
    path = np.empty(0, dtype=np.int64)
    before: Ids = []
    wanted = 0
    places = []
    for sequence, row in enumerate(rows):
        shared = _shared(before, row.prompt)
        path = path[:shared]
        context.share(path, sequence)
        own = context.add(row.prompt[shared:], shared, sequence)
        path = np.concatenate([path, own])
        context.want(path[-1])
        fed = _fed(context, row)
        if fed:
            context.want(context.add(fed, len(row.prompt), sequence))
        places.append((wanted, wanted + 1 + len(fed)))
        wanted += 1 + len(fed)
        before = row.prompt
    return places


def _fed(context: Context, row: Row) -> Ids:
    """The tokens of the draft that something can follow."""
    return row.draft[:-1] if row.draft and context.ends(row.draft[-1]) else row.draft


def _shared(before: Ids, prompt: Ids) -> int:
    """How many tokens two prompts have in common at their start; never all of a prompt, whose end asks for logits."""
    most = min(len(before), len(prompt) - 1)
    for place in range(most):
        if before[place] != prompt[place]:
            return place
    return most


def _batches(context: Context, rows: Sequence[Row]) -> Iterator[list[int]]:
    """Places in ``rows``, sorted by prompt and cut so that each batch fits the context."""
    batch: list[int] = []
    tokens = outputs = 0
    before: Ids = []
    for at in sorted(range(len(rows)), key=lambda at: rows[at].prompt):
        row = rows[at]
        fed = len(_fed(context, row))
        needed = len(row.prompt) - _shared(before, row.prompt) + fed
        full = tokens + needed > context.tokens or outputs + 1 + fed > context.outputs
        if batch and (full or len(batch) == context.sequences):
            yield batch
            batch, tokens, outputs = [], 0, 0
            needed = len(row.prompt) + fed
        if needed > context.tokens or 1 + fed > context.outputs:
            raise ModelError(
                f"a row of {needed:,} tokens is longer than the {context.tokens:,} that are decoded at once",
                hint="shorten it, or raise export.num_ctx in the recipe and export again",
            )
        batch.append(at)
        tokens, outputs, before = tokens + needed, outputs + 1 + fed, row.prompt
    if batch:
        yield batch


def pieces(context: Context, tokens: Iterable[int]) -> str:
    """The text of an answer's tokens."""
    return b"".join(map(context.piece, tokens)).decode("utf-8", "replace")


def _likeliest(logits: np.ndarray[Any, Any]) -> tuple[Ids, list[float]]:
    """The most likely token of each row, and the logarithm of its probability."""
    best = logits.argmax(axis=1)
    chosen = logits[np.arange(len(logits)), best].astype(np.float64) - _log_sums(logits)
    return best.tolist(), chosen.tolist()


def _log_sums(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """log(sum(exp)) of each row, in 64 bits."""
    most: np.ndarray[Any, Any] = logits.max(axis=1)
    sums: np.ndarray[Any, Any] = np.exp(logits - most[:, None]).sum(axis=1, dtype=np.float64)
    totals: np.ndarray[Any, Any] = most + np.log(sums)
    return totals
