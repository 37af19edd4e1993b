"""Which tokens carry loss, per family and way of thinking; rows that are too long; tokenizers that pad with the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import NO_THINKING, Chat, family
from drivecoach.config import BaseConfig
from drivecoach.data.check import Pair
from drivecoach.errors import DataError, ModelError
from drivecoach.train.rows import IGNORED, token_rows
from tests.support.tiny_models import byte_level_tokenizer, gemma_tokenizer, save_tokenizer

pytest.importorskip("transformers")
OUTPUT = "<think>\n下雨\n</think>\n\n慢行。"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("qwen")
    return save_tokenizer(byte_level_tokenizer("qwen2"), folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def taught(tokenizer: Any, chat: Chat, pair: Pair) -> tuple[str, str]:
    """What the model reads, and what it learns to say."""
    (row,) = token_rows([pair], chat, tokenizer, 512)
    cut = sum(label == IGNORED for label in row["labels"])
    assert row["labels"][cut:] == row["input_ids"][cut:] and IGNORED not in row["labels"][cut:]
    return tokenizer.decode(row["input_ids"][:cut]), tokenizer.decode(row["input_ids"][cut:])


def test_each_way_of_thinking_is_taught_its_own_answer(qwen: Any) -> None:
    pair = Pair(1, "雨天", OUTPUT)
    answers = {
        ("strip", 1.0): ("assistant\n", "慢行。<|im_end|>"),
        ("keep", 1.0): ("assistant\n", OUTPUT + "<|im_end|>"),
        ("mixed", 1.0): ("assistant\n", OUTPUT + "<|im_end|>"),
        ("mixed", 0.0): ("assistant\n" + NO_THINKING, "慢行。<|im_end|>"),
    }
    for (thinking, share), (opening, answer) in answers.items():
        chat = Chat("", thinking, thinking_share=share)  # type: ignore[arg-type]
        prompt, learned = taught(qwen, chat, pair)
        assert prompt.endswith(opening) and learned == answer


def test_a_row_without_reasoning_is_taught_the_way_without_thinking(qwen: Any) -> None:
    prompt, learned = taught(qwen, Chat("", "mixed", thinking_share=1.0), Pair(1, "雨天", "慢行。"))
    assert prompt.endswith(NO_THINKING) and learned == "慢行。<|im_end|>"


def test_mixed_keeps_the_share_and_each_row_keeps_its_way() -> None:
    chat = Chat("", "mixed", thinking_share=0.3)
    ways = [chat.thinks(f"问题{n}", OUTPUT) for n in range(2000)]
    assert 0.26 < sum(ways) / len(ways) < 0.34
    assert ways == [chat.thinks(f"问题{n}", OUTPUT) for n in range(2000)]


def test_history_is_read_and_only_the_last_answer_is_learned(qwen: Any) -> None:
    history = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好!"}]
    prompt, learned = taught(qwen, Chat("S"), Pair(1, "雨天", "慢行。", history))  # type: ignore[arg-type]
    assert "你好!" in prompt and learned == "慢行。<|im_end|>"


def test_gemma_rows_begin_with_one_bos_and_end_with_the_turn(tmp_path: Path) -> None:
    roles = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    tokenizer = save_tokenizer(gemma_tokenizer(), tmp_path, **roles)
    (row,) = token_rows([Pair(1, "雨天", "慢行。")], Chat("", "strip", family("gemma")), tokenizer, 512)
    assert [token for token in row["input_ids"] if token == tokenizer.bos_token_id] == row["input_ids"][:1]
    assert row["labels"][-1] == tokenizer.convert_tokens_to_ids("<end_of_turn>")


def test_rows_longer_than_the_context_are_named_or_left_out_never_cut(qwen: Any) -> None:
    pairs = [Pair(1, "雨天", "慢行。"), Pair(7, "雨天" * 50, "慢行。"), Pair(9, "晴天", "快" * 80, source="b.csv")]
    with pytest.raises(DataError, match="2 row") as caught:
        token_rows(pairs, Chat(""), qwen, 60)
    assert [fault.where for fault in caught.value.faults] == ["row 7", "b.csv row 9"]
    assert len(token_rows(pairs, Chat(""), qwen, 60, drop=True)) == 1


@pytest.mark.parametrize("pad", ["<|im_end|>", None])
def test_a_base_that_pads_with_its_end_token_gets_other_padding(tmp_path: Path, pad: str | None) -> None:
    from drivecoach.train.bases import load_tokenizer

    roles = {"eos_token": "<|im_end|>", **({"pad_token": pad} if pad else {})}
    save_tokenizer(byte_level_tokenizer("qwen2"), tmp_path, **roles)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    tokenizer = load_tokenizer(BaseConfig(source="local", name=str(tmp_path)), Chat(""))
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_a_base_with_no_token_to_pad_with_is_refused(tmp_path: Path) -> None:
    from drivecoach.train.bases import load_tokenizer

    raw = byte_level_tokenizer("qwen2", special=("<|im_start|>", "<|im_end|>"))
    save_tokenizer(raw, tmp_path, eos_token="<|im_end|>", pad_token="<|im_end|>")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match="pads with its end token"):
        load_tokenizer(BaseConfig(source="local", name=str(tmp_path)), Chat(""))


def test_a_base_of_another_family_is_refused_with_what_to_set(tmp_path: Path) -> None:
    from drivecoach.train.bases import load_tokenizer

    save_tokenizer(byte_level_tokenizer("qwen2"), tmp_path, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match="cannot speak gemma") as caught:
        load_tokenizer(BaseConfig(source="local", name=str(tmp_path)), Chat("", "strip", family("gemma")))
    assert "chat.template" in caught.value.hint
