"""Which token ids carry loss, through the collator that the trainer uses; how short the nano tokenizer cuts."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivecoach.chat import CONTROL_TOKENS, END, PAD, Chat
from drivecoach.config import NanoConfig
from drivecoach.data.check import Pair
from drivecoach.domains.driving import DRIVING as domain
from drivecoach.domains.driving.words import ACTIONS, LEVELS
from drivecoach.errors import DataError
from drivecoach.train.nano_backend import make_model, make_tokenizer
from drivecoach.train.rows import IGNORED, TokenRow, exact_matches, token_rows
from tests.support.driving import FEATURES

CHAT = Chat(domain.system)
DRIVING = Path(__file__).parents[3] / "datasets" / "driving.json"


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    rows = json.loads(DRIVING.read_text(encoding="utf-8"))
    return [Pair(number, row["input"], row["output"]) for number, row in enumerate(rows[::13], start=1)]


@pytest.fixture(scope="module")
def tokenizer(pairs: list[Pair]) -> Any:
    texts = [CHAT.prompt(pair.input) + CHAT.completion(pair.output) for pair in pairs]
    return make_tokenizer(domain.vocabulary(), texts, CHAT)


@pytest.fixture(scope="module")
def collator(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The collator that TRL gives a trainer of our rows."""
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    shape = NanoConfig(hidden_size=32, layers=1, heads=1, kv_heads=1, head_dim=32, intermediate_size=32)
    folder = tmp_path_factory.mktemp("trainer")
    trainer = SFTTrainer(
        model=make_model(shape, tokenizer, 64, seed=0),
        args=SFTConfig(str(folder), dataset_kwargs={"skip_prepare_dataset": True}, report_to="none", bf16=False),
        train_dataset=Dataset.from_list([{"input_ids": [0, 1], "labels": [IGNORED, 1]}]),
        processing_class=tokenizer,
    )
    return trainer.data_collator


@pytest.mark.parametrize("thinking", ["strip", "keep"])
def test_loss_is_on_the_answer_and_its_end_and_on_nothing_else(
    tokenizer: Any, collator: Any, pairs: list[Pair], thinking: Any
) -> None:
    chat = Chat(domain.system, thinking)
    some = pairs[:40]
    rows = token_rows(some, chat, tokenizer, 1024)
    batch = {name: values.tolist() for name, values in collator([dict(row) for row in rows]).items()}
    assert len({len(row) for row in batch["input_ids"]}) == 1, "padded to one width"
    for pair, ids, labels in zip(some, batch["input_ids"], batch["labels"], strict=True):
        answer = tokenizer.encode(chat.completion(pair.output), add_special_tokens=False)
        prompt = tokenizer.encode(chat.prompt(pair.input), add_special_tokens=False)
        rest = len(ids) - len(prompt) - len(answer)
        assert ids == prompt + answer + [tokenizer.pad_token_id] * rest
        assert labels == [IGNORED] * len(prompt) + answer + [IGNORED] * rest
        learned = [token for token in labels if token != IGNORED]
        assert tokenizer.decode(learned) == chat.completion(pair.output)
        assert learned[-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids(END)
        assert learned.count(tokenizer.eos_token_id) == 1
        assert ("<think>" in tokenizer.decode(learned)) == (thinking == "keep")
    masks = batch["attention_mask"]
    padded = [[token != tokenizer.pad_token_id for token in row] for row in batch["input_ids"]]
    assert [[bool(seen) for seen in mask] for mask in masks] == padded


def test_rows_that_are_too_long_are_all_named_and_none_is_cut(tokenizer: Any, pairs: list[Pair]) -> None:
    lengths = {
        pair.row: len(row["input_ids"])
        for pair, row in zip(pairs, token_rows(pairs, CHAT, tokenizer, 10_000), strict=True)
    }
    limit = sorted(lengths.values())[-8]
    too_long = [row for row, length in lengths.items() if length > limit]
    with pytest.raises(DataError) as caught:
        token_rows(pairs, CHAT, tokenizer, limit)
    assert [fault.where for fault in caught.value.faults] == [f"row {row}" for row in too_long][:20]
    assert f"{len(too_long)} row" in caught.value.message
    assert "max_length" in caught.value.hint
    assert max(len(row["input_ids"]) for row in token_rows(pairs, CHAT, tokenizer, max(lengths.values()))) > limit


def test_a_pair_of_the_line_and_an_action_is_one_token(tokenizer: Any) -> None:
    *features, last = FEATURES
    texts = [f"{feature}:{value}; " for feature in features for value in FEATURES[feature]]
    texts += [f"{last}:{value}</特征>" for value in FEATURES[last]]
    texts += [*ACTIONS, *LEVELS]
    assert {text: len(tokenizer.encode(text, add_special_tokens=False)) for text in texts} == dict.fromkeys(texts, 1)


def test_prompts_and_answers_are_short(tokenizer: Any, pairs: list[Pair]) -> None:
    rows = token_rows(pairs, CHAT, tokenizer, 1024)
    answers = [sum(label != IGNORED for label in row["labels"]) for row in rows]
    prompts = [len(row["labels"]) - answer for row, answer in zip(rows, answers, strict=True)]
    assert max(prompts) <= 26
    assert median(answers) <= 16


def test_control_tokens_are_special_and_pieces_are_not(tokenizer: Any) -> None:
    assert set(tokenizer.all_special_tokens) >= {END, PAD}
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    assert special == set(CONTROL_TOKENS)
    assert tokenizer.decode(tokenizer.encode(f"松开油门{END}"), skip_special_tokens=True) == "松开油门"


@given(st.text(st.characters(codec="utf-8")) | st.lists(st.sampled_from(domain.vocabulary())).map("".join))
@example(" a  b ")
@example("挡位:1挡; 挡位:1挡;")
@example("it 's ,now . ok !")
@example("\u3000\ufeff\u200b")
def test_any_text_comes_back_from_its_tokens(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_tokenizer_survives_its_files(tokenizer: Any, pairs: list[Pair], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    rows = token_rows(pairs[:50], CHAT, tokenizer, 1024)
    assert token_rows(pairs[:50], CHAT, read, 1024) == rows
    assert (read.eos_token, read.pad_token) == (END, PAD)
    rendered = read.apply_chat_template(
        [{"role": "system", "content": domain.system}, {"role": "user", "content": "x"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert rendered == CHAT.prompt("x")


def test_an_exact_match_is_what_greedy_decoding_gives(tokenizer: Any) -> None:
    """Of rows of many lengths, those that hold the model's own greedy answer count, and no others."""
    import torch

    model = make_model(NanoConfig(hidden_size=64, layers=2), tokenizer, 256, 3407)
    model.train()
    rows: list[TokenRow] = []
    for number in range(40):
        prompt = tokenizer.encode(CHAT.prompt("安全带:系上; " * (1 + number % 7)))
        length = 2 + number % 5
        with torch.inference_mode():
            greedy = model.generate(
                input_ids=torch.tensor([prompt]), max_new_tokens=length, min_new_tokens=length, do_sample=False
            )
        answer = greedy[0, len(prompt) :].tolist()
        if number % 4 == 0:
            answer[number % length] = (answer[number % length] + 1) % len(tokenizer)
        rows.append({"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer})
    state = torch.get_rng_state()
    assert exact_matches(model, rows) == 30 / 40
    assert model.training and torch.equal(torch.get_rng_state(), state), "training goes on as if nothing had been asked"
