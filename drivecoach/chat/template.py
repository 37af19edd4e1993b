"""A model's way of being spoken to: messages to a prompt, an output to a completion, a raw answer to its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from drivecoach.chat.family import ANY_CONTROL, FAMILIES, Family, family, own_family, read_family
from drivecoach.chat.turns import Message
from drivecoach.errors import Fault, InputError
from drivecoach.text import fraction

if TYPE_CHECKING:
    from drivecoach.config import ChatConfig
    from drivecoach.domain import AnyDomain

END = "<|im_end|>"
"""Ends a turn of ChatML, the form of the embedded default."""
PAD = "<|endoftext|>"
CONTROL_TOKENS = (PAD, "<|im_start|>", END)

Thinking = Literal["strip", "keep", "mixed"]

OPENING, CLOSING = "<think>", "</think>"
"""The marks around reasoning."""
NO_THINKING = f"{OPENING}\n\n{CLOSING}\n\n"
"""Opens the answer of a model that can think but shall not: Qwen3's own way, and what Ollama's think: false renders."""

_HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair: JSON can hold one, but no tokenizer or server can read it."""

_THINKING = re.compile(r"\s*<think>(?P<thinking>.*?)</think>\s*", re.DOTALL)


CHATML = family("chatml")


@dataclass(frozen=True)
class Parts:
    """A raw answer taken apart: the reasoning (empty when there was none) and the answer proper."""

    thinking: str
    text: str


@dataclass(frozen=True)
class Chat:
    """How one model is spoken to; the same object writes training rows, prompts and the Modelfile."""

    system: str
    thinking: Thinking = "strip"
    """``strip``: it never thinks; ``keep``: always where it was taught; ``mixed``: on or off per request."""
    family: Family = CHATML
    thinking_share: float = 0.5
    """``mixed``: of the rows that hold reasoning, the share that is taught with it."""

    def __post_init__(self) -> None:
        self.refuse("system", self.system)

    @property
    def source(self) -> str:
        """The Jinja source that goes into the tokenizer and the GGUF."""
        return self.family.source

    @property
    def end(self) -> str:
        """The token that ends a turn."""
        return self.family.end

    def prompt(self, user: str, history: Sequence[Message] = (), *, think: bool = True) -> str:
        """The text a model continues, up to and with the opening of the assistant's turn.

        ``history`` are the turns before ``user``; a system message at its head replaces the model's own, an empty one
        by none. Messages of one role in a row are one, joined by an empty line: so Ollama hands them to a template.
        ``think=False`` tells a model that can think to answer at once.
        Raises InputError when a turn holds control tokens: a server would read them as turns of the chat.
        """
        messages: list[Message] = [*history, {"role": "user", "content": user}]
        for message in messages:
            self.refuse("input" if message["role"] == "user" else message["role"], message["content"])
        if self.system and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self.system})
        joined: list[Message] = []
        for message in messages:
            if joined and joined[-1]["role"] == message["role"]:
                message = {"role": message["role"], "content": f"{joined.pop()['content']}\n\n{message['content']}"}
            joined.append(message)
        said = [message for message in joined if message["content"] or message["role"] != "system"]
        opened = self.family.prompt(said)
        return opened if think or self.thinking == "strip" else opened + NO_THINKING

    def completion(self, output: str, *, think: bool = True) -> str:
        """The text a model learns to answer for a pair's ``output``, ended by the end-of-turn token."""
        answer = split(output)
        self.refuse("output", answer.text)
        self.refuse("output", answer.thinking)
        if self.thinking != "strip" and think and answer.thinking:
            return f"<think>\n{answer.thinking}\n</think>\n\n{answer.text}{self.end}"
        return answer.text + self.end

    def thinks(self, key: str, output: str) -> bool:
        """Whether a row is taught to think: with ``mixed``, those that reason do by a hash of their ``key``."""
        if self.thinking != "mixed":
            return True
        if not split(output).thinking:
            return False
        return fraction("think", key) < self.thinking_share

    def metadata(self) -> dict[str, str]:
        """The fields that a GGUF keeps of this chat, beside the template that every GGUF has."""
        return {
            "drivecoach.system": self.system,
            "drivecoach.thinking": self.thinking,
            "drivecoach.template": self.family.name,
            "drivecoach.end": self.end,
        }

    @classmethod
    def from_metadata(cls, fields: Mapping[str, Any]) -> Chat:
        """The chat that a GGUF was exported with; raises KeyError where it does not say."""
        name = fields.get("drivecoach.template", "chatml")
        known = family(name) if name in FAMILIES else None
        spoken = known or own_family(fields["tokenizer.chat_template"], fields["drivecoach.end"], name)
        return cls(fields["drivecoach.system"], fields["drivecoach.thinking"], spoken)

    def refuse(self, where: str, text: str) -> None:
        """Raise InputError naming every piece of ``text`` that this model reads as a control token."""
        refuse_control_tokens(where, text, re.compile(self.family.control))


def chat_of(settings: ChatConfig, domain: AnyDomain) -> Chat:
    """The chat of a recipe for ``domain``. Raises RecipeError for a template that is missing or cannot be learned."""
    system = domain.system if settings.system is None else settings.system
    return Chat(system, settings.thinking, read_family(settings.template, settings.end), settings.thinking_share)


def split(text: str) -> Parts:
    """Take a raw answer apart; an unclosed ``<think>`` is all reasoning and no answer."""
    match = _THINKING.match(text)
    if match:
        return Parts(match["thinking"].strip(), text[match.end() :].strip())
    if text.lstrip().startswith("<think>"):
        return Parts(text.lstrip().removeprefix("<think>").strip(), "")
    return Parts("", text.strip())


def refuse_control_tokens(where: str, text: str, control: re.Pattern[str] = ANY_CONTROL) -> None:
    """Raise InputError naming every piece of ``text`` that a tokenizer reads as a control token, or not at all.

    ``control`` says which; by default what any family of models has.
    """
    if not (control.search(text) or _HALF.search(text)):
        return
    found = sorted({*control.findall(text), *(ascii(half)[1:-1] for half in _HALF.findall(text))})
    raise InputError(
        f"{where} holds control tokens or half characters",
        faults=[Fault(where, token, "plain text without control tokens and <think> marks") for token in found],
        hint="remove them; they would be read as turns of the chat",
    )
