"""The pieces of text that a tokenizer made for one domain holds as one token each, derived from its two schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator

from drivecoach.domain.line import is_written_as_line
from drivecoach.domain.node import Node, text_of


def input_pieces(node: Node) -> Iterator[str]:
    """Of a line: every ``key:value; `` of a closed set, the key alone of a number; of JSON: as for answers."""
    if not is_written_as_line(node):
        yield from answer_pieces(node)
        return
    last = len(node.fields) - 1
    for place, (name, part) in enumerate(node.fields.items()):
        end = "; " if place < last else ""
        if part.kind == "closed":
            yield from (f"{name}:{text_of(value)}{end}" for value in part.values)
        else:
            yield f"{name}:"
            yield "; "


def answer_pieces(node: Node) -> Iterator[str]:
    """What stands between the values of a canonical JSON answer, and every value of a closed set."""
    if node.kind == "object":
        yield from _object(node, "{", "}")
    yield from _values(node)


def _object(node: Node, before: str, after: str) -> Iterator[str]:
    """From each key that may come next to the end, with the quotes and brackets around the values beside them."""
    ends = [before]  # what may stand before the next key
    for name, part in node.fields.items():
        key = f"{json.dumps(name, ensure_ascii=False)}: {_opening(part)}"
        starts = [end + (", " if end != before else "") + key for end in ends]
        yield from starts
        closing = _closing(part)
        ends = [closing] if name in node.required else [*ends, closing]
        yield from _inner(part)
    yield from (end + after for end in dict.fromkeys(ends))


def _inner(part: Node) -> Iterator[str]:
    if part.kind == "object":
        yield from _object(part, "{", "}")
    if part.kind == "list" and part.items is not None:
        items = part.items
        yield _closing(items) + ", " + _opening(items)
        if items.kind == "object":
            yield from _object(items, "{", "}")


def _values(node: Node) -> Iterator[str]:
    for value in node.values:
        yield json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else text_of(value)
    for part in (*node.fields.values(), *([node.items] if node.items else [])):
        yield from _values(part)


def _is_text(node: Node) -> bool:
    return node.kind == "text" or (node.kind == "closed" and all(isinstance(value, str) for value in node.values))


def _opening(node: Node) -> str:
    if node.nullable:
        return ""
    if node.kind == "list":
        return "[" + (_opening(node.items) if node.items else "")
    return '"' if _is_text(node) else ""


def _closing(node: Node) -> str:
    if node.nullable:
        return ""
    if node.kind == "list":
        return (_closing(node.items) if node.items else "") + "]"
    return '"' if _is_text(node) else ""
