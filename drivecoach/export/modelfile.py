"""The Modelfile, written from the same chat definition that training used."""

from __future__ import annotations

import re

from drivecoach.chat import CLOSING, NO_THINKING, OPENING, Chat, chat_of
from drivecoach.config import ExportConfig, Recipe
from drivecoach.domain import AnyDomain
from drivecoach.errors import RecipeError

_QUOTES = '"""'


def make_chat(recipe: Recipe, domain: AnyDomain) -> Chat:
    """How the recipe's model is spoken to, found fit before anything is trained.

    Raises RecipeError for a template that is missing or cannot be learned, and a system message that cannot be served.
    """
    chat = chat_of(recipe.chat, domain)
    check_text("chat.system", chat.system)
    check_text("chat.template", go_template(chat))
    return chat


def go_template(chat: Chat) -> str:
    """Ollama's TEMPLATE (Go text/template) that renders what ``chat.prompt`` renders, whatever the conversation.

    It is put together from the texts around the turns in the Jinja template, so there is no second copy to keep. It
    ranges over ``.Messages``: ``.Prompt`` and ``.Response`` are simpler, but Ollama then fills the template anew for
    each turn and puts an empty user turn before a conversation that the assistant opens.
    A model that thinks must name ``.Thinking`` between two marks, and within the range: by that Ollama knows one,
    splits the reasoning off, and takes ``think``. It is never rendered, because training leaves the reasoning of
    earlier turns out. Source: Ollama's docs/template.md, template/template.go and thinking/template.go.
    """
    turns = chat.family.turns
    system, user, assistant = (tuple(map(_literal, around)) for around in (turns.system, turns.user, turns.assistant))
    content = "{{ .Content }}"
    if turns.inside:
        keep = '{{ $system := "" }}'
        system_turn = "{{ $system = .Content }}"
        pending = "{{ if $system }}" + system[0] + "{{ $system }}" + system[1] + '{{ $system = "" }}{{ end }}'
    else:
        keep, system_turn, pending = "", system[0] + content + system[1], ""
    reasoning, no_reasoning = "", ""
    if chat.thinking != "strip":
        reasoning = "{{ if false }}" + OPENING + "{{ .Thinking }}" + CLOSING + "{{ end }}"
        no_reasoning = "{{ if and .IsThinkSet (not .Think) }}" + NO_THINKING + "{{ end }}"
    bare = _literal(turns.without_system)
    return "".join(
        (
            _literal(turns.start),
            "{{ if not .System }}" + bare + "{{ end }}" if bare else "",
            keep,
            '{{ range .Messages }}{{ if and (eq .Role "system") .Content }}' + system_turn,
            '{{ else if eq .Role "user" }}' + user[0] + pending + content + user[1],
            '{{ else if eq .Role "assistant" }}' + assistant[0] + reasoning + content + assistant[1],
            "{{ end }}{{ end }}" + _literal(turns.opening) + no_reasoning,
        )
    )


def _literal(text: str) -> str:
    """Text as a Go template says it: braces would open an action."""
    return re.sub(r"\{+", lambda braces: '{{ "' + braces[0] + '" }}', text)


def parameters(chat: Chat, export: ExportConfig) -> dict[str, str | int | float]:
    """The generation parameters that the served model has by default, by Ollama's names."""
    return {
        "stop": chat.end,
        "temperature": export.temperature,
        "num_ctx": export.num_ctx,
        "num_predict": export.num_predict,
    }


def check_text(key: str, text: str) -> None:
    """Raise RecipeError for a text of the recipe that a Modelfile cannot hold as it is."""
    if _QUOTES in text:
        raise RecipeError(f"{key} holds {_QUOTES}, which ends a text in a Modelfile", hint="use other quotation marks")
    lost = sorted({ascii(c)[1:-1] for c in text if not (c.isprintable() or c in "\t\r\n")})
    if lost:  # Ollama's parser (parser/parser.go) leaves out what is not printable
        raise RecipeError(
            f"{key} holds {', '.join(lost)}, which Ollama drops from a Modelfile",
            hint="use plain spaces and no invisible characters",
        )


def render(chat: Chat, export: ExportConfig, gguf: str, license: str) -> str:
    """The Modelfile for the GGUF file named ``gguf`` in the same folder; raises as `check_text` does."""
    template = go_template(chat)
    check_text("chat.system", chat.system)
    check_text("chat.template", template)
    lines = [
        f"FROM ./{gguf}",
        f"TEMPLATE {_QUOTES}{template}{_QUOTES}",
        *([f"SYSTEM {_QUOTES}{chat.system}{_QUOTES}"] if chat.system else []),
        *(f"PARAMETER {name} {value}" for name, value in parameters(chat, export).items()),
        f"LICENSE {_QUOTES}{license}{_QUOTES}",
    ]
    return "\n".join(lines) + "\n"
