"""The forgetting check: likelihoods are the model's own, gains do not hide losses, nothing about the model changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.train.forgetting import QUESTIONS, Asked, ask, compare

pytest.importorskip("transformers")


def test_losses_are_summed_and_gains_do_not_hide_them() -> None:
    half = len(QUESTIONS) // 2
    base = [Asked(-2.0, True, "old")] * len(QUESTIONS)
    tuned = [Asked(-1.0, True, "better")] * half + [Asked(-5.0, False, "worse")] * half
    whole, questions = compare(base, tuned)
    assert whole.forgetting == pytest.approx(1.5)
    assert whole.likelihood_change == pytest.approx(-1.0)
    assert (whole.known.base, whole.known.tuned) == (1.0, 0.5)
    assert questions[0].base == "old" and questions[-1].tuned == "worse"
    assert compare(base, base)[0].forgetting == 0


def test_a_real_model_is_asked_without_being_changed(tmp_path: Path) -> None:
    import torch

    from tests.support.tiny_models import byte_level_tokenizer, save_model, save_tokenizer

    raw = byte_level_tokenizer("qwen2")
    tokenizer = save_tokenizer(raw, tmp_path, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    model = save_model("qwen3", tmp_path, rows=raw.get_vocab_size())
    before = torch.get_rng_state()
    asked = ask(model, tokenizer, Chat("brief"))
    assert len(asked) == len(QUESTIONS) and all(one.likelihood < 0 for one in asked)
    assert asked == ask(model, tokenizer, Chat("another brief")), "the recipe's system message has no part in it"
    assert torch.equal(before, torch.get_rng_state())

    prompt = tokenizer.encode(Chat("").prompt(QUESTIONS[0][0]))
    answer = tokenizer.encode(QUESTIONS[0][1], add_special_tokens=False)
    labels = [-100] * len(prompt) + answer
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([prompt + answer]), labels=torch.tensor([labels])).loss
    assert asked[0].likelihood == pytest.approx(-loss.item(), rel=1e-4)
