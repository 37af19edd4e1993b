"""A packed batch means what the padded one means: the same loss, the same gradients, as many answer tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivecoach.config import LoraConfig
from drivecoach.train import packed
from drivecoach.train.rows import IGNORED, TokenRow, padded
from drivecoach.train.trainer import rounded_products


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=11, **shape, **heads, tie_word_embeddings=True)).double()


def _row(prompt: list[int], answer: list[int]) -> TokenRow:
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


tokens = st.lists(st.integers(0, 10), min_size=1, max_size=7)
batches = st.lists(st.builds(_row, tokens, tokens), min_size=1, max_size=6)


def _loss(model: Any, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**batch, use_cache=False).loss
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return loss.item(), gradients


def _assert_same(model: Any, rows: list[TokenRow]) -> None:
    ids, labels = padded(rows, "cpu")
    mask = torch.tensor([[place < len(row["input_ids"]) for place in range(ids.shape[1])] for row in rows]).long()
    wanted, gradients = _loss(model, {"input_ids": ids, "labels": labels, "attention_mask": mask})
    with packed.attention(model):
        found, packed_gradients = _loss(model, packed.pack(rows))
    assert found == pytest.approx(wanted, rel=1e-6)
    assert packed_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(packed_gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@settings(max_examples=15)
@given(batches)
@example([_row([1, 2, 3], [4, 5]), _row([1, 2, 3], [4, 6, 7]), _row([1, 2, 3], [4, 5]), _row([9], [1])])
@example([_row([1, 2], [3, 4]), _row([1, 2, 3], [4])])  # one row's answer is another's prompt
def test_loss_and_gradients_are_those_of_the_padded_batch(model: Any, rows: list[TokenRow]) -> None:
    _assert_same(model, rows)


def test_long_rows_too(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_SHORT", 4)
    _assert_same(model, [_row([1, 2, 3, 4, 5, 6], [4, 5]), _row([1, 2, 3], [4, 6, 7])])


def test_an_adapter_gets_the_same_gradients(model: Any) -> None:
    from copy import deepcopy

    from drivecoach.train.peft_backend import adapt

    adapted = adapt(deepcopy(model), LoraConfig(r=2, dropout=0)).double()
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    assert packed.fits(adapted)
    _assert_same(adapted, [_row([1, 2, 3], [4, 5]), _row([1, 2, 3, 5], [6, 7, 8])])


@settings(max_examples=30)
@given(batches)
def test_what_rows_begin_with_alike_stands_once(rows: list[TokenRow]) -> None:
    batch = packed.pack(rows)
    beginnings = {tuple(row["input_ids"][: end + 1]) for row in rows for end in range(len(row["input_ids"]))}
    assert batch["input_ids"].shape[1] == len(beginnings)
    assert batch["labels"].numel() == sum(label != IGNORED for row in rows for label in row["labels"])
    for row, places in zip(rows, batch["places"], strict=True):
        assert batch["input_ids"][0, places[: len(row["input_ids"])]].tolist() == row["input_ids"]


def test_attention_is_packed_and_products_are_rounded_only_while_it_trains(model: Any) -> None:
    before = model.config._attn_implementation, torch.backends.mkldnn.matmul.fp32_precision
    with packed.attention(model), rounded_products():
        assert model.config._attn_implementation == packed.NAME
        rounds = torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        assert rounds == torch.cpu._is_amx_tile_supported()
    assert (model.config._attn_implementation, torch.backends.mkldnn.matmul.fp32_precision) == before


def test_models_that_look_elsewhere_are_not_packed() -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, Qwen2Config, Qwen2ForCausalLM

    small = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    assert not packed.fits(Gemma3ForCausalLM(Gemma3TextConfig(**small, **heads, head_dim=8)))
    sliding = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    assert not packed.fits(Qwen2ForCausalLM(Qwen2Config(**small, **heads, **sliding)))
