"""Making the data set of a domain that has a teacher: drawn pairs as JSON or as a table, a card, a checksum."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from drivecoach.data.columns import Columns
from drivecoach.data.write import SHEETS, write_json, write_table
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.files import check_outputs, sha256, write_text

COUNT = 7799
"""As many as the article's own set, which is not public."""
SEED = 3407
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class DataSet:
    """The pairs of a data set and its card, and what they hold."""

    pairs: str
    """A JSON list, one pair a line."""
    rows: list[dict[str, str]]
    """The same pairs."""
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
        rows.append(row)
        answer = domain.answer.dump(pair.answer)
        for key, counter in closed.items():
            counter[str(answer.get(key)) if isinstance(answer, dict) else ""] += 1
    text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
    counts = {key: ", ".join(f"{value} {n}" for value, n in found.most_common()) for key, found in closed.items()}
    summary: dict[str, str | int] = {
        "pairs": count,
        "seed": seed,
        **counts,
        "bytes": len(text.encode()),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    groups = dict(sorted(Counter(pair.group for pair in drawn if pair.group).items()))
    return DataSet(text, rows, domain.card(name, summary, groups), summary, groups)


def generate(target: Path, domain: AnyDomain, count: int = COUNT, seed: int = SEED) -> DataSet:
    """Write drawn pairs to ``target`` and a card ``README.md`` beside it; see `draw`.

    By the target's ending the pairs are a table with one column a field (CSV, TSV, XLSX), JSONL, or else a JSON list.
    Raises DataError also where a README.md that is no such card would be written over.
    """
    check_outputs({"TARGET": target})
    card = target.with_name("README.md")
    check_outputs({"TARGET": target, "its card": card})
    if card.exists() and f"\n# {target.name}\n".encode() not in b"\n" + card.read_bytes():
        raise DataError(
            f"{card} is not the card of {target.name}, and would be written over",
            hint=f"choose a folder of its own, e.g. datasets/{target.name}",
        )
    made = draw(target.name, domain, count, seed)
    kind = target.suffix.lower()
    if kind in SHEETS:
        write_table(target, Columns(domain), ((row["input"], row["output"]) for row in made.rows))
    elif kind == ".jsonl":
        write_json(target, made.rows)
    else:
        write_text(target, made.pairs)
    if kind in (*SHEETS, ".jsonl"):
        summary = {**made.summary, "bytes": target.stat().st_size, "sha256": sha256(target)}
        made = replace(made, summary=summary, card=domain.card(target.name, summary, made.groups))
    write_text(card, made.card)
    return made
