"""Proposing models from evidence: closed sets, numbers and ranges, lists, optional fields, nested models, text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

from drivecoach.errors import Fault
from drivecoach.propose.evidence import DEEPEST, DISTINCT, Evidence
from drivecoach.propose.sides import CLEAR, KEYS
from drivecoach.text import shown

CLOSED = 30
"""A closed set has at most this many values,"""
REPEATED = 3
"""each of them seen this often on average,"""
WIDEST = 64
"""and none is longer than this many characters."""
_RARE = 2
_COMPARED = 200
"""Longer texts are not compared: there may be a thousand of them."""
_OFTEN = 10

Value = str | int


@dataclass(frozen=True)
class Proposed:
    """The type of one place."""

    kind: Literal["bool", "int", "float", "text", "closed", "list", "model"]
    values: tuple[Value, ...] = ()
    """``closed``: the most frequent first."""
    low: int | float | None = None
    high: int | float | None = None
    most: int = 0
    """The largest length of a text or a list."""
    items: Proposed | None = None
    fields: tuple[ProposedField, ...] = ()
    nullable: bool = False
    """``items`` that may be null; a field's own say is ``optional``."""


@dataclass(frozen=True)
class ProposedField:
    """One key of a model."""

    key: str
    type: Proposed
    optional: bool
    """Missing or null in some rows: None by default."""
    evidence: str
    """What it was proposed from, in words."""


def propose(seen: Evidence, where: str, faults: list[Fault], unit: str = "row") -> Proposed:
    """The type of what was seen at ``where``; what cannot be proposed is added to ``faults``.

    Of several kinds of values the one of at least nine in ten is taken; the others do not fit.
    """
    if (closed := _closed(seen)) is not None:
        return closed
    kinds = Counter[str](seen.kinds)
    if kinds["float"]:
        kinds["float"] += kinds.pop("int", 0)
    kind, count = kinds.most_common(1)[0] if kinds else ("text", 0)
    if count < CLEAR * seen.seen:
        found = ", ".join(f"{name} {number:,}" for name, number in kinds.most_common())
        faults.append(Fault(where, found, "values of one kind in at least 9 of 10 rows"))
    match kind:
        case "nested too deep":
            faults.append(Fault(where, kind, f"at most {DEEPEST} objects and lists in one another"))
        case "too large a number":
            faults.append(Fault(where, kind, "numbers of at most 18 digits; longer ones as text"))
        case "bool":
            return Proposed("bool")
        case "int" | "float":
            return Proposed("float" if kind == "float" else "int", low=seen.low, high=seen.high)
        case "list" if seen.items is not None:
            items = propose(seen.items, f"{where}[]", faults, "time")
            return Proposed("list", items=replace(items, nullable=seen.items.nulls > 0), most=seen.most)
        case "object":
            return _model(seen, where, faults, unit)
    return Proposed("text", most=_roomy(seen.longest))


def in_words(seen: Evidence, unit: str, of: int) -> str:
    """The evidence of one field: ``1,873 rows, 4 values``; ``of`` is how many there could be."""
    if not seen.seen:
        return f"null in {_count(seen.nulls, unit)}"
    parts = [_count(seen.seen, unit) if seen.seen == of else f"{seen.seen:,} of {_count(of, unit)}"]
    if seen.values:
        more = "at least " if len(seen.values) == DISTINCT else ""
        parts.append(more + _count(len(seen.values), "value"))
    if seen.kinds["text"] and _closed(seen) is None:
        parts.append(f"the longest {_count(seen.longest, 'character')}")
    if seen.kinds["list"]:
        parts.append(f"at most {_count(seen.most, 'item')}")
    return ", ".join(parts)


def slips(counts: Mapping[str, int]) -> dict[str, str]:
    """Rare texts (one or two rows) that look like a slip of one that is ten times as frequent, to that one.

    A slip differs in its case, its spaces, hyphens between letters and last mark alone, or by a letter too many, too
    few or swapped with the next, of at least five. Another letter in the place of one (level A, level B), another
    sign (C, C++) or other digits are none.
    """
    plain = {text: _plain(text) for text in counts if len(text) <= _COMPARED}
    often = [text for text in plain if counts[text] >= _OFTEN]
    found = {}
    for text in plain:
        if counts[text] <= _RARE:
            likely = (other for other in often if counts[other] >= _OFTEN * counts[text])
            meant = next((other for other in likely if _is_slip(plain[text], plain[other])), None)
            if meant is not None:
                found[text] = meant
    return found


def _closed(seen: Evidence) -> Proposed | None:
    """A closed set of texts, or of texts and whole numbers where neither is only here and there."""
    texts, numbers, total = seen.kinds["text"], seen.kinds["int"], seen.seen
    has_numbers = max(texts, numbers) < CLEAR * total and texts + numbers == total
    if (not has_numbers and texts < CLEAR * total) or len(seen.values) == DISTINCT:
        return None
    if sum(count > _RARE for count in seen.values.values()) > CLOSED:
        return None  # too many, whichever of the others are slips
    wrong = slips({value: count for value, count in seen.values.items() if isinstance(value, str)})
    kept: dict[Value, int] = {}
    for value, count in seen.values.items():
        if isinstance(value, str | int) and value not in wrong and (has_numbers or isinstance(value, str)):
            kept[value] = count
    if not 0 < len(kept) <= CLOSED or sum(kept.values()) < REPEATED * len(kept):
        return None
    if any(isinstance(value, str) and len(value) > WIDEST for value in kept):
        return None
    return Proposed("closed", values=tuple(sorted(kept, key=lambda value: (-kept[value], str(value)))))


def _model(seen: Evidence, where: str, faults: list[Fault], unit: str) -> Proposed:
    objects = seen.kinds["object"]
    counts = {key: part.seen + part.nulls for key, part in seen.fields.items()}
    wrong = slips(counts)
    kept = {key: part for key, part in seen.fields.items() if key not in wrong}
    missing = {key: objects - counts[key] - sum(counts[slip] for slip in wrong if wrong[slip] == key) for key in kept}
    if sum(1 for count in missing.values() if count > 0) > KEYS:
        named = ", ".join(shown(key, 20) for key in list(kept)[:4])
        faults.append(
            Fault(where, f"{len(kept):,} different keys ({named}, …)", f"at most {KEYS} that come and go: no dict")
        )
        return Proposed("model")
    fields = []
    for key, part in kept.items():
        inner = f"{where}.{shown(key)}"
        proposed = propose(part, inner, faults, unit)
        optional = missing[key] > 0 or part.nulls > 0
        fields.append(ProposedField(key, proposed, optional, in_words(part, unit, objects)))
    return Proposed("model", fields=tuple(fields))


def _plain(text: str) -> tuple[str, list[str]]:
    """A text without what a slip of spelling may change, and its numbers."""
    folded = unicodedata.normalize("NFKC", text).casefold().strip()
    return re.sub(r"[\s_]|(?<=[^\W\d])-(?=[^\W\d])|[.,;!?。]$", "", folded), re.findall(r"\d+", folded)


def _is_slip(one: tuple[str, list[str]], other: tuple[str, list[str]]) -> bool:
    (plain, numbers), (like, others) = one, other
    if numbers != others or abs(len(plain) - len(like)) > 1:
        return False
    if plain == like:
        return bool(plain)
    if min(len(plain), len(like)) < 5:
        return False
    start = _shared(plain, like)
    end = _shared(plain[start:][::-1], like[start:][::-1])
    left, right = plain[start : len(plain) - end], like[start : len(like) - end]
    is_swapped = len(left) == 2 and left == right[::-1]
    return (left + right).isalpha() and (is_swapped or len(left) + len(right) == 1)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _roomy(length: int) -> int:
    """The next power of two, at least 16: texts that come later may be a little longer."""
    return 1 << max(4, (length - 1).bit_length())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
