"""Comparing answers field by field, and the labels by which inputs and answers are counted."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from drivecoach.domain.node import Node, text_of

WHOLE = "answer"
"""The part that is right where every field is."""


def same(node: Node, expected: JsonValue, given: JsonValue) -> bool:
    """Whether two values agree; numbers may differ by their tolerance."""
    if isinstance(expected, dict) and isinstance(given, dict) and node.fields:
        absent = Node("any")
        return all(
            same(node.fields.get(key, absent), expected.get(key), given.get(key)) for key in {*expected, *given}
        )
    if isinstance(expected, list) and isinstance(given, list) and node.items is not None:
        items = node.items
        return len(expected) == len(given) and all(
            same(items, one, other) for one, other in zip(expected, given, strict=True)
        )
    if isinstance(expected, bool) or isinstance(given, bool):
        return expected is given
    if node.tolerance and isinstance(expected, int | float) and isinstance(given, int | float):
        return abs(expected - given) <= node.tolerance * (1 + 1e-9)
    return expected == given


def compare(node: Node, expected: JsonValue, given: JsonValue) -> dict[str, bool]:
    """``answer`` (all of it), then every field by its path; ``given`` None has no part right."""
    parts = {WHOLE: given is not None and same(node, expected, given)}
    for path, leaf in node.leaves():
        parts[".".join(path)] = given is not None and same(leaf, at(expected, path), at(given, path))
    return parts


def describe(node: Node, value: JsonValue, whole: str) -> Iterator[tuple[str, str]]:
    """A label and its value for every field: closed values by name, numbers rounded, the rest by size."""
    if node.kind != "object":
        yield whole, _size(node, value)
    for path, leaf in node.leaves():
        yield ".".join(path), _size(leaf, at(value, path))


def at(value: JsonValue, path: tuple[str, ...]) -> JsonValue:
    """What stands at a path of keys; None where nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _size(node: Node, value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"{len(value)} items"
    if isinstance(value, str) and node.kind != "closed":
        return f"up to {1 << max(4, (len(value) - 1).bit_length())} characters"
    if isinstance(value, float):
        return f"{value:.2g}"
    return text_of(value)
