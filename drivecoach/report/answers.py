"""Inputs and answers as a page shows them: the sentence large, the level by its gravity, a state as a short list."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypedDict

from pydantic import JsonValue

from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domain.node import text_of
from drivecoach.errors import InputError


class Answer(TypedDict):
    """An answer, sorted by what a person wants to see first."""

    level: str
    rank: str
    """``mild``, ``middle`` or ``grave``, whatever a domain calls its levels; empty where it has none."""
    sentence: str
    lists: list[tuple[str, list[str]]]
    rest: list[tuple[str, str]]


class Case(TypedDict, total=False):
    """One input, what was said and what is right; what is not known, or of no use, is left out."""

    state: list[str]
    """One value for each of `fields`."""
    decides: list[int]
    """Which of them the rule reads."""
    right: Answer | None
    said: Answer | None
    raw: str
    """What was said, where that is no answer."""
    why: str
    """Why it is none."""
    wrong: bool
    lowered: bool
    violations: list[str]
    rule: str
    reason: str


def fields(domain: AnyDomain) -> list[str]:
    """The names of what an input holds."""
    return [".".join(path) for path, _ in domain.input.node.leaves()] or ["input"]


def rank(domain: AnyDomain, level: str) -> str:
    """How grave a level is, in a word that fits every domain."""
    if level not in domain.levels:
        return ""
    place = list(domain.levels).index(level)
    return "grave" if place == len(domain.levels) - 1 else "middle" if place else "mild"


def shown(domain: AnyDomain, answer: JsonValue) -> Answer:
    """The dump of an answer, sorted for a person. One of another version of the domain is shown as it is."""
    found = Answer(level="", rank="", sentence="", lists=[], rest=[])
    if domain.levels:
        with suppress(InputError):
            found["level"] = domain.level(domain.answer.parse(answer))
        found["rank"] = rank(domain, found["level"])
    level = found["level"]
    for path, node in domain.answer.node.leaves():
        value, name = _at(answer, path), ".".join(path)
        if isinstance(value, list):
            found["lists"].append((name, [text_of(item) for item in value]))
        elif node.kind == "text" and not found["sentence"]:
            found["sentence"] = text_of(value) if value is not None else ""
        elif value == level and level:
            level = ""  # it has a place of its own
        elif value is not None:
            found["rest"].append((name, text_of(value)))
    if not found["sentence"]:
        if found["rest"]:
            found["sentence"] = found["rest"].pop(0)[1]
        else:
            found["sentence"] = found["level"] or text_of(answer)
    return found


def case(
    domain: AnyDomain,
    input: str,
    right: JsonValue,
    said: JsonValue,
    raw: str = "",
    *,
    why: str = "",
    lowered: bool = False,
    violations: Sequence[str] = (),
) -> Case:
    """One question; ``said`` is None where no answer could be read, ``right`` where nobody knows it."""
    made = Case(
        state=[input],
        decides=[],
        right=None if right is None else shown(domain, right),
        said=None if said is None else shown(domain, said),
    )
    try:
        value = domain.read_input(input)
    except InputError:  # of another version of the domain
        value = None
    if value is not None:
        made["state"] = _state(domain, value)
        if (explained := domain.explain(value)) is not None:
            names = fields(domain)
            made["decides"] = [names.index(name) for name in explained.read if name in names]
            made["rule"], made["reason"] = explained.rule, explained.reason
    if right is not None and said != right:
        made["wrong"] = True
    if said is None:
        made["raw"], made["why"] = raw, why
    if lowered:
        made["lowered"] = True
    if violations:
        made["violations"] = list(violations)
    return made


def _state(domain: AnyDomain, value: Any) -> list[str]:
    dumped = domain.input.dump(value)
    if domain.input.node.kind != "object":
        return [text_of(dumped)]
    found = (_at(dumped, path) for path, _ in domain.input.node.leaves())
    return ["–" if one is None else text_of(one) for one in found]


def _at(value: JsonValue | JsonObject, path: tuple[str, ...]) -> JsonValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
