"""The line form ``key:value; key:value`` and records of texts: how a flat input is written, and read with tolerance."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping

from pydantic import JsonValue

from drivecoach.domain.node import JsonObject, Node, text_of
from drivecoach.errors import Fault, InputError
from drivecoach.text import shown

_SEPARATOR = re.compile(r"[;\n]")
_PLAIN = re.compile(r"[^;:\n<>{]+")
_EMPTY = ("", "null")


def has_line(node: Node) -> bool:
    """Whether every field is a scalar, so that a line can be read."""
    return node.kind == "object" and all(part.kind not in ("list", "object", "any") for part in node.fields.values())


def is_written_as_line(node: Node) -> bool:
    """Whether the line is the canonical form too: no key or value can hold what separates them."""
    return has_line(node) and all(
        _fits(name) and part.kind != "text" and all(_fits(text_of(value)) for value in part.values)
        for name, part in node.fields.items()
    )


def write_line(record: Mapping[str, JsonValue]) -> str:
    """``key:value`` pairs joined by ``; ``."""
    return "; ".join(f"{key}:{text_of(value)}" for key, value in record.items())


def read_line(text: str, node: Node, title: str) -> JsonObject:
    """The record of a line; any order, any spacing around, full- or half-width. Values are not judged yet.

    Raises InputError for what has no ``key:value`` form, and keys that are given twice.
    """
    known = {_folded(name): name for name in node.fields}
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for piece in _SEPARATOR.split(unicodedata.normalize("NFKC", text)):
        name, colon, value = (part.strip() for part in piece.partition(":"))
        key = known.get(_folded(name), name)
        if not piece.strip():
            continue
        if not colon:
            faults.append(Fault("line", shown(piece.strip()), "key:value pairs joined by ;"))
        elif key in found:
            faults.append(Fault(shown(key), f"given twice: {shown(found[key])}, {shown(value)}", "once"))
        else:
            found[key] = value
    if not found.keys() & node.fields.keys():
        faults = [Fault(title, f"something else, {shown(text) or '(empty)'}", node.allowed)]
    if faults:
        raise InputError(f"not a valid {title}", hint=f"give {_example(node)} or a JSON object", faults=faults)
    return dict(found)


def coerced(node: Node, value: JsonValue) -> JsonValue:
    """What the texts of a line or a table mean in this schema: numbers, booleans, null, nested JSON.

    A text that means nothing here stays as it is: the schema then names the fault.
    """
    if isinstance(value, dict):
        made = {key: coerced(node.fields.get(key, Node("any")), part) for key, part in value.items()}
        return {key: part for key, part in made.items() if not (part is None and _leaves_out(node, key))}
    if not isinstance(value, str):
        return value
    text = unicodedata.normalize("NFKC", value).strip()
    if node.nullable and text in _EMPTY:
        return None
    if node.kind == "closed":
        same = {_folded(text_of(option)): option for option in node.values}
        return same.get(_folded(text), _loose(text, node) if True in node.values else value)
    if node.kind in ("integer", "number", "list", "object"):
        return _json(text, value)
    return value


def _leaves_out(node: Node, key: str) -> bool:
    return key in node.fields and key not in node.required


def _loose(text: str, node: Node) -> JsonValue:
    """Booleans as tables write them."""
    known = {"true": True, "yes": True, "1": True, "是": True, "false": False, "no": False, "0": False, "否": False}
    return known.get(text.lower(), text)


def _json(text: str, otherwise: JsonValue) -> JsonValue:
    try:
        value: JsonValue = json.loads(text.replace("+", "", 1) if text.startswith("+") else text)
    except (ValueError, RecursionError):
        return otherwise
    return otherwise if isinstance(value, str) else value


def _fits(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text == text.strip() == unicodedata.normalize("NFKC", text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _example(node: Node) -> str:
    return "; ".join(f"{name}:…" for name in node.fields)
