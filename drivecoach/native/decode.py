"""Many rows at once: answers written greedily, with the prefixes that prompts share decoded once.

Rows are sorted by prompt, so that neighbours share most of theirs; a token of the batch then belongs to all rows that
have it. A draft of the answer rides along in the same batch: where every one of its tokens is the most likely one, the
answer is known after one decode; where not, only what differs is written token by token. Either way what comes out is
greedy decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Written:
    """An answer's tokens without the end token."""

    tokens: list[int] = field(default_factory=list)
    finished: bool = False
    """False where the limit of tokens cut it."""
    log_probability: float = 0.0
    """Natural logarithm, summed over the tokens and the end token."""


def write(
    context: Context, rows: Sequence[Row], limits: Sequence[int], watches: Sequence[Watch | None] = ()
) -> Iterator[tuple[int, Written]]:
    """The greedy answer of every row, with the row's place in ``rows``, as they are found.

    ``limits``: how many tokens each may have. ``watches``: a row is left as it is when its own says True.
    """
    for batch in batches(context, rows):
        chosen = [rows[at] for at in batch]
        places = fill(context, chosen)
        context.decode()
        answers = [
            _accepted(context, row, place, limits[at]) for at, row, place in zip(batch, chosen, places, strict=True)
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
            context.decode()
            for nth, n in enumerate(still):
                _append(answers[n], context, nth)
            ended = [n for n in still if not is_open(n)]
            yield from ((batch[n], answers[n]) for n in ended)
            still = [n for n in still if n not in ended]


def _accepted(context: Context, row: Row, place: range, limit: int) -> Written:
    """What is certain after one decode: the draft as far as it was the most likely, and one token more."""
    answer = Written()
    for nth, drafted in zip(place, [*row.draft, None], strict=False):
        token = _append(answer, context, nth)
        if answer.finished or token != drafted or len(answer.tokens) >= limit:
            break
    return answer


def _append(answer: Written, context: Context, nth: int) -> int:
    """Go on with what most likely follows the ``nth`` wanted token."""
    token, log_probability = context.likeliest(nth)
    answer.log_probability += log_probability
    if context.ends(token):
        answer.finished = True
    else:
        answer.tokens.append(token)
    return token


def fill(context: Context, rows: Sequence[Row]) -> list[range]:
    """Put sorted rows into an empty context and batch; for each which of the wanted tokens are its own.

    They are the last of its prompt and those of its draft but an end token.
    """
    context.clear()
    context.begin()
    path: Ids = []
    before: Ids = []
    places = []
    for sequence, row in enumerate(rows):
        first = context.wanted
        del path[_shared(before, row.prompt) :]
        context.share(path, sequence)
        path += context.add(row.prompt[len(path) :], len(path), sequence)
        context.want(path[-1:])
        context.want(context.add(_fed(context, row), len(row.prompt), sequence))
        places.append(range(first, context.wanted))
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


def batches(context: Context, rows: Sequence[Row]) -> Iterator[list[int]]:
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
