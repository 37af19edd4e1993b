"""The simplest domain: free text in, free text out, with no schema, no invariants and no rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from drivecoach.errors import InputError

NAME = "text"

SYSTEM = ""
"""No brief of its own: a recipe's ``chat.system``, or a row's system message, says what the model is."""


def read_input(text: str) -> str:
    """The text in its canonical form (NFC, no space around it); raises InputError when nothing is left."""
    return _read("input", text)


def write_input(value: str) -> str:
    """The canonical text itself."""
    return value


def read_answer(text: str) -> str:
    """An answer in its canonical form; raises InputError for an empty one."""
    return _read("answer", text)


def write_answer(value: str) -> str:
    """The canonical answer itself."""
    return value


def violations(value: str, answer: str) -> list[Any]:
    """Free text has no invariants."""
    return []


def describe(value: str, answer: str) -> dict[str, str]:
    """What statistics count: how long inputs and answers are, in powers of two of characters."""
    return {"input length": _size(value), "answer length": _size(answer)}


def compare(expected: str, given: str | None) -> dict[str, bool]:
    """Whether the answer is the expected one, letter for letter."""
    return {"answer": given == expected}


def vocabulary() -> tuple[str, ...]:
    """No piece of text repeats often enough to be known beforehand."""
    return ()


def uniform(count: int, without: Collection[str]) -> list[tuple[str, Any]]:
    """Nobody can say what all texts are, or their right answers."""
    return []


def rule_answer(value: str) -> None:
    """There are no rules."""


def write_record(record: Mapping[str, Any]) -> str:
    """The text of a record's ``input`` key."""
    return str(record.get("input", ""))


def record_keys() -> list[list[str]]:
    """A record has one key, ``input``."""
    return [["input"]]


def answer_schema() -> dict[str, Any]:
    """A text."""
    return {"type": "string"}


def schemas() -> dict[str, dict[str, Any]]:
    """Free text has no schema."""
    return {}


def _read(where: str, text: str) -> str:
    canonical = unicodedata.normalize("NFC", text).strip()
    if not canonical:
        raise InputError(f"the {where} is empty", hint="give some text")
    return canonical


def _size(text: str) -> str:
    limit = 1 << max(4, (len(text) - 1).bit_length())
    return f"up to {limit} characters"
