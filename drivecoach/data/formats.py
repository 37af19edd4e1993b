"""The forms that rows come in (pairs, alpaca, messages, sharegpt), each read to turns before, input, output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

from drivecoach.chat import Message
from drivecoach.chat.template import split
from drivecoach.errors import DataError


class Example(NamedTuple):
    """One row, whatever its form was."""

    input: str
    """The last user turn."""
    output: str
    """The last assistant turn, reasoning included: what is learned."""
    history: tuple[Message, ...] = ()
    """What stands before: a system message, then user and assistant in turn."""


class Malformed(Exception):
    """A row that does not have its form; the text says why."""


_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}


def _pairs(row: Mapping[str, object]) -> Example:
    keys = ("prompt", "completion") if "prompt" in row and "input" not in row else ("input", "output")
    texts = _texts(row, keys)
    return Example(texts[keys[0]], texts[keys[1]], _system(row))


def _alpaca(row: Mapping[str, object]) -> Example:
    texts = _texts(row, ("instruction", "output"))
    more = row.get("input") or ""
    if not isinstance(more, str):
        raise Malformed(f"'input' is a {type(more).__name__}, not text")
    joined = "\n".join(part for part in (texts["instruction"].strip(), more.strip()) if part)
    return Example(joined, texts["output"], _system(row))


def _messages(row: Mapping[str, object]) -> Example:
    return _conversation(row, "messages", "role", "content")


def _sharegpt(row: Mapping[str, object]) -> Example:
    turns = row.get("conversations")
    older = isinstance(turns, list) and turns and isinstance(turns[0], dict) and "from" in turns[0]
    return _conversation(row, "conversations", *(("from", "value") if older else ("role", "content")))


FORMATS: dict[str, tuple[frozenset[str], Callable[[Mapping[str, object]], Example]]] = {
    "messages": (frozenset({"messages"}), _messages),
    "sharegpt": (frozenset({"conversations"}), _sharegpt),
    "alpaca": (frozenset({"instruction", "output"}), _alpaca),
    "pairs": (frozenset({"input", "output"}), _pairs),
}
"""Name -> (the columns by which a row is known to have this form, how it is read); the first that fits is taken.

A row with one key a field is none of these: which fields there are, the domain says (`columns.py`).
"""
TABLE = "table"
"""The name of that form."""
_ALSO = frozenset({"prompt", "completion"})
"""The other names of a pair's columns."""


def read_example(row: object, form: str = "auto", columns: Mapping[str, str] | None = None) -> Example:
    """Read one record; ``columns`` maps our names to the record's. Raises Malformed with every fault of its form."""
    if not isinstance(row, dict):
        raise Malformed(f"a row is an object with input and output, this is a {type(row).__name__}")
    row = renamed(row, columns) if columns else row
    name = form if form != "auto" else _detected(tuple(row)) or "pairs"
    if name not in FORMATS:
        raise Malformed("a table of one column a field is read where its domain is known")
    return FORMATS[name][1](row)


def renamed(row: Mapping[str, object], columns: Mapping[str, str]) -> Mapping[str, object]:
    """The record with our names, which ``columns`` maps to its own. Raises Malformed where one of them is missing."""
    missing = sorted(set(columns.values()) - row.keys())
    if missing:
        raise Malformed(f"no {', '.join(map(repr, missing))} (keys found: {_listed(row)})")
    theirs = {*columns.values()}
    return {**{key: row[key] for key in row if key not in theirs}, **{ours: row[key] for ours, key in columns.items()}}


def check_columns(found: Collection[str], form: str, columns: Mapping[str, str], where: str) -> None:
    """Raise DataError when a table with the columns ``found`` cannot be read; the message lists them."""
    missing = sorted(set(columns.values()) - set(found))
    named = {*found, *columns}
    wanted = FORMATS[form][0] if form in FORMATS else frozenset()
    if not missing and (detect(named) if form == "auto" else wanted <= named or (form == "pairs" and named >= _ALSO)):
        return
    forms = "; ".join(f"{name}: {', '.join(sorted(keys))}" for name, (keys, _) in FORMATS.items())
    said = f"no column {', '.join(map(repr, missing))}" if missing else "the columns fit no known form"
    raise DataError(
        f"{where}: {said} (columns found: {_listed(found)})",
        hint=f"name them in the recipe, e.g. data.columns: {{input: {next(iter(found), 'question')}, output: …}}; "
        f"forms known without: {forms}",
    )


@lru_cache(maxsize=64)
def _detected(keys: tuple[str, ...]) -> str | None:
    return detect(keys)


def detect(keys: Collection[str]) -> str | None:
    """The form that a row with these keys has."""
    names = set(keys)
    return next((name for name, (needed, _) in FORMATS.items() if needed <= names), "pairs" if names >= _ALSO else None)


def _texts(row: Mapping[str, object], keys: tuple[str, ...]) -> dict[str, str]:
    texts, faults = {}, []
    for key in keys:
        value = row.get(key)
        if key not in row:
            faults.append(f"no {key!r} (keys found: {_listed(row)})")
        elif not isinstance(value, str):
            faults.append(f"{key!r} is a {type(value).__name__}, not text")
        elif not value.strip():
            faults.append(f"{key!r} is empty")
        else:
            texts[key] = value
    if faults:
        raise Malformed("; ".join(faults))
    return texts


def _system(row: Mapping[str, object]) -> tuple[Message, ...]:
    text = row.get("system")
    if text is not None and not isinstance(text, str):
        raise Malformed(f"'system' is a {type(text).__name__}, not text")
    return ({"role": "system", "content": text.strip()},) if text and text.strip() else ()


def _conversation(row: Mapping[str, object], key: str, role_key: str, text_key: str) -> Example:
    """The turns up to the last assistant's; its reasoning is kept, that of the ones before is left out."""
    turns = row.get(key)
    if not isinstance(turns, list):
        raise Malformed(f"no list {key!r} (keys found: {_listed(row)})")
    read, faults = [*_system(row)], []
    for number, turn in enumerate(turns, start=1):
        role = _ROLES.get(str(turn.get(role_key))) if isinstance(turn, dict) else None
        text = turn.get(text_key) if isinstance(turn, dict) else None
        if role is None:
            found = turn.get(role_key) if isinstance(turn, dict) else turn
            faults.append(f"turn {number}: {role_key!r} is {found!r} (allowed: {', '.join(_ROLES)})")
        elif not isinstance(text, str) or not text.strip():
            faults.append(f"turn {number}: {text_key!r} is empty or no text")
        else:
            read.append({"role": role, "content": text.strip()})
    if faults:
        raise Malformed("; ".join(faults))
    while read and read[-1]["role"] != "assistant":
        read.pop()  # what follows the last answer has nothing to learn
    if not read:
        raise Malformed("no assistant turn to learn from")
    spoken = [turn["role"] for turn in read if turn["role"] != "system"]
    late = any(turn["role"] == "system" for turn in read[1:])
    if late or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise Malformed("turns are not: an optional system turn, then user and assistant one after the other")
    *before, question, answer = read
    history: list[Message] = []
    for turn in before:
        text = split(turn["content"]).text if turn["role"] == "assistant" else turn["content"]
        history.append({"role": turn["role"], "content": text})
    return Example(question["content"], answer["content"], tuple(history))


def _listed(keys: Collection[str]) -> str:
    return ", ".join(map(str, keys)) or "none"
