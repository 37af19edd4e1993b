"""The Markdown that is generated from the rules: the data card and the table of rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from drivecoach.domain import RuleTable
from drivecoach.domains.driving.draw import FLATTENING, LIST_SHARE, Space
from drivecoach.domains.driving.plan import Choice, actions_in
from drivecoach.domains.driving.rules.rule import Rule

Said = TypeVar("Said", bound=str)


def card(name: str, summary: Mapping[str, str | int], groups: Mapping[str, int], domain: str, space: Space) -> str:
    """The data card of pairs that were drawn from ``space`` into the file ``name``.

    That of the shipped rules begins with the hub's metadata: the licence, and which file it is of.
    """
    metadata = (
        f"---\nlicense: apache-2.0\nlanguage: zh\nconfigs:\n- config_name: default\n"
        f"  data_files: {json.dumps(name, ensure_ascii=False)}\n---\n"
        if domain == "driving"
        else ""
    )
    total = space.states.total()
    smaller_half = sorted(space.states.values())[: len(space.states) // 2]
    article = (
        " The 7,799 pairs of the\narticle that started this project are not public; these stand in for them, in the "
        "same form."
        if domain == "driving"
        else ""
    )
    same = "rows" if name.lower().endswith(".xlsx") else "bytes"
    rows = "\n".join(f"| {key} | {f'{value:,}' if key == 'bytes' else value} |" for key, value in summary.items())
    return f"""{metadata}# {name}

{summary["pairs"]:,} pairs of a car's state and a coach's instruction, in Chinese.

**Where they come from.** The pairs are made by the rule teacher of drivecoach's domain `{domain}`.{article}
They are no recordings of real lessons. A file of your own in the same form drops in without change:
`drivecoach data check YOURS.json`, then `data.path` in the recipe.

{_form(name)}

**How they were drawn.** Each of the {len(groups)} rules gets a share by the {FLATTENING}th power of how many of the
{total:,} legal states it answers, or by half the number of its lists of actions where that is more and there are
states enough ({LIST_SHARE} a list); inside a rule every exam item gets the same share, and inside an item every
different instruction. Drawn evenly, {space.levels["危险"] / total:.0%} would be 危险, and the rarer half of the rules
would have {sum(smaller_half) / total:.1%} of all pairs. Some lists of actions are right for one or two states only;
where the splits below would teach none of these, none was drawn ({space.untaught} states in all). No input occurs
twice. Inside a cell of rule, item and instruction, and for the order of the file, a hash of seed and input decides:
the same seed gives the same {same}, and a rule that is added or changed leaves nearly all other pairs as they are.

| | |
|---|---|
{rows}

**Splits.** None in the file: 10% validation and 10% test are chosen by a hash of the canonical input, so a state is
never in two splits and rows added later move none.

**Pairs a rule.** {" · ".join(f"{rule} {number}" for rule, number in groups.items())}
"""


def _form(name: str) -> str:
    if name.lower().endswith((".csv", ".tsv", ".xlsx")):
        return """**Form.** A table: one column a feature, then the instruction: `动作` (1 to 6 action phrases, joined
by ；), `级别` (提示, 警告, 危险), `话术` (what the coach says); `thinking` holds the reasoning (the features that
decide, then the rule's reason)."""
    whole = "JSONL, a pair a line" if name.lower().endswith(".jsonl") else "A JSON list"
    pair = r'{"input": "<特征>…</特征>", "output": "<think>\n…\n</think>\n\n{…}"}'
    return f"""**Form.** {whole}; each pair is `{pair}`.
The input is the canonical feature line; the output holds the reasoning (the features that decide, then the rule's
reason) and the instruction: `动作` (1 to 6 action phrases), `级别` (提示, 警告, 危险), `话术` (what the coach says)."""


_BRIEF = ("id", "级别", "states", "话术", "source")
_PAGE = ("id", "级别", "states", "features of the condition", "话术", "source")
"""The columns of the table that are shown on a terminal, and on the page."""


def rules_page(rules: Sequence[Rule], space: Space, pairs: Mapping[str, int], features: Sequence[str]) -> str:
    """The table of rules (Markdown) with how many of ``pairs`` (by rule id) each has; see `rules_table`."""
    table = rules_table(rules, space.states, features)
    shown = [table.columns.index(name) for name in _PAGE]
    head = [table.columns[place] for place in shown]
    head.insert(3, "pairs")
    lines = [
        "# The coaching rules",
        "",
        "Generated from `drivecoach/domains/driving/rules/` by `drivecoach refresh`; do not edit. The first rule whose",
        "condition holds is the answer: the column `states` counts the legal states that it answers, `pairs` those in",
        "`datasets/driving.json`.",
        "",
        f"{len(rules)} rules, {space.states.total():,} legal states ("
        + ", ".join(f"{level} {number:,}" for level, number in space.levels.most_common())
        + f"), {sum(pairs.values()):,} pairs.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for row in table.rows:
        cells = [f"{row[place]:,}" if isinstance(row[place], int) else str(row[place]) for place in shown]
        cells.insert(3, str(pairs.get(str(row[0]), 0)))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def rules_table(rules: Sequence[Rule], states: Mapping[str, int], features: Sequence[str]) -> RuleTable:
    """A row a rule; ``states``: how many legal states each answers, by id; ``features`` in canonical order."""
    columns = ("id", "级别", "states", "features of the condition", "动作", "话术", "理由", "评判", "source")
    rows = [
        (
            rule.id,
            _told(rule.level),
            states.get(rule.id, 0),
            "、".join(name for name in features if name in rule.when.reads),
            "；".join(dict.fromkeys(actions_in(rule.do))) + ("；…" if rule.starts else ""),
            _told(rule.say) + ("，…" if rule.starts else ""),
            rule.reason,
            rule.verdict,
            rule.source,
        )
        for rule in rules
    ]
    return RuleTable(columns, rows, _BRIEF, "the first rule whose condition holds is the answer")


def _told(value: Said | Choice[Said]) -> str:
    return " / ".join(dict.fromkeys(value.values())) if isinstance(value, Choice) else value
