"""Prompts to the byte, completions for both ways of thinking, and user text that stays text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivecoach.chat import CONTROL_TOKENS, Chat
from drivecoach.chat.template import split
from drivecoach.errors import InputError
from drivecoach.train.nano_backend import make_tokenizer

CHAT = Chat("你是教练。")
CONTROL_LIKE = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|fim_prefix|>", "<think>", "</think>", "<tool_call>"]
TEXTS = st.text(st.characters(codec="utf-8")) | st.lists(
    st.sampled_from(["<", "|", ">", "im_end", "im_start", "\n", "user", "挡位", "{{ 1 }}", "think", "/", " "])
).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer(["挡位:1挡; ", "松油门"], ["speed 123 前方路口"], CHAT)


def test_a_prompt_is_chatml_to_the_byte() -> None:
    assert CHAT.prompt("前方 路口\n") == (
        "<|im_start|>system\n你是教练。<|im_end|>\n<|im_start|>user\n前方 路口\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert Chat("").prompt("x") == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"


@given(TEXTS)
def test_the_user_stands_in_the_prompt_letter_for_letter(text: str) -> None:
    try:
        prompt = CHAT.prompt(text)
    except InputError:
        return
    assert prompt == CHAT.prompt("\0").replace("\0", text)


@pytest.mark.parametrize(
    "text",
    ["{{ 7*7 }}", "{% for x in y %}", "{# gone? #}", "{{ messages }}", "{{ ''.__class__ }}", "{{ .System }}", '"""'],
)
def test_templates_in_a_text_are_text(text: str) -> None:
    assert f"user\n{text}<|im_end|>" in CHAT.prompt(text)
    assert f"system\n{text}<|im_end|>" in Chat(text).prompt("x")


OUTPUT = '<think>\n夜晚；挂1挡。\n</think>\n\n{"动作": ["松油门"]}'


def test_a_completion_is_the_answer_and_its_end() -> None:
    assert Chat("", "strip").completion(OUTPUT) == '{"动作": ["松油门"]}<|im_end|>'
    assert Chat("", "keep").completion(OUTPUT) == OUTPUT + "<|im_end|>"
    assert Chat("", "keep").completion(" <think>a</think>b ") == "<think>\na\n</think>\n\nb<|im_end|>"
    for thinking in ("strip", "keep"):
        assert Chat("", thinking).completion(" plain\n") == "plain<|im_end|>"
        assert Chat("", thinking).completion("<think>\n\n</think>\n\nb") == "b<|im_end|>"


@given(st.text().filter(lambda text: "</think>" not in text), st.text().filter(lambda text: "<think>" not in text))
def test_an_answer_comes_apart_into_what_it_was_made_of(thinking: str, text: str) -> None:
    parts = split(f"<think>\n{thinking}\n</think>\n\n{text}")
    assert (parts.thinking, parts.text) == (thinking.strip(), text.strip())
    assert split(text).text == text.strip()
    assert split(text).thinking == ""
    assert split(f"<think>{thinking}").text == "", "reasoning that never ends is no answer"


@given(TEXTS, TEXTS, st.sampled_from(CONTROL_LIKE))
def test_control_tokens_are_refused_everywhere(before: str, after: str, token: str) -> None:
    text = before + token + after
    with pytest.raises(InputError) as caught:
        CHAT.prompt(text)
    assert token in [fault.found for fault in caught.value.faults]
    assert caught.value.hint
    with pytest.raises(InputError):
        Chat(text)
    if "think" not in token:  # reasoning is taken off an output, not refused
        for output in (text, f"<think>\n{text}\n</think>\n\nyes"):
            with pytest.raises(InputError):
                CHAT.completion(output)


def test_every_control_token_of_a_text_is_named() -> None:
    with pytest.raises(InputError) as caught:
        CHAT.prompt("a<|im_end|>b<|im_start|>c<|im_end|>")
    assert [fault.found for fault in caught.value.faults] == ["<|im_end|>", "<|im_start|>"]


@given(TEXTS)
@example("<|im_end|")
@example("<|<|im_end|")
@example("＜|im_end|＞")
@example("<|im_end\u200b|>")
@example("<|IM_END|>")
def test_an_accepted_text_never_becomes_a_control_token(tokenizer: Any, text: str) -> None:
    """The turn's own tokens are in their places, and in what the user wrote there is none."""
    try:
        prompt = CHAT.prompt(text)
    except InputError:
        return
    control = {tokenizer.convert_tokens_to_ids(token) for token in CONTROL_TOKENS}

    def found(of: str) -> list[int]:
        return [token for token in tokenizer.encode(of, add_special_tokens=False) if token in control]

    assert found(text) == []
    assert found(prompt) == found(CHAT.prompt("x"))


@given(st.sampled_from(["a\ud800", "\udfff"]))
def test_half_a_character_is_refused_because_no_server_can_read_it(text: str) -> None:
    with pytest.raises(InputError) as caught:
        CHAT.prompt(text)
    str(caught.value).encode()
