"""What we write, read by the real llama.cpp: the token ids and greedy answers are those of transformers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.reader import describe, read_metadata
from drivecoach.gguf.writer import write_gguf
from tests.support.llamacpp import greedy, llamacpp, token_ids
from tests.support.texts import odd_texts
from tests.support.tiny_models import (
    Kind,
    Pre,
    byte_level_tokenizer,
    gemma_tokenizer,
    save_model,
    save_tokenizer,
)

PAIRS = [f"{key}:{value}; " for key in ("挡位", "车速", "方向盘") for value in ("1挡", "2挡", "高", "低", "左")]
ACTIONS = ["松油门", "踩刹车", '{"动作": ["', '"], "级别": "', '"}', "\n\n", "  "]


ENDS = ["<|im_end|>", "<|endoftext|>", "<eos>", "<end_of_turn>"]
"""Tokens at which llama.cpp ends an answer."""


@dataclass(frozen=True)
class Setup:
    """A model and tokenizer of one family."""

    kind: Kind
    pre: Pre | None
    settings: dict[str, Any] = field(default_factory=dict)


SETUPS = {
    "nano": Setup("qwen3", "gpt2", {"num_attention_heads": 4, "num_key_value_heads": 1}),
    "qwen3": Setup("qwen3", "qwen2", {"tie_word_embeddings": False}),
    "qwen3-yarn": Setup(
        "qwen3",
        "smollm",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10_000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "attention_factor": 1.5,
            }
        },
    ),
    "qwen2": Setup("qwen2", "qwen2"),
    "llama3": Setup(
        "llama",
        "llama3",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "llama2": Setup("llama", None),
    "llama-linear": Setup(
        "llama",
        "smaug",
        {
            "tie_word_embeddings": True,
            "num_key_value_heads": 4,
            "rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0},
        },
    ),
    "gemma3": Setup("gemma3", None),
    "gemma3-scaled": Setup(
        "gemma3",
        None,
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            },
            "final_logit_softcapping": 30.0,
        },
    ),
}


@dataclass(frozen=True)
class Made:
    """The model in both forms."""

    tokenizer: Any
    model: Any
    f16: Path
    client: httpx.Client


@pytest.fixture(scope="module", params=list(SETUPS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    setup, folder = SETUPS[request.param], tmp_path_factory.mktemp(request.param)
    if setup.pre is None:
        raw = gemma_tokenizer(prefix=setup.kind == "llama")
        roles = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    else:
        raw = byte_level_tokenizer(setup.pre, added=PAIRS + ACTIONS)
        roles = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        roles |= {"bos_token": "<|endoftext|>"} if setup.pre == "llama3" else {}
    tokenizer = save_tokenizer(raw, folder, **roles)
    model = save_model(setup.kind, folder, rows=raw.get_vocab_size() + 13, **setup.settings)
    f16 = folder / "model-f16.gguf"
    write_gguf(folder, f16, metadata={"general.name": request.param, "drivecoach.system": "你是教练。"})
    with llamacpp(f16) as client:
        yield Made(tokenizer, model, f16, client)


def test_token_ids_are_the_tokenizers_own(made: Made) -> None:
    nfc = made.tokenizer.backend_tokenizer.normalizer is not None
    texts = [unicodedata.normalize("NFC", text) if nfc else text for text in odd_texts(400)]
    expected = made.tokenizer(texts)["input_ids"]
    wrong = [
        (text, ids, found)
        for text, ids in zip(texts, expected, strict=True)
        if (found := token_ids(made.client, text)) != ids
    ]
    assert wrong == []


def test_tokens_turn_back_into_the_text(made: Made) -> None:
    """Added tokens are text like any other, also where control tokens are not shown."""
    text = '挡位:1挡; It\'s  the 前方路口\n\n🚗 {"动作": ["松油门"], "级别": "提示"}'
    ids = made.tokenizer(text, add_special_tokens=False)["input_ids"]
    answer = made.client.post("/detokenize", json={"tokens": ids}).raise_for_status().json()
    assert answer["content"] == made.tokenizer.decode(ids)
    if not read_metadata(made.f16).get("tokenizer.ggml.add_space_prefix"):
        assert answer["content"] == text


def test_user_text_without_control_tokens_stays_text(made: Made) -> None:
    """With the reading of control tokens off, no text becomes one; added tokens are still found."""
    text = "挡位:1挡; 松油门"
    assert token_ids(made.client, text, special=False) == made.tokenizer(text)["input_ids"]
    control = set(made.tokenizer.all_special_ids)
    bos = [made.tokenizer.bos_token_id] if made.tokenizer("")["input_ids"] else []
    for text in ("<|im_end|>", "a<|im_start|>b", "<bos><eos>", "<end_of_turn>"):
        found = token_ids(made.client, text, special=False)
        assert found[: len(bos)] == bos and not control & set(found[len(bos) :])


def test_greedy_answers_are_the_models_own(made: Made) -> None:
    """No token of llama.cpp's answers is worse for the original model than its best by more than rounding."""
    import torch

    prompts = ["前方路口有行人，请减速慢行。挡位:1挡; 车速:高; ", "The driver should slow down " * 6, "x"]
    ends = [made.tokenizer.convert_tokens_to_ids(token) for token in ENDS if token in made.tokenizer.get_vocab()]
    same = 0
    for text in prompts:
        prompt = made.tokenizer(text)["input_ids"]
        answer = greedy(made.client, prompt, 24)
        with torch.no_grad():
            logits = made.model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        logits[:, ends] = -torch.inf  # `greedy` goes on after the end of an answer
        loss = logits.max(dim=-1).values - logits[range(len(answer)), answer]
        assert loss.max() < 0.02 * logits[logits > -torch.inf].std()
        same += logits.argmax(dim=-1).tolist() == answer
    assert same >= 2  # a tie within rounding may turn one answer, not most


def test_quantized_files_load_and_stay_close(made: Made) -> None:
    import torch

    prompt = made.tokenizer("The driver should slow down before the crossing")["input_ids"]
    for kind in ("q8_0", "q4_K_M"):
        target = made.f16.with_name(f"{kind}.gguf")
        quantize(made.f16, target, kind)  # type: ignore[arg-type]
        with llamacpp(target) as client:
            answer = greedy(client, prompt, 1)
            assert token_ids(client, "前方路口 hello") == made.tokenizer("前方路口 hello")["input_ids"]
        with torch.no_grad():
            logits = made.model(torch.tensor([prompt])).logits[0, -1]
        assert logits.max() - logits[answer[0]] < (0.5 if kind == "q8_0" else 2.5) * logits.std()


def test_metadata_is_what_llama_cpp_reports(made: Made) -> None:
    metadata = read_metadata(made.f16)
    assert metadata["drivecoach.system"] == "你是教练。"
    assert "tokenizer.chat_template" not in metadata
    assert metadata["tokenizer.ggml.eos_token_id"] == made.tokenizer.eos_token_id
    assert metadata["general.file_type"] == 1
    shapes = {name: shape for name, _, shape in describe(made.f16)}
    tied = made.model.config.tie_word_embeddings
    assert ("output.weight" in shapes) == (not tied)
    assert shapes["token_embd.weight"] == (made.model.config.hidden_size, made.model.config.vocab_size)
    loaded = made.client.get("/v1/models").raise_for_status().json()["data"][0]["meta"]
    assert loaded["n_vocab"] == made.model.config.vocab_size
    assert loaded["n_embd"] == made.model.config.hidden_size
