"""Making the driving data set: pairs drawn from the rule teacher, a card, a checksum."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from drivecoach.data.split import split_name
from drivecoach.errors import DataError
from drivecoach.files import sha256, write_text

COUNT = 7799
"""As many as the article's own set, which is not public."""
SEED = 3407


def taught(line: str) -> bool:
    """Whether a recipe with the usual shares (10% validation, 10% test) trains on this line."""
    return split_name(line, 0.1, 0.1) == "train"


def generate(target: Path, count: int = COUNT, seed: int = SEED) -> dict[str, Any]:
    """Write ``count`` pairs to ``target`` (a JSON list, one pair a line) and a card ``README.md`` beside it.

    The same ``count`` and ``seed`` give the same bytes. Returns what the card counts. Raises DataError for a count
    that cannot be drawn, and where a README.md that is no such card would be written over.
    """
    from drivecoach.domains import driving as domain

    card = target.with_name("README.md")
    if card.exists() and not card.read_bytes().startswith(f"# {target.name}\n".encode()):
        raise DataError(
            f"{card} is not the card of {target.name}, and would be written over",
            hint=f"choose a folder of its own, e.g. datasets/{target.name}",
        )
    try:
        drawn = domain.draw_pairs(count, seed, taught)
    except ValueError as error:
        raise DataError(f"cannot draw {count} pairs: {error}", hint="choose another --count") from None
    lines = []
    levels: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    for state, advice in drawn:
        output = f"<think>\n{domain.explain(state, advice)}\n</think>\n\n{domain.write_answer(advice.instruction)}"
        lines.append(json.dumps({"input": domain.write_input(state), "output": output}, ensure_ascii=False))
        levels[advice.instruction.level] += 1
        rules[advice.rule.id] += 1
    write_text(target, "[\n" + ",\n".join(lines) + "\n]\n")
    summary = {
        "pairs": count,
        "seed": seed,
        "rules": len(rules),
        "levels": ", ".join(f"{level} {number}" for level, number in levels.most_common()),
        "bytes": target.stat().st_size,
        "sha256": sha256(target),
    }
    write_text(card, _card(target.name, summary, rules))
    return summary


def _card(name: str, summary: dict[str, Any], rules: Counter[str]) -> str:
    counts = " · ".join(f"{rule} {number}" for rule, number in sorted(rules.items()))
    return f"""# {name}

{summary["pairs"]:,} pairs of a car's state and a coach's instruction, in Chinese.

**Where they come from.** The pairs are made by drivecoach's rule teacher (`drivecoach/domains/driving/rules/`). The
7,799 pairs of the article that started this project are not public; these stand in for them, in the same form. They
are no recordings of real lessons. A file of your own in the same form drops in without change:
`drivecoach data check YOURS.json`, then `data.path` in the recipe.

**Form.** A JSON list; each pair is `{{"input": "<特征>…</特征>", "output": "<think>\\n…\\n</think>\\n\\n{{…}}"}}`.
The input is the canonical feature line; the output holds the reasoning (the features that decide, then the rule's
reason) and the instruction: `动作` (1 to 6 action phrases), `级别` (提示, 警告, 危险), `话术` (what the coach says).

**How they were drawn.** Each of the {summary["rules"]} rules gets a share by the 0.35th power of how many of the
292,352 legal states it answers, or by half the number of its lists of actions where that is more and there are states
enough (16 a list); inside a rule every exam item gets the same share, and inside an item every different instruction.
Drawn evenly, 74% would be 危险, and the steps of an exam item under 1%. Some lists of actions are right for one or two
states only; where the splits below would teach none of these, none was drawn (34 states in all). No input occurs
twice. The same seed gives the same bytes:
`drivecoach data generate --seed {summary["seed"]}`.

| | |
|---|---|
| pairs | {summary["pairs"]} |
| levels | {summary["levels"]} |
| size | {summary["bytes"]:,} bytes |
| SHA-256 | `{summary["sha256"]}` |

**Splits.** None in the file: 10% validation and 10% test are chosen by a hash of the canonical input, so a state is
never in two splits and rows added later move none.

**Pairs a rule.** {counts}
"""
