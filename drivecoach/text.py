"""Foreign text, shown so that no terminal obeys it and no encoding breaks over it; and hashed, whatever is in it."""

from __future__ import annotations

import hashlib
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


def escaped(text: str) -> str:
    """``text`` with every half character as the escape (``\\ud83d``) that it came as in JSON."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def digest(text: str) -> bytes:
    """A short name of a text of any length, 16 bytes of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def fraction(salt: str, text: str) -> float:
    """A number from 0 to below 1 that ``text`` alone decides; another ``salt`` gives one that is independent of it."""
    found = hashlib.sha256(f"{salt}:{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:7]) / 2**56
