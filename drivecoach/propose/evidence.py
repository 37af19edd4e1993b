"""What rows show at one place: which kinds of values, how often, from where to where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from pydantic import JsonValue

Kind = Literal["bool", "int", "float", "text", "list", "object", "too large a number", "nested too deep"]

DEEPEST = 8
"""So many objects and lists in one another are looked into."""
DISTINCT = 1000
"""So many different values, and keys of an object, are told apart."""
_LARGEST = 10**18


@dataclass
class Evidence:
    """What was seen at one place of all rows; `see` adds one value."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    nulls: int = 0
    values: Counter[str | int | float] = field(default_factory=Counter)
    """Texts and numbers, the first `DISTINCT` different ones."""
    low: int | float | None = None
    high: int | float | None = None
    longest: int = 0
    """Characters of the longest text."""
    most: int = 0
    """Items of the longest list."""
    items: Evidence | None = None
    fields: dict[str, Evidence] = field(default_factory=dict)
    """By key, in the order in which the keys were first seen."""

    @property
    def seen(self) -> int:
        """How many values, null left out."""
        return self.kinds.total()

    def see(self, value: JsonValue, depth: int = 0) -> None:
        """Add one value, ``depth`` objects and lists down."""
        if value is None:
            self.nulls += 1
        elif isinstance(value, bool):
            self.kinds["bool"] += 1
        elif isinstance(value, int | float):
            self._see_number(value)
        elif isinstance(value, str):
            self.kinds["text"] += 1
            self.longest = max(self.longest, len(value))
            self._count(value)
        elif depth == DEEPEST:
            self.kinds["nested too deep"] += 1
        elif isinstance(value, list):
            self.kinds["list"] += 1
            self.most = max(self.most, len(value))
            self.items = self.items or Evidence()
            for item in value:
                self.items.see(item, depth + 1)
        else:
            self.kinds["object"] += 1
            for key, part in value.items():
                if key in self.fields or len(self.fields) < DISTINCT:
                    self.fields.setdefault(key, Evidence()).see(part, depth + 1)

    def _see_number(self, value: int | float) -> None:
        if not isfinite(value) if isinstance(value, float) else abs(value) >= _LARGEST:
            self.kinds["too large a number"] += 1
            return
        self.kinds["int" if isinstance(value, int) else "float"] += 1
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)
        self._count(value)

    def _count(self, value: str | int | float) -> None:
        if value in self.values or len(self.values) < DISTINCT:
            self.values[value] += 1
