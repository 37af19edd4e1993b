"""The form in which an input is given by hand, made from the input's node: a choice, a number or a text a field."""

from __future__ import annotations

from typing import Any

from drivecoach.domain import AnyDomain
from drivecoach.domain.form import ModelForm
from drivecoach.domain.node import Node


def form_of_input(domain: AnyDomain) -> dict[str, Any]:
    """What the page makes a form of; ``fields`` is empty where an input is one text, or one value of JSON."""
    node = domain.input.node
    others = {alias: name for name, alias in domain.input.names.items()} if isinstance(domain.input, ModelForm) else {}
    return {
        "domain": domain.name,
        "text": node.kind == "text",
        "fields": [
            {
                "path": path,
                "name": ".".join(path),
                "also": _also(path, others),
                **_field(part, _is_required(node, path)),
            }
            for path, part in node.leaves()
        ],
    }


def _also(path: tuple[str, ...], others: dict[str, str]) -> str:
    """The field's other name, where it has one that is not the same."""
    name = others.get(path[-1], "").replace("_", " ")
    return "" if name == path[-1].replace("_", " ") else name


def _field(node: Node, required: bool) -> dict[str, Any]:
    choices = node.items.values if node.kind == "list" and node.items and node.items.kind == "closed" else ()
    return {
        "kind": "choices" if choices else node.kind,
        "values": node.values or choices,
        "required": required,
        "nullable": node.nullable,
        "allowed": "" if node.kind == "closed" else node.allowed,
    }


def _is_required(node: Node, path: tuple[str, ...]) -> bool:
    """Whether the key must be there, and every key on the way to it."""
    found: Node | None = node
    for key in path:
        if found is None or key not in found.required:
            return False
        found = found.fields.get(key)
    return True
