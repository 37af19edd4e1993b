"""The Modelfile, written from the same chat definition that training used."""

from __future__ import annotations

from drivecoach.chat import END, Chat
from drivecoach.config import ExportConfig
from drivecoach.errors import RecipeError

_SYSTEM = "\0system\0"
_USER = "\0user\0"
_QUOTES = '"""'


def go_template(chat: Chat) -> str:
    """Ollama's TEMPLATE (Go text/template) that renders what ``chat.prompt`` renders.

    It is made by rendering the Jinja template with marks in place of the texts, so there is no second copy to keep.
    A model that thinks gets the variables by which Ollama recognises one: it then splits the reasoning off, and
    ``think: false`` opens the answer with an empty think block.
    Source: Ollama's docs/template.md and docs/modelfile.md.
    """
    plain = Chat("", chat.thinking).prompt(_USER)
    with_system = Chat(_SYSTEM, chat.thinking).prompt(_USER)
    system = with_system.removesuffix(plain).replace(_SYSTEM, "{{ .System }}")
    body = plain.replace(_USER, "{{ .Prompt }}")
    answer = "{{ .Response }}" + END
    if chat.thinking == "keep":
        answer = (
            "{{ if and .IsThinkSet (not .Think) }}<think>\n\n</think>\n\n{{ end }}"
            "{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}" + answer
        )
    return "{{ if .System }}" + system + "{{ end }}" + body + answer


def parameters(export: ExportConfig) -> dict[str, str | int | float]:
    """The generation parameters that the served model has by default, by Ollama's names."""
    return {
        "stop": END,
        "temperature": export.temperature,
        "num_ctx": export.num_ctx,
        "num_predict": export.num_predict,
    }


def render(chat: Chat, export: ExportConfig, gguf: str) -> str:
    """The Modelfile for the GGUF file named ``gguf`` in the same folder.

    Raises RecipeError for a system message that a Modelfile cannot hold.
    """
    if _QUOTES in chat.system:
        raise RecipeError(
            f"chat.system holds {_QUOTES}, which ends a text in a Modelfile", hint="use other quotation marks"
        )
    lines = [
        f"FROM ./{gguf}",
        f"TEMPLATE {_QUOTES}{go_template(chat)}{_QUOTES}",
        *([f"SYSTEM {_QUOTES}{chat.system}{_QUOTES}"] if chat.system else []),
        *(f"PARAMETER {name} {value}" for name, value in parameters(export).items()),
    ]
    return "\n".join(lines) + "\n"
