"""A JSON Schema as a tree of plain nodes: what every default of a domain (lines, faults, scores, …) is derived from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from pydantic import JsonValue

from drivecoach.errors import Fault

Kind = Literal["closed", "integer", "number", "text", "list", "object", "any"]
Scalar = str | int | float | bool
JsonObject = dict[str, JsonValue]

TOLERANCE = "x-tolerance"
"""The keyword of our own: how far a number may be from the right one and still count as right."""


@dataclass(frozen=True)
class Node:
    """One place of a schema: what may stand there."""

    kind: Kind
    values: tuple[Scalar, ...] = ()
    """``closed``: every value that is allowed."""
    fields: Mapping[str, Node] = field(default_factory=dict)
    """``object``: its keys, in canonical order."""
    required: frozenset[str] = frozenset()
    items: Node | None = None
    """``list``: what each item is."""
    nullable: bool = False
    tolerance: float = 0.0
    limits: str = ""
    """Ranges and lengths in words, e.g. ``from 5 to 30``."""
    may_be_empty: bool = True
    """``list``: whether it may have no items."""
    absent: bool = False
    """Whether None is the default: such a key is left out of canonical texts."""

    @property
    def allowed(self) -> str:
        """What is allowed here, in words."""
        if self.kind == "closed":
            named = ", ".join(text_of(value) for value in self.values)
        elif self.kind == "list":
            named = f"a list{self.limits and ' of ' + self.limits}: {self.items.allowed if self.items else 'anything'}"
        elif self.kind == "object":
            named = "an object with the keys " + ", ".join(self.fields)
        else:
            named = {"integer": "a whole number", "number": "a number", "text": "a text", "any": "any JSON"}[self.kind]
            named += self.limits and f" {self.limits}"
        return named + (" or null" if self.nullable else "")

    def at(self, path: Sequence[int | str]) -> Node | None:
        """The node at a path of keys and positions; None where the schema has none."""
        found: Node | None = self
        for part in path:
            if found is None:
                return None
            found = found.items if isinstance(part, int) else found.fields.get(part)
        return found

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Every field that is no object, with its path; nested objects are walked through."""
        for name, node in self.fields.items():
            if node.kind == "object" and node.fields:
                yield from node.leaves((*path, name))
            else:
                yield (*path, name), node


def text_of(value: JsonValue) -> str:
    """A value as it stands in a line: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def resolved(schema: JsonObject, *, closed: bool) -> tuple[JsonObject, list[Fault]]:
    """``schema`` without ``$ref``: ``$defs`` are put in their places; ``closed`` forbids unknown keys everywhere.

    Faults name references that cannot be put in: recursive ones, and those to other documents.
    """
    faults: list[Fault] = []
    definitions = cast(JsonObject, {**_object(schema.get("definitions")), **_object(schema.get("$defs"))})

    def walk(value: JsonValue, path: str, inside: tuple[str, ...]) -> JsonValue:
        if isinstance(value, list):
            return [walk(item, path, inside) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(reference := value.get("$ref"), str):
            name = reference.rpartition("/")[2]
            if not reference.startswith(("#/$defs/", "#/definitions/")) or name not in definitions:
                faults.append(Fault(path, f"$ref {reference}", "a reference to #/$defs of the same schema"))
                return {}
            if name in inside:
                faults.append(Fault(path, f"{name} holds itself", "models that do not repeat inside themselves"))
                return {}
            beside = {key: item for key, item in value.items() if key != "$ref"}
            return walk({**_object(definitions[name]), **beside}, path, (*inside, name))
        made: JsonObject = {}
        for key, item in value.items():
            if key in ("$defs", "definitions"):
                continue
            if key == "properties" and isinstance(item, dict):
                made[key] = {name: walk(part, f"{path}.{name}".lstrip("."), inside) for name, part in item.items()}
            elif key in ("enum", "const", "default", "examples", "required"):
                made[key] = item
            else:
                made[key] = walk(item, path, inside)
        if closed and "properties" in made:
            made.setdefault("additionalProperties", False)
        return made

    return cast(JsonObject, walk(schema, "", ())), faults


def read_node(schema: JsonObject) -> Node:
    """The tree of a resolved schema; what it cannot say in our terms becomes ``any``."""
    absent = "default" in schema and schema["default"] is None
    nullable = False
    options = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(options, list):
        others = [_object(option) for option in options if _object(option).get("type") != "null"]
        nullable = len(others) < len(options)
        if len(others) != 1:
            return Node("any", nullable=nullable, absent=absent)
        schema = {**others[0], **{key: item for key, item in schema.items() if key not in ("anyOf", "oneOf")}}
    kind = schema.get("type")
    if isinstance(kind, list):
        nullable = nullable or "null" in kind
        named = [name for name in kind if name != "null"]
        kind = named[0] if len(named) == 1 else None
    node = _node(schema, str(kind))
    return replace(node, nullable=nullable or node.nullable, absent=absent)


def _node(schema: JsonObject, kind: str) -> Node:
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
    if isinstance(values, list):
        scalars = tuple(value for value in values if isinstance(value, str | int | float | bool))
        return Node("closed", values=scalars, nullable=None in values)
    if kind == "boolean":
        return Node("closed", values=(True, False))
    if kind == "array":
        items = schema.get("items")
        inner = read_node(items) if isinstance(items, dict) else None
        return Node(
            "list",
            items=inner,
            limits=_limits(schema, "minItems", "maxItems"),
            may_be_empty=not schema.get("minItems"),
        )
    if kind == "object" and isinstance(properties := schema.get("properties"), dict):
        required = schema.get("required")
        fields = {name: read_node(_object(part)) for name, part in properties.items()}
        named = frozenset(str(name) for name in required) if isinstance(required, list) else frozenset()
        return Node("object", fields=fields, required=named)
    if kind == "string":
        return Node("text", limits=_limits(schema, "minLength", "maxLength", " characters"))
    if kind in ("integer", "number"):
        tolerance = schema.get(TOLERANCE)
        by = float(tolerance) if isinstance(tolerance, int | float) else 0.0
        return Node("integer" if kind == "integer" else "number", tolerance=by, limits=_range(schema))
    return Node("any")


def unwritable(node: Node, where: str = "") -> list[Fault]:
    """The places of a model that have no one canonical text."""
    if node.kind == "any":
        allowed = "closed sets, numbers, texts, lists, models"
        return [Fault(where or "model", "a type with no one way to write it", allowed)]
    inner = [] if node.items is None else unwritable(node.items, f"{where}[]")
    return inner + [
        fault for name, part in node.fields.items() for fault in unwritable(part, f"{where}.{name}".lstrip("."))
    ]


def _object(value: JsonValue | None) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _limits(schema: JsonObject, low: str, high: str, unit: str = "") -> str:
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return f"{least} to {most}{unit}"
    if least is not None or most is not None:
        return (f"at least {least}" if least is not None else f"at most {most}") + unit
    return ""


def _range(schema: JsonObject) -> str:
    words = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
        "multipleOf": "in steps of {}",
    }
    return " ".join(text.format(schema[key]) for key, text in words.items() if key in schema)
