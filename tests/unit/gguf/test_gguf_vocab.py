"""Tokenizers that llama.cpp would read differently are refused, with what it can read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from drivecoach.errors import ModelError
from drivecoach.gguf.vocab import read_vocabulary
from tests.support.tiny_models import CORPUS, byte_level_tokenizer, gemma_tokenizer


@pytest.mark.parametrize(
    ("pre", "name"),
    [("gpt2", "gpt-2"), ("smollm", "smollm"), ("qwen2", "qwen2"), ("llama3", "llama-bpe"), ("smaug", "smaug-bpe")],
)
def test_byte_level_pre_tokenizers_are_recognised(tmp_path: Path, pre: Any, name: str) -> None:
    byte_level_tokenizer(pre).save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_vocabulary(tmp_path, 2000)
    assert (vocabulary.model, vocabulary.pre) == ("gpt2", name)
    assert len(vocabulary.tokens) == len(vocabulary.kinds) == 2000 and vocabulary.scores is None


@pytest.mark.parametrize("prefix", [False, True])
def test_sentencepiece_style_is_recognised(tmp_path: Path, prefix: bool) -> None:
    gemma_tokenizer(prefix=prefix).save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_vocabulary(tmp_path, 1000)
    assert (vocabulary.model, vocabulary.pre, vocabulary.merges) == ("llama", "default", None)
    assert vocabulary.flags["add_space_prefix"] is prefix
    assert vocabulary.kinds[3] == 2 and vocabulary.kinds[2] == 3 and vocabulary.kinds[8] == 6


def other_pattern(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\w+"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def prefix_space(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def no_bytes(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


def lower_case(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def word_level(tokenizer: Tokenizer) -> None:
    tokenizer.model = models.WordLevel({"a": 0}, unk_token="a")


def split_at_a_text(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("-", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def stripping(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens([AddedToken("左转", lstrip=True), AddedToken("右转", single_word=True)])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_pattern, [r"\\w+", "llama.cpp does not know"]),
        (split_at_a_text, ["llama.cpp does not know", "String"]),
        (prefix_space, ["add_prefix_space"]),
        (no_bytes, ["Whitespace"]),
        (lower_case, ["Lowercase"]),
        (word_level, ["WordLevel"]),
        (stripping, ["左转", "lstrip", "右转", "single_word"]),
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, change: Callable[[Tokenizer], None], named: list[str]) -> None:
    tokenizer = byte_level_tokenizer()
    change(tokenizer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError) as caught:
        read_vocabulary(tmp_path, 2000)
    assert all(name in str(caught.value) for name in named)
    assert caught.value.hint


def test_the_hint_lists_what_can_be_read(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    other_pattern(tokenizer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError) as caught:
        read_vocabulary(tmp_path, 2000)
    assert all(name in caught.value.hint for name in ("GPT-2", "SmolLM", "Qwen2", "Llama 3", "Gemma"))


def test_merges_that_are_no_sentencepiece_are_refused(tmp_path: Path) -> None:
    """BPE trained elsewhere knows one way to make a piece; llama.cpp would take any."""
    from tokenizers import trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="not those of a SentencePiece model"):
        read_vocabulary(tmp_path, 2000)


def test_special_ids_come_from_the_tokenizer_then_from_the_model(tmp_path: Path) -> None:
    byte_level_tokenizer("llama3").save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}', encoding="utf-8")
    (tmp_path / "config.json").write_text('{"eos_token_id": 1, "bos_token_id": [0, 5], "pad_token_id": 99999}')
    vocabulary = read_vocabulary(tmp_path, 1000)
    assert vocabulary.ids == {"eos": 2, "bos": 0}
    assert vocabulary.flags == {"add_bos_token": True, "add_eos_token": False}
