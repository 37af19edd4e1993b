"""ChatML as Qwen3 reads it: messages to a prompt, an output to a completion, a raw answer to its parts.

The Jinja source is kept minimal on purpose (no tools, no think tags): Ollama silently replaces a Modelfile's
TEMPLATE by a GGUF's own template when that one names tools or thinking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Literal

from jinja2.sandbox import ImmutableSandboxedEnvironment

from drivecoach.errors import Fault, InputError

END = "<|im_end|>"
"""Ends every turn; the model learns to say it, and every runtime stops on it."""
PAD = "<|endoftext|>"
CONTROL_TOKENS = (PAD, "<|im_start|>", END)

_CONTROL_LIKE = re.compile(r"<\|[^<>|\s]{1,64}\|>|</?think>")
_THINKING = re.compile(r"\s*<think>(?P<thinking>.*?)</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A raw answer taken apart: the reasoning (empty when there was none) and the answer proper."""

    thinking: str
    text: str


@dataclass(frozen=True)
class Chat:
    """How one model is spoken to; the same object writes training rows, prompts and the Modelfile."""

    system: str
    thinking: Literal["strip", "keep"] = "strip"

    def __post_init__(self) -> None:
        refuse_control_tokens("system", self.system)

    @cached_property
    def source(self) -> str:
        """The Jinja source that goes into the tokenizer and the GGUF."""
        return files("drivecoach.chat").joinpath("templates/chatml.jinja").read_text("utf-8").strip("\n")

    def prompt(self, user: str) -> str:
        """The text a model continues, up to and with the opening of the assistant's turn.

        Raises InputError when ``user`` holds control tokens: a server would read them as turns of the chat.
        """
        refuse_control_tokens("input", user)
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages.append({"role": "user", "content": user})
        return str(self._template.render(messages=messages, add_generation_prompt=True))

    def completion(self, output: str) -> str:
        """The text a model learns to answer for a pair's ``output``, ended by the end-of-turn token."""
        answer = split(output)
        refuse_control_tokens("output", answer.text)
        refuse_control_tokens("output", answer.thinking)
        if self.thinking == "keep" and answer.thinking:
            return f"<think>\n{answer.thinking}\n</think>\n\n{answer.text}{END}"
        return answer.text + END

    @cached_property
    def _template(self):  # type: ignore[no-untyped-def]  # jinja2 types its environments as Any
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(self.source)


def split(text: str) -> Answer:
    """Take a raw answer apart; an unclosed ``<think>`` is all reasoning and no answer."""
    match = _THINKING.match(text)
    if match:
        return Answer(match["thinking"].strip(), text[match.end() :].strip())
    if text.lstrip().startswith("<think>"):
        return Answer(text.lstrip().removeprefix("<think>").strip(), "")
    return Answer("", text.strip())


def refuse_control_tokens(where: str, text: str) -> None:
    """Raise InputError naming every piece of ``text`` that a tokenizer would read as a control token."""
    found = sorted(set(_CONTROL_LIKE.findall(text)))
    if found:
        raise InputError(
            f"{where} holds control tokens",
            faults=[Fault(where, token, "plain text without <|…|> and <think> marks") for token in found],
            hint="remove them; they would be read as turns of the chat",
        )
