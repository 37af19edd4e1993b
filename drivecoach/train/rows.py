"""Pairs as token ids: which tokens are prompt, and which carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from drivecoach.chat import Chat
from drivecoach.data import Pair
from drivecoach.errors import DataError, Fault

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label that PyTorch's cross-entropy leaves out of the loss."""


class TokenRow(TypedDict):
    """One training row: ``labels`` equal ``input_ids`` where loss is taken, and `IGNORED` elsewhere."""

    input_ids: list[int]
    labels: list[int]


def token_rows(
    pairs: Sequence[Pair], chat: Chat, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[TokenRow]:
    """Token ids of every pair; loss on the answer and its end token, nothing else.

    Prompt and answer are tokenized apart, because a server sees the prompt alone.
    Raises DataError naming every row longer than ``max_length``: cutting one would cut the answer's end.
    """
    rows: list[TokenRow] = []
    faults = []
    for pair in pairs:
        prompt = tokenizer.encode(chat.prompt(pair.input), add_special_tokens=False)
        completion = tokenizer.encode(chat.completion(pair.output), add_special_tokens=False)
        if len(prompt) + len(completion) > max_length:
            length = len(prompt) + len(completion)
            faults.append(Fault(f"row {pair.row}", f"{length} tokens", f"at most {max_length}"))
        rows.append(
            {"input_ids": prompt + completion, "labels": [IGNORED] * len(prompt) + completion}
        )
    if faults:
        raise DataError(
            f"{len(faults)} row(s) are longer than train.max_length",
            faults=faults[:20],
            hint="raise train.max_length in the recipe, or shorten these rows",
        )
    return rows
