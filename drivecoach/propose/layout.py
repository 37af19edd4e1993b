"""Laying Python out in lines of at most 120 columns; no text of the data can end a literal or start a line."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

COLUMNS = 120
_TEXT = 80
"""A longer text is written in several pieces."""


@dataclass(frozen=True)
class Group:
    """Parts between brackets, on one line or each on its own."""

    open: str
    parts: tuple[Code, ...]
    close: str
    comma: bool = True


Code = str | Group


def flat(code: Code) -> str:
    """On one line."""
    if isinstance(code, str):
        return code
    return code.open + (", " if code.comma else " ").join(map(flat, code.parts)) + code.close


def broken(code: Code, indent: int) -> str:
    """The parts of a group on lines of their own, ``indent`` being that of the line it begins on."""
    if isinstance(code, str) or not code.parts:
        return flat(code)
    inner = indent + 4
    end = "," if code.comma else ""
    lines = (f"{' ' * inner}{_fitting(part, inner)}{end}" for part in code.parts)
    return "\n".join([code.open, *lines, " " * indent + code.close])


def laid_out(before: str, codes: list[tuple[str, Code]], indent: int) -> str:
    """``before``, then each code with what stands before it; as few groups broken as the width asks for."""
    start = " " * indent + before
    tries = [start]
    for between, code in codes:
        written = dict.fromkeys((flat(code), broken(code, indent)))
        tries = [made + between + text for made in tries for text in written]
    return next((text for text in tries if max(map(width, text.split("\n"))) <= COLUMNS), tries[-1])


def quoted(text: str) -> Code:
    """``text`` as a Python literal, in pieces where it is long."""
    pieces, room = [""], _TEXT
    for character in text:
        columns = width(_literal(character)) - 2
        if columns > room:
            pieces.append("")
            room = _TEXT
        pieces[-1] += character
        room -= columns
    return _literal(text) if len(pieces) == 1 else Group("(", tuple(map(_literal, pieces)), ")", comma=False)


def width(text: str) -> int:
    """How many columns a text takes; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _literal(text: str) -> str:
    is_plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if is_plain else repr(text)


def _fitting(code: Code, indent: int) -> str:
    line = flat(code)
    return line if indent + width(line) < COLUMNS else broken(code, indent)
