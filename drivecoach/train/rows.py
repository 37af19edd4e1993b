"""Pairs as token ids: which tokens are prompt, and which carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from drivecoach.chat import Chat
from drivecoach.data.check import Pair
from drivecoach.errors import DataError, Fault
from drivecoach.progress import progress
from drivecoach.train import processes

if TYPE_CHECKING:
    import torch
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
    with progress("train: tokenize", len(pairs), unit="row", shown=processes.is_first()) as task:
        for pair in pairs:
            think = chat.thinks(pair.key, pair.output)
            prompt = tokenizer.encode(chat.prompt(pair.input, pair.history, think=think))
            completion = tokenizer.encode(chat.completion(pair.output, think=think), add_special_tokens=False)
            task.advance()
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


_TRIED = 256
_BATCH = 16


def exact_matches(model: Any, rows: Sequence[TokenRow]) -> float:
    """The share of (the first 256) rows whose greedy answer is the row's own, its end token included.

    That is so where every token of the right answer is the likeliest one after those before it, so one forward pass
    tells it, and no random number is drawn.
    """
    import torch

    tried = sorted(rows[:_TRIED], key=lambda row: len(row["input_ids"]))  # alike in length: less padding
    right = 0
    training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(tried), _BATCH):
            batch = tried[start : start + _BATCH]
            ids, labels = padded(batch, model.device)
            # Padding stands behind, where no answer sees it. Before the first answer, no logits are needed.
            kept = ids.shape[1] - int((labels != IGNORED).int().argmax(dim=1).min()) + 1
            found = model(input_ids=ids, logits_to_keep=kept).logits[:, :-1].argmax(dim=-1)
            wanted = labels[:, -found.shape[1] :]
            right += int(((found == wanted) | (wanted == IGNORED)).all(dim=1).sum())
    model.train(training)
    return right / len(tried)


def padded(rows: Sequence[TokenRow], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels of rows of different lengths, as one tensor each."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)
    ids = [row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in rows]
    labels = [row["labels"] + [IGNORED] * (width - len(row["labels"])) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(labels, device=device)
