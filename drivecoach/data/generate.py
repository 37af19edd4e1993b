"""Making the data set of a domain that has a teacher: drawn pairs, a card, a checksum."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.files import write_text

COUNT = 7799
"""As many as the article's own set, which is not public."""
SEED = 3407


@dataclass(frozen=True)
class DataSet:
    """The two files of a data set, as text, and what they hold."""

    pairs: str
    """A JSON list, one pair a line."""
    card: str
    """Markdown."""
    summary: dict[str, str | int]
    """What the card counts: pairs, seed, every closed field of the answers, bytes, sha256."""
    groups: dict[str, int]
    """How many pairs are of each group, such as a rule, by name."""


def draw(name: str, domain: AnyDomain, count: int = COUNT, seed: int = SEED) -> DataSet:
    """``count`` pairs of the domain for a file ``name``; the same ``count`` and ``seed`` give the same bytes.

    Raises DataError for a count that cannot be drawn, RecipeError for a domain that cannot draw.
    """
    try:
        drawn = domain.draw(count, seed)
    except ValueError as error:
        raise DataError(f"cannot draw {count} pairs: {error}", hint="choose another --count") from None
    rows = []
    closed = {key: Counter[str]() for key, node in domain.answer.node.fields.items() if node.kind == "closed"}
    for pair in drawn:
        thinking = f"<think>\n{pair.thinking}\n</think>\n\n" if pair.thinking else ""
        row = {"input": domain.write_input(pair.input), "output": thinking + domain.write_answer(pair.answer)}
        rows.append(json.dumps(row, ensure_ascii=False))
        answer = domain.answer.dump(pair.answer)
        for key, counter in closed.items():
            counter[str(answer.get(key)) if isinstance(answer, dict) else ""] += 1
    text = "[\n" + ",\n".join(rows) + "\n]\n"
    counts = {key: ", ".join(f"{value} {n}" for value, n in found.most_common()) for key, found in closed.items()}
    summary: dict[str, str | int] = {
        "pairs": count,
        "seed": seed,
        **counts,
        "bytes": len(text.encode()),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    groups = dict(sorted(Counter(pair.group for pair in drawn if pair.group).items()))
    return DataSet(text, domain.card(name, summary, groups), summary, groups)


def generate(target: Path, domain: AnyDomain, count: int = COUNT, seed: int = SEED) -> DataSet:
    """Write drawn pairs to ``target`` and a card ``README.md`` beside it; see `draw`.

    Raises DataError also where a README.md that is no such card would be written over.
    """
    card = target.with_name("README.md")
    if card.exists() and f"\n# {target.name}\n".encode() not in b"\n" + card.read_bytes():
        raise DataError(
            f"{card} is not the card of {target.name}, and would be written over",
            hint=f"choose a folder of its own, e.g. datasets/{target.name}",
        )
    made = draw(target.name, domain, count, seed)
    write_text(target, made.pairs)
    write_text(card, made.card)
    return made
