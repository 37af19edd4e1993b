"""How foreign text is shown: nothing in it reaches a terminal as a command, or breaks the output's encoding."""

from __future__ import annotations

import unicodedata

_LOST = "\N{REPLACEMENT CHARACTER}"


def shown(text: str, limit: int = 60) -> str:
    """``text`` on one line, without control characters and cut to ``limit`` characters."""
    clean = "".join(c if c.isprintable() else _LOST for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def printable(text: str) -> str:
    """``text`` with its lines and tabs, but without what a terminal would obey and without half characters."""
    return "".join(c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else _LOST for c in text)


def whole(text: str) -> str:
    """``text`` with a question mark for every half character (lone surrogate): JSON can hold one, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
