"""Why a domain answers an input as it does: its rule, what that rule reads, and what one change would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from drivecoach.domain.node import text_of
from drivecoach.errors import InputError

if TYPE_CHECKING:
    from drivecoach.domain.base import Domain


@dataclass(frozen=True)
class Explanation:
    """What a domain knows about its own answer to an input, beyond the answer."""

    rule: str
    """The id of the rule that answers."""
    reason: str
    source: str
    """Where the rule comes from."""
    read: Mapping[str, str]
    """The fields that the rule and its parts read, with the values that they have."""
    more: Mapping[str, str] = field(default_factory=dict)
    """What else the domain says about it, by name."""


@dataclass(frozen=True)
class RuleTable:
    """The rules of a domain, one a row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    brief: Sequence[str]
    """The columns that are shown where there is little room."""
    note: str
    """How the rows go together."""


@dataclass(frozen=True)
class Change:
    """One field with another value, and the right answer that the input then has."""

    field: str
    values: tuple[str, ...]
    """The values that all lead to this answer."""
    answer: Any
    rule: str
    """Empty where the domain has no rules."""


def changes(domain: Domain[Any, Any], value: Any) -> Iterator[Change]:
    """What one other value in one closed field of the input would make of the right answer, where it changes.

    Values that make the input impossible are left out. Whether two changes together would matter is not looked at.
    """
    dumped = domain.input.dump(value)
    if not isinstance(dumped, dict):
        return
    before = domain.teach(value)
    for name, node in domain.input.node.fields.items():
        found: dict[str, tuple[Any, str, list[str]]] = {}
        for other in node.values if node.kind == "closed" else ():
            changed = with_value(domain, dumped, name, other) if other != dumped.get(name) else None
            answer = None if changed is None else domain.teach(changed)
            if answer is None or answer == before:
                continue
            explained = domain.explain(changed)
            rule = explained.rule if explained else ""
            found.setdefault(domain.write_answer(answer) + rule, (answer, rule, []))[2].append(text_of(other))
        for answer, rule, values in found.values():
            yield Change(name, tuple(values), answer, rule)


def with_value(domain: Domain[Any, Any], dumped: Mapping[str, JsonValue], field: str, value: JsonValue) -> Any | None:
    """The input that was ``dumped`` with another value in one field; None where that is impossible."""
    try:
        return domain.input.parse({**dumped, field: value})
    except InputError:
        return None
