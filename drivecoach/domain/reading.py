"""Reading one JSON value out of a text from outside, every repeated key named."""

from __future__ import annotations

import json
from typing import Never

from pydantic import JsonValue

from drivecoach.domain.node import Node
from drivecoach.errors import Fault, InputError
from drivecoach.text import shown


def read_json(text: str, title: str, node: Node) -> JsonValue:
    """The value of ``text``; raises InputError for what is no JSON, and for objects that give a key twice."""
    hint = f"{title} is one JSON value: {node.allowed}"
    repeated: list[Fault] = []

    def once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        keys = [key for key, _ in pairs]
        repeated.extend(Fault(shown(key), "given twice", "once") for key in dict(pairs) if keys.count(key) > 1)
        return dict(pairs)

    def not_json(constant: str) -> Never:
        raise ValueError(f"{constant} is no JSON value")

    try:
        value: JsonValue = json.loads(text, object_pairs_hook=once, parse_constant=not_json)
    except RecursionError:
        raise InputError(f"{title} is not JSON: nested too deep", hint=hint) from None
    except ValueError as error:
        raise InputError(f"{title} is not JSON: {error}", hint=hint) from None
    if repeated:
        raise InputError(f"not a valid {title}", hint=hint, faults=repeated)
    return value
