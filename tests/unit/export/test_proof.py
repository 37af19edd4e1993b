"""The proof finds every way in which a server can ask otherwise than training did, and nothing where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import FAMILIES, Chat, Message, Thinking, family
from drivecoach.chat.template import split
from drivecoach.domains.driving import DRIVING
from drivecoach.export.modelfile import go_template
from drivecoach.export.proof import FULL, HOSTILE, QUICK, Counts, compare_answers, compare_prompts, comparisons
from tests.support.go_template import rendered
from tests.support.scripted_model import write_scripted_gguf

INPUTS = [f"<特征>速度:静止{number}</特征>" for number in range(12)]
NO_NEWLINE = (
    '{{ range .Messages }}{{ if and (eq .Role "system") .Content }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
    '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
    '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>'  # no newline after an answer
    "{{ end }}{{ end }}<|im_start|>assistant\n"
)


class Server:
    """An Ollama that renders a template, and whose models answer with one text."""

    def __init__(self, chat: Chat, template: str | None = None, answer: str = "", **spoil: Any) -> None:
        self.chat, self.template, self.answer_text, self.spoil = chat, template or go_template(chat), answer, spoil
        self.thinks = chat.thinking != "strip"

    def render(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> str | None:
        assert chat or sum(turn["role"] == "user" for turn in turns) == 1, "/api/generate takes one question"
        assert self.thinks or not think, "refused with 400"
        if "blind" in self.spoil:
            return None
        if self.spoil.get("keeps its system"):
            turns = [turn for turn in turns if turn["role"] != "system"]
        told = True if think is None and self.thinks else think
        return rendered(self.template, turns, system=self.chat.system, think=told)

    def prompt_tokens(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> int:
        return 1

    def answer(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> tuple[str, str]:
        if not self.thinks or think is False:
            return "", self.answer_text
        parts = split(self.answer_text)
        return parts.thinking, parts.text


@pytest.mark.parametrize("thinking", ["strip", "keep", "mixed"])
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("system", ["", "教练"])
def test_our_template_is_training_for_every_think_and_endpoint(name: str, thinking: Thinking, system: str) -> None:
    chat = Chat(system, thinking, family(name))
    moved: list[None] = []
    host: Any = Server(chat)
    for counts in (QUICK, FULL):
        count, by, faults = compare_prompts(
            host, "m", chat, Path("none.gguf"), INPUTS, counts, lambda: moved.append(None)
        )
        assert (by, faults) == ("text", [])
        assert count == len(moved)
        assert count + len(INPUTS[: counts.answers]) * (2 if thinking == "strip" else 4) == comparisons(
            chat, INPUTS, counts
        )
        assert count > min(counts.states, len(INPUTS)) + len(HOSTILE)
        moved.clear()


def test_a_newline_that_is_missing_after_an_answer_is_found() -> None:
    chat = Chat("教练")
    host: Any = Server(chat, NO_NEWLINE)
    faults = compare_prompts(host, "m", chat, Path("none.gguf"), INPUTS, QUICK)[2]
    assert faults and all("/api/chat" in fault.where for fault in faults)
    told = " ".join(fault.where for fault in faults)
    for one in ("turn 2:", "turn 3:", "turn 2 with a system message", "turn 3 with a system message", "think=False"):
        assert one in told
    assert not any("turn 1" in fault.where for fault in faults)


def test_a_server_that_keeps_its_own_system_message_is_found() -> None:
    chat = Chat("教练")
    host: Any = Server(chat, **{"keeps its system": True})
    told = [fault.where for fault in compare_prompts(host, "m", chat, Path("none.gguf"), INPUTS, QUICK)[2]]
    assert told and all("with a system message" in where for where in told)
    assert {where.split()[0] for where in told} == {"/api/chat", "/api/generate"}


def test_one_input_is_enough_and_twenty_hostile_texts_are_added() -> None:
    chat = Chat("")
    host: Any = Server(chat)
    count, _, faults = compare_prompts(host, "m", chat, Path("none.gguf"), INPUTS[:1], FULL)
    assert not faults and count > len(set(HOSTILE)) == 20


@pytest.mark.parametrize("thinking", ["strip", "mixed"])
def test_reasoning_in_an_answer_is_text_unless_the_model_thinks(thinking: Thinking, tmp_path: Path) -> None:
    answer = "<think>\n慢\n</think>\n\n松开油门"
    chat = Chat(DRIVING.system, thinking)
    pieces = ("<think>\n", "慢\n</think>\n\n")
    gguf = write_scripted_gguf(tmp_path / "m.gguf", answer, chat=chat, pieces=pieces)
    moved: list[None] = []
    counts = Counts(states=1, conversations=1, answers=2)
    host: Any = Server(chat, answer=answer)
    faults = compare_answers(host, "m", chat, gguf, INPUTS, counts, lambda: moved.append(None))
    # What the scripted model answers to think=False is nothing: it knows one prompt's end only.
    assert not [fault for fault in faults if "think=None" in fault.where]
    assert len(moved) == (4 if thinking == "strip" else 8)
    host = Server(chat, answer="<think>\n慢\n</think>\n\n踩刹车")
    assert compare_answers(host, "m", chat, gguf, INPUTS[:1], counts)


def test_a_server_that_shows_no_prompt_is_compared_by_tokens(tmp_path: Path) -> None:
    chat = Chat("")
    gguf = write_scripted_gguf(tmp_path / "m.gguf", "松开油门", chat=chat)
    host: Any = Server(chat, blind=True)
    moved: list[None] = []
    count, by, faults = compare_prompts(host, "m", chat, gguf, INPUTS[:1], QUICK, lambda: moved.append(None))
    assert by == "tokens" and 0 < len(faults) <= count < len(moved)
