"""A batch as one sequence without padding, where what rows begin with alike is computed once; for training on a CPU.

Rows of one batch share the system message and often more, and differ in length. So the layers see every distinct
beginning of a row once: a tree of tokens, laid out as one sequence. Only attention needs the rows themselves, and
gathers them, and the head sees the places before an answer's tokens only. Loss and gradients are those of the padded
batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from drivecoach.train.rows import IGNORED, TokenRow

NAME = "packed"
_FAMILIES = {"llama", "qwen2", "qwen3"}
"""Model types whose every token sees all before it and nothing else, by the attention function that is set."""
_SHORT = 512
"""Up to so many tokens a row, attention by plain products is faster than the fused kernel, and fits into memory."""


def fits(model: Any) -> bool:
    """Whether batches of ``model`` can be packed here; on a GPU, other kernels do better."""
    config = model.config
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    plain = config.model_type in _FAMILIES and set(layers) == {"full_attention"}
    return plain and not torch.accelerator.is_available()


@contextmanager
def attention(model: Any) -> Iterator[None]:
    """``model`` takes packed batches meanwhile, and padded ones as before."""
    AttentionInterface.register(NAME, _attend)
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def pack(rows: Sequence[TokenRow]) -> dict[str, torch.Tensor]:
    """The model's arguments for a batch of ``rows``.

    ``places`` holds of every row's tokens the place in the sequence, ``first`` of every place the (flat) token that
    it was made for. Behind a shorter row stand places that no token of it sees.
    """
    width = max(len(row["input_ids"]) for row in rows)
    known: dict[tuple[int, int], int] = {}
    ids: list[int] = []
    positions: list[int] = []
    first: list[int] = []
    before: list[int] = []
    answers: list[int] = []
    places: list[list[int]] = []
    for number, row in enumerate(rows):
        place, path = -1, [0] * width
        for position, (token, label) in enumerate(zip(row["input_ids"], row["labels"], strict=True)):
            if label != IGNORED and position:  # nothing stands before a row's first token that could tell it
                before.append(place)
                answers.append(label)
            place = known.setdefault((place, token), len(ids))
            if place == len(ids):
                ids.append(token)
                positions.append(position)
                first.append(number * width + position)
            path[position] = place
        places.append(path)
    return {
        "places": torch.tensor(places),  # the first tensor says how many rows there are
        "first": torch.tensor(first),
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "logits_to_keep": torch.tensor(before, dtype=torch.long),
        "labels": torch.tensor([answers], dtype=torch.long),
        "shift_labels": torch.tensor([answers], dtype=torch.long),  # transformers takes these as they stand
    }


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    places: torch.Tensor | None = None,
    first: torch.Tensor | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row; a batch that is not packed is padded behind, where no token looks."""
    if places is None or first is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return out, None
    rows = [_rows(part, places) for part in (query, key, value)]
    short = places.shape[1] <= _SHORT
    with sdpa_kernel(SDPBackend.MATH if short else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        out, _ = sdpa_attention_forward(module, *rows, None, **{**settings, "is_causal": True})
    return out.flatten(0, 1).index_select(0, first)[None], None


def _rows(packed: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """[1, heads, places, width] as [rows, heads, tokens, width]; summing gradients is what an embedding's does."""
    heads = packed[0].transpose(0, 1)
    return functional.embedding(places, heads.flatten(1)).unflatten(-1, heads.shape[1:]).transpose(1, 2)
