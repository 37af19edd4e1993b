"""YAML into plain values: bounded in size, depth and repetition, with numbers as YAML 1.2 reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

LARGEST = 1 << 20
"""Characters of a recipe; the largest real ones have some thousands."""
_MOST, _DEEPEST = 10_000, 50
"""Values once every alias is written out, and lists and settings in one another."""

NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""What PyYAML raises: a ValueError for a date that does not exist, a RecursionError for text nested too deep."""


def parse(text: str) -> Any:
    """The value that ``text`` holds; raises one of NOT_YAML."""
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"longer than {LARGEST:,} characters")
    return _unshared(yaml.load(text, _Loader))  # noqa: S506  # _Loader is a SafeLoader


def read(path: Path) -> Any:
    """The value that a file holds; raises OSError, UnicodeDecodeError or one of NOT_YAML."""
    with path.open(encoding="utf-8") as stream:
        return parse(stream.read(LARGEST + 1))


def reason(error: Exception) -> str:
    """What one of NOT_YAML says, in one line; empty where it says nothing."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark is not None:
        return f"{error.problem} at line {error.problem_mark.line + 1}"
    return next(iter(str(error).strip().splitlines()), "")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which counts what it makes: a few aliases of aliases stand for billions of values."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._count = self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()
        line = event.start_mark.line + 1
        before = self._count
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"more than {_DEEPEST} levels at line {line}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._count += 1
            if node is not None:
                self._sizes[node] = self._count - before
        elif node in self._sizes:
            self._count += self._sizes[node]
        else:
            raise yaml.YAMLError(f"the alias at line {line} stands inside what it names")
        if self._count > _MOST:
            raise yaml.YAMLError(f"more than {_MOST:,} values, aliases written out, at line {line}")
        return node


# YAML 1.1, which PyYAML speaks, takes 2e-4 for a text: it wants a point and a sign in it.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _unshared(value: Any) -> Any:
    """A copy in which nothing occurs twice: what an override changes in one place must stay in the other."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    if isinstance(value, str) and "\0" in value:
        raise yaml.YAMLError("a text holds a null character")
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value
