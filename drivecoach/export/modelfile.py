"""The Modelfile, written from the same chat definition that training used."""

from __future__ import annotations

from drivecoach.chat import NO_THINKING, Chat, Message
from drivecoach.config import ExportConfig
from drivecoach.errors import RecipeError

_SYSTEM = "\0system\0"
_USER = "\0user\0"
_ANSWER = "\0answer\0"
_QUOTES = '"""'


def go_template(chat: Chat) -> str:
    """Ollama's TEMPLATE (Go text/template) that renders what ``chat.prompt`` renders.

    It is made by rendering the Jinja template with marks in place of the texts, so there is no second copy to keep.
    A model that thinks gets the form by which Ollama recognises one (a range over ``.Messages`` with ``.Thinking``
    between two marks): it then splits the reasoning off, and ``think: false`` opens the answer with an empty think
    block. Source: Ollama's docs/template.md, docs/modelfile.md and thinking/template.go.
    """
    plain = Chat("", chat.thinking, chat.family).prompt(_USER)
    with_system = Chat(_SYSTEM, chat.thinking, chat.family).prompt(_USER)
    # What the system message adds stands somewhere before the part that both end with.
    same = next(length for length in range(len(plain), -1, -1) if with_system.endswith(plain[len(plain) - length :]))
    tail = plain[len(plain) - same :]
    head = plain.removesuffix(tail)
    system = with_system.removesuffix(tail).removeprefix(head).replace(_SYSTEM, "{{ .System }}")
    if chat.thinking == "strip":
        body = tail.replace(_USER, "{{ .Prompt }}")
        return head + "{{ if .System }}" + system + "{{ end }}" + body + "{{ .Response }}" + chat.end
    asked = chat.family.render([{"role": "user", "content": _USER}], answer=False)
    opening = plain.removeprefix(asked)
    told = chat.family.render([_said("user", _USER), _said("assistant", _ANSWER), _said("user", _USER)], answer=False)
    after = told.removeprefix(plain + _ANSWER).removesuffix(asked)
    user = asked.removeprefix(head).replace(_USER, "{{ .Content }}")
    return (
        '{{ $first := true }}{{ range .Messages }}{{ if eq .Role "user" }}'
        + head
        + "{{ if and $first $.System }}"
        + system.replace(".System", "$.System")
        + "{{ end }}{{ $first = false }}"
        + user
        + '{{ else if eq .Role "assistant" }}'
        + opening
        + "{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}{{ .Content }}"
        + after
        + "{{ end }}{{ end }}"
        + opening
        + "{{ if and .IsThinkSet (not .Think) }}"
        + NO_THINKING
        + "{{ end }}"
    )


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def parameters(chat: Chat, export: ExportConfig) -> dict[str, str | int | float]:
    """The generation parameters that the served model has by default, by Ollama's names."""
    return {
        "stop": chat.end,
        "temperature": export.temperature,
        "num_ctx": export.num_ctx,
        "num_predict": export.num_predict,
    }


def check_system(system: str) -> None:
    """Raise RecipeError for a system message that a Modelfile cannot hold as it is."""
    if _QUOTES in system:
        raise RecipeError(
            f"chat.system holds {_QUOTES}, which ends a text in a Modelfile", hint="use other quotation marks"
        )
    lost = sorted({ascii(c)[1:-1] for c in system if not (c.isprintable() or c in "\t\r\n")})
    if lost:  # Ollama's parser (parser/parser.go) leaves out what is not printable
        raise RecipeError(
            f"chat.system holds {', '.join(lost)}, which Ollama drops from a Modelfile",
            hint="use plain spaces and no invisible characters",
        )


def render(chat: Chat, export: ExportConfig, gguf: str) -> str:
    """The Modelfile for the GGUF file named ``gguf`` in the same folder; raises as `check_system` does."""
    check_system(chat.system)
    lines = [
        f"FROM ./{gguf}",
        f"TEMPLATE {_QUOTES}{go_template(chat)}{_QUOTES}",
        *([f"SYSTEM {_QUOTES}{chat.system}{_QUOTES}"] if chat.system else []),
        *(f"PARAMETER {name} {value}" for name, value in parameters(chat, export).items()),
    ]
    return "\n".join(lines) + "\n"
