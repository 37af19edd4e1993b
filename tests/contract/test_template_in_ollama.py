"""The TEMPLATE in a real Ollama: conversations reach the model as training renders them, whatever the family.

It also keeps `tests/support/go_template.py` honest, by which the same is tested where no Ollama runs.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import FAMILIES, Chat, Message, Thinking, family
from drivecoach.config import ExportConfig
from drivecoach.export.modelfile import go_template, parameters
from drivecoach.export.ollama import OllamaHost
from drivecoach.export.proof import FULL, Counts, compare_answers, compare_prompts
from tests.support.go_template import rendered
from tests.support.scripted_model import write_scripted_gguf

pytestmark = [
    pytest.mark.ollama,
    pytest.mark.skipif("OLLAMA_HOST" not in os.environ, reason="no Ollama (set OLLAMA_HOST)"),
]

REASONED = "<think>\n慢\n</think>\n\n松开油门"
INPUTS = [f"<特征>速度:静止{number}</特征>" for number in range(5)]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    pieces = ("<think>\n", "慢\n</think>\n\n")
    return write_scripted_gguf(folder / "m.gguf", REASONED, chat=Chat("教练"), pieces=pieces)


@pytest.fixture(scope="module", params=[(name, thinking) for name in FAMILIES for thinking in ("strip", "keep")])
def served(request: pytest.FixtureRequest, gguf: Path) -> Iterator[tuple[OllamaHost, str, Chat]]:
    name, thinking = request.param
    chat = Chat("教练\n只回答 {{ x }}", thinking, family(name))
    host, model = OllamaHost(), f"drivecoach-test-{secrets.token_hex(4)}"
    settings = parameters(chat, ExportConfig(num_ctx=256, num_predict=64))
    host.create(model, gguf, template=go_template(chat), system=chat.system, parameters=settings)
    yield host, model, chat
    host.http.request("DELETE", "/api/delete", json={"model": model})
    host.close()


def test_every_conversation_is_rendered_as_in_training(served: tuple[OllamaHost, str, Chat], gguf: Path) -> None:
    host, model, chat = served
    count, by, faults = compare_prompts(host, model, chat, gguf, INPUTS, FULL)
    assert (by, faults) == ("text", []) and count > 100


def test_a_template_names_thinking_or_nothing_but_completion(served: tuple[OllamaHost, str, Chat]) -> None:
    host, model, chat = served
    thinks = [] if chat.thinking == "strip" else ["thinking"]
    assert sorted(host.show(model).capabilities) == ["completion", *thinks]


def test_the_interpreter_of_our_tests_renders_what_ollama_renders(served: tuple[OllamaHost, str, Chat]) -> None:
    host, model, chat = served
    draw = random.Random(7)
    for _ in range(40):
        roles = [draw.choice(["system", "user", "assistant"]) for _ in range(draw.randrange(6))]
        turns: list[Message] = [{"role": role, "content": draw.choice(["", "a", " b\n"])} for role in roles]
        turns.append({"role": "user", "content": "q {{ .System }}"})
        for think in (None, False) if chat.thinking == "strip" else (None, True, False):
            told = True if think is None and chat.thinking != "strip" else think
            expected = rendered(go_template(chat), turns, system=chat.system, think=told)
            assert host.render(model, turns, think, chat=True) == expected
            assert think is False or expected == chat.prompt(turns[-1]["content"], turns[:-1])


def test_reasoning_that_a_client_sends_back_is_left_out(served: tuple[OllamaHost, str, Chat]) -> None:
    host, model, chat = served
    turns: list[Any] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking": "why"},
        {"role": "user", "content": "c"},
    ]
    history: list[Message] = [{"role": turn["role"], "content": turn["content"]} for turn in turns[:-1]]
    assert host.render(model, turns, None, chat=True) == chat.prompt("c", history)


@pytest.mark.parametrize("thinking", ["strip", "keep"])
def test_an_answer_with_reasoning_is_no_difference_for_either_kind(thinking: Thinking, gguf: Path) -> None:
    chat = Chat("教练", thinking)
    host, model = OllamaHost(), f"drivecoach-test-{secrets.token_hex(4)}"
    settings = parameters(chat, ExportConfig(num_ctx=256, num_predict=64))
    host.create(model, gguf, template=go_template(chat), system=chat.system, parameters=settings)
    try:
        faults = compare_answers(host, model, chat, gguf, INPUTS, Counts(1, 1, 4))
        assert not [fault for fault in faults if "think=None" in fault.where]
        reasoning, text = host.answer(model, [{"role": "user", "content": INPUTS[0]}], None, chat=True)
        assert (reasoning, text) == (("", REASONED) if thinking == "strip" else ("慢\n", "松开油门"))
    finally:
        host.http.request("DELETE", "/api/delete", json={"model": model})
        host.close()
