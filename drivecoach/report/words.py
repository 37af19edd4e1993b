"""Texts in both languages of a page, and numbers as people read them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]


class Words(NamedTuple):
    """One text in both languages."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        """The text in one of them."""
        return self.zh if language == "zh" else self.en


def percent(right: int, rows: int) -> str:
    """A share with two decimals, and with more where these would make all of it, or none, of what is not."""
    if not rows:
        return "–"
    if right in (0, rows):
        return "100%" if right else "0%"
    for digits in range(2, 8):
        text = f"{right / rows:.{digits}%}"
        if text not in (f"{1:.{digits}%}", f"{0:.{digits}%}"):
            break
    return text


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"


def milliseconds(value: float) -> str:
    """A time with three digits."""
    if value < 0.01:
        return "< 0.01 ms"
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"
