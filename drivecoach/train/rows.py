"""Pairs as token ids: which tokens are prompt, and which carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

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
    pairs: Sequence[Pair],
    chat: Chat,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    drop: bool = False,
) -> list[TokenRow]:
    """Token ids of every pair; loss on the answer and its end token, nothing else.

    Prompt and answer are tokenized apart, because a server sees the prompt alone; what a tokenizer puts in front of
    a text (Gemma's ``<bos>``) stands in front of the prompt. Rows longer than ``max_length`` are left out with
    ``drop``, else DataError counts them and names the first 20: cutting one would cut the answer's end.
    """
    rows: list[TokenRow] = []
    faults = []
    for pair in pairs:
        think = chat.thinks(pair.key, pair.output)
        prompt = tokenizer.encode(chat.prompt(pair.input, pair.history, think=think))
        completion = tokenizer.encode(chat.completion(pair.output, think=think), add_special_tokens=False)
        if len(prompt) + len(completion) > max_length:
            faults.append(Fault(pair.place, f"{len(prompt) + len(completion)} tokens", f"at most {max_length}"))
            continue
        rows.append({"input_ids": prompt + completion, "labels": [IGNORED] * len(prompt) + completion})
    if faults and not drop:
        raise DataError(
            f"{len(faults)} row(s) are longer than train.max_length",
            faults=faults[:20],
            hint="raise train.max_length in the recipe, shorten these rows, or leave them out: "
            "--set data.refused=drop",
        )
    return rows


_TRIED = 100
_BATCH = 16


def exact_matches(model: Any, tokenizer: Any, rows: Sequence[TokenRow]) -> float:
    """The share of (the first 100) rows whose greedy answer is the row's own, its end token included."""
    import torch

    tried = rows[:_TRIED]
    right = 0
    training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(tried), _BATCH):
            batch = tried[start : start + _BATCH]
            answers = [[token for token in row["labels"] if token != IGNORED] for row in batch]
            prompts = [row["input_ids"][: -len(answer)] for row, answer in zip(batch, answers, strict=True)]
            width = max(map(len, prompts))
            padded = [[tokenizer.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts]
            mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
            found = model.generate(
                input_ids=torch.tensor(padded, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                max_new_tokens=max(map(len, answers)),
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )[:, width:].tolist()
            right += sum(given[: len(answer)] == answer for given, answer in zip(found, answers, strict=True))
    model.train(training)
    return right / len(tried)
