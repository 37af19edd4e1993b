"""How foreign text is shown in an error message."""

from __future__ import annotations


def shown(text: str, limit: int = 60) -> str:
    """``text`` without control characters and cut to ``limit`` characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
