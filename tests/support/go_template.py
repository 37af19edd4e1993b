"""What Ollama makes of a TEMPLATE: the part of Go's text/template that we write, and how Ollama fills it.

Source: pkg.go.dev/text/template and Ollama's docs/template.md. `tests/contract/test_modelfile_in_ollama.py` holds it
against a real server; anything that it does not know is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|:=|[()]|\$?\.?[A-Za-z_][\w.]*|=|\$)')
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}


def rendered(template: str, turns: Sequence[Mapping[str, str]], *, system: str = "", think: bool | None = None) -> str:
    """The prompt of a conversation; ``system`` is the model's own, ``think`` None leaves it out of the request."""
    messages = [dict(turn) for turn in turns]
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    told = "\n\n".join(turn["content"] for turn in messages if turn["role"] == "system")
    joined: list[dict[str, str]] = []
    for turn in messages:
        if joined and joined[-1]["role"] == turn["role"]:
            joined[-1]["content"] += "\n\n" + turn["content"]
        else:
            joined.append(turn)
    values = {
        "System": told,
        "Messages": [{"Thinking": "", **{key.title(): text for key, text in turn.items()}} for turn in joined],
        "Think": bool(think),
        "IsThinkSet": think is not None,
    }
    return GoTemplate(template).execute(values)


class GoTemplate:
    """A template of text, values, ``if``, ``range`` and variables."""

    def __init__(self, source: str) -> None:
        self._pieces = re.split(r"\{\{(.*?)\}\}", source, flags=re.DOTALL)
        self._at = 0
        self._body, end = self._list()
        if end or self._at < len(self._pieces):
            raise ValueError(f"{end!r} closes nothing")

    def execute(self, values: Mapping[str, Any]) -> str:
        """The text for the top-level ``values``."""
        return self._run(self._body, values, {})

    def _list(self) -> tuple[list[Any], str]:
        """Nodes up to an ``else`` or ``end``, and that action."""
        nodes: list[Any] = []
        while self._at < len(self._pieces):
            piece, action = self._pieces[self._at], self._at % 2
            self._at += 1
            if not action:
                nodes.append(piece)
                continue
            words = piece.strip()
            if words == "end" or words.startswith("else"):
                return nodes, words
            nodes.append(self._branch(words) if words.startswith(("if ", "range ")) else tokens(words))
        return nodes, ""

    def _branch(self, words: str) -> tuple[str, list[str], list[Any], list[Any]]:
        kind, pipe = words.split(maxsplit=1)
        body, end = self._list()
        other: list[Any] = []
        if end.startswith("else if "):
            other, end = [self._branch(end.removeprefix("else "))], "end"  # one end closes both
        elif end == "else":
            other, end = self._list()
        if end != "end":
            raise ValueError(f"{words!r} is not closed")
        return kind, tokens(pipe), body, other

    def _run(self, nodes: Sequence[Any], dot: Any, variables: dict[str, Any]) -> str:
        text = ""
        for node in nodes:
            if isinstance(node, str):
                text += node
            elif isinstance(node, list):
                if len(node) > 1 and node[1] in (":=", "="):
                    if (node[1] == "=") != (node[0] in variables):
                        raise ValueError(f"{node[0]} is declared by := and then set by =")
                    variables[node[0]] = value(node[2:], dot, variables)
                else:
                    text += str(value(node, dot, variables))
            else:
                kind, pipe, body, other = node
                found = value(pipe, dot, variables)
                dots = ([dot] if found else []) if kind == "if" else list(found)
                text += "".join(self._run(body, each, variables) for each in dots)
                text += "" if dots else self._run(other, dot, variables)
        return text


def tokens(words: str) -> list[str]:
    """The tokens of an action."""
    found, at = [], 0
    while at < len(words.rstrip()):
        match = _TOKEN.match(words, at)
        if match is None:
            raise ValueError(f"unknown in an action: {words[at:]!r}")
        found.append(match[1])
        at = match.end()
    return found


def value(words: Sequence[str], dot: Any, variables: Mapping[str, Any]) -> Any:
    """The value of a pipeline without pipes: one operand, or a function and its operands."""
    operands: list[Any] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "(":
            depth, end = 1, 0
            while depth:
                depth += {"(": 1, ")": -1}.get(rest[end], 0)
                end += 1
            operands.append(value(rest[: end - 1], dot, variables))
            rest = rest[end:]
        elif word.startswith('"'):
            operands.append(re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], word[1:-1]))
        elif word.startswith("."):
            operands.append(dot[word[1:]])
        elif word.startswith("$"):
            operands.append(variables[word])
        elif word in ("true", "false"):
            operands.append(word == "true")
        elif not operands and word in _FUNCTIONS:
            operands.append(_FUNCTIONS[word])
        else:
            raise ValueError(f"unknown in an action: {word!r}")
    return operands[0](*operands[1:]) if callable(operands[0]) else operands[0]


_FUNCTIONS = {
    "eq": lambda a, b: a == b,
    "not": lambda a: not a,
    "and": lambda *all_of: next((each for each in all_of if not each), all_of[-1]),
}
