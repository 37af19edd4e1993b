"""The chat forms of model families: a Jinja template, the token that ends a turn, and what no text may hold.

The templates are kept minimal on purpose (no tools, no think tags): Ollama silently replaces a Modelfile's TEMPLATE
by a GGUF's own template when that one names tools or thinking. ``bos_token`` stands where a family has one; it is
empty when we render, because the tokenizer (and llama.cpp) puts it in front by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from drivecoach.chat.turns import Message, NotTurnByTurn, Turns, take_apart
from drivecoach.errors import Fault, RecipeError

THINK_MARKS = r"</?(?:think|tool_call|tool_response)>"
"""What Qwen writes around reasoning and tools: single tokens of its vocabulary too, though not marked as control."""
_ANGLE = r"<\|[^<>|\s]{1,64}\|>"
_SENTENCEPIECE = r"</?s>|<(?:bos|eos|pad|unk|mask|start_of_turn|end_of_turn|start_of_image|end_of_image)>"
_NAMED = re.compile(r"<\|[^<>|\s]{1,64}\|>|<[a-z_]{2,32}>|</s>")


@dataclass(frozen=True)
class Family:
    """How one family of models writes a conversation."""

    name: str
    source: str
    """The Jinja source that goes into the tokenizer and the GGUF."""
    end: str
    """The token that ends a turn: the model learns to say it, and every runtime stops on it."""
    control: str
    """A regular expression of what this family's tokenizers read as control tokens."""
    shipped: Turns | None = None
    """What the template is taken apart into, where that is known: then an answer needs no Jinja."""

    def render(self, messages: list[Message], *, answer: bool) -> str:
        """The conversation as text; with ``answer``, up to the opening of the assistant's turn."""
        return str(self._template.render(messages=messages, add_generation_prompt=answer, bos_token=""))

    def prompt(self, messages: list[Message]) -> str:
        """`render` up to the opening of the assistant's turn: by the texts around turns, which is ten times as fast."""
        if self._plain is None:
            return self.render(messages, answer=True)
        return self._plain.render(messages)

    @cached_property
    def _plain(self) -> Turns | None:
        try:
            return self.turns
        except NotTurnByTurn:
            return None

    @cached_property
    def turns(self) -> Turns:
        """The template taken apart; raises NotTurnByTurn for one that cannot be."""
        return self.shipped or take_apart(lambda messages, answer: self.render(messages, answer=answer))

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(self.source)


_FAMILIES = {
    # Qwen2, Qwen3 and most others
    "chatml": (
        "<|im_end|>",
        _ANGLE,
        Turns(
            system=("<|im_start|>system\n", "<|im_end|>\n"),
            user=("<|im_start|>user\n", "<|im_end|>\n"),
            assistant=("<|im_start|>assistant\n", "<|im_end|>\n"),
            opening="<|im_start|>assistant\n",
        ),
    ),
    # Gemma 2 and 3: the assistant is called model, the system message stands at the head of the first user turn
    "gemma": (
        "<end_of_turn>",
        f"{_ANGLE}|{_SENTENCEPIECE}",
        Turns(
            system=("", "\n\n"),
            inside=True,
            user=("<start_of_turn>user\n", "<end_of_turn>\n"),
            assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
            opening="<start_of_turn>model\n",
        ),
    ),
    # Llama 3
    "llama3": (
        "<|eot_id|>",
        _ANGLE,
        Turns(
            system=("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
            user=("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
            assistant=("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
            opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ),
}
"""The token that ends a turn, what is read as control tokens, and the turns; a test takes each template apart."""
FAMILIES = tuple(_FAMILIES)
ANY_CONTROL = re.compile(f"{_ANGLE}|{_SENTENCEPIECE}|{THINK_MARKS}")
"""What a tokenizer of any family reads as a control token."""


@cache
def family(name: str) -> Family:
    """The family ``name``; raises RecipeError that lists the known ones."""
    if name not in _FAMILIES:
        raise RecipeError(
            f"there is no chat template {name!r}",
            hint=f"choose one of: {', '.join(FAMILIES)}; or name a file that ends in .jinja, with chat.end",
        )
    end, control, turns = _FAMILIES[name]
    source = files("drivecoach.chat").joinpath(f"templates/{name}.jinja").read_text("utf-8").strip("\n")
    return Family(name, source, end, f"{control}|{THINK_MARKS}", turns)


def read_family(template: str, end: str | None) -> Family:
    """A family by name, or one's own: a ``.jinja`` file and its end-of-turn token.

    Raises RecipeError for a file that is missing, is no Jinja, or has no assistant turn to learn.
    """
    if not template.endswith(".jinja"):
        return family(template)
    try:
        source = Path(template).read_text("utf-8").strip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read chat.template {template}: {error}", hint="name a UTF-8 file") from None
    if not end:
        raise RecipeError(f"chat.template {template} needs chat.end", hint="e.g. chat.end: '<|im_end|>'")
    return own_family(source, end, template)


def own_family(source: str, end: str, name: str = "own") -> Family:
    """A family from its Jinja source, checked: it shows every turn as it is, and opens and ends the assistant's."""
    from jinja2.exceptions import TemplateError

    named = sorted({end, *_NAMED.findall(source)})
    control = "|".join([*map(re.escape, named), _ANGLE, _SENTENCEPIECE, THINK_MARKS])
    made = Family(name, source, end, control)
    user: Message = {"role": "user", "content": "\0u"}
    said: Message = {"role": "assistant", "content": "\0a"}
    try:
        asked, opened = made.render([user], answer=False), made.render([user], answer=True)
        told = made.render([user, said], answer=False)
    except TemplateError as error:
        raise RecipeError(f"chat template {name} is not valid Jinja: {error}", hint="correct that place") from None
    faults = []
    if "\0u" not in asked:
        faults.append(Fault("user turn", "not rendered", "message['content'] of every message"))
    if opened == asked:
        faults.append(Fault("assistant turn", "not opened", "{% if add_generation_prompt %} … {% endif %}"))
    if not told.startswith(opened + "\0a" + end):
        faults.append(Fault("assistant turn", "missing", f"the opening, the content, then {end}"))
    if not faults:
        try:
            _ = made.turns
        except (NotTurnByTurn, TemplateError) as error:
            faults.append(Fault("conversation", str(error), "each message's content, whole, between fixed texts"))
    if faults:
        raise RecipeError(
            f"chat template {name} lacks what training needs",
            faults=faults,
            hint="compare it with the templates in drivecoach/chat/templates",
        )
    return made
