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
    names = list(node.fields)
    for place, (name, part) in enumerate(node.fields.items()):
        later = names[place + 1 :]
        ends = [*(["; "] if later else []), *([""] if not node.required.intersection(later) else [])]
        if part.kind == "closed":
            yield from (f"{name}:{text_of(value)}{end}" for value in part.values for end in ends)
        else:
            yield f"{name}:"
            yield "; "


def answer_pieces(node: Node) -> Iterator[str]:
    """What stands between the values of a canonical JSON answer, and every value of a closed set."""
    if node.kind == "object":
        yield from _object(node)
    yield from _values(node)


def _object(node: Node) -> Iterator[str]:
    """From each key that may come next to the end, with the quotes and brackets around the values beside them."""
    ends = ["{"]  # what may stand before the next key
    for name, part in node.fields.items():
        key = json.dumps(name, ensure_ascii=False) + ": "
        around = list(_around(part))
        yield from (end + (key if end == "{" else f", {key}") + opening for end in ends for opening, _ in around)
        closings = [closing for _, closing in around]
        is_always_there = name in node.required or not part.absent
        ends = list(dict.fromkeys(closings if is_always_there else [*ends, *closings]))
        yield from _inside(part)
    yield from (end + "}" for end in ends)


def _inside(part: Node) -> Iterator[str]:
    if part.kind == "object":
        yield from _object(part)
    if part.kind == "list" and part.items is not None:
        yield from (f"{closing}, {opening}" for opening, closing in _around(part.items))
        yield from _inside(part.items)


def _around(node: Node) -> Iterator[tuple[str, str]]:
    """What may stand right before and right after a value: quotes, brackets, a whole empty list, a null."""
    if node.kind == "list":
        yield from ((f"[{opening}", f"{closing}]") for opening, closing in (_around(node.items) if node.items else []))
        if node.may_be_empty:
            yield "[]", ""
    else:
        is_text = node.kind == "text" or (node.kind == "closed" and all(isinstance(v, str) for v in node.values))
        yield ('"', '"') if is_text else ("", "")
    if node.nullable and not node.absent:
        yield "null", ""


def _values(node: Node) -> Iterator[str]:
    for value in node.values:
        yield json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else text_of(value)
    for part in (*node.fields.values(), *([node.items] if node.items else [])):
        yield from _values(part)
