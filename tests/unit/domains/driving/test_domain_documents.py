"""What docs say about the rules: every number in hand-written pages is the computed one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from drivecoach.data.split import split_name
from drivecoach.domain.base import share_of
from drivecoach.domains.driving import RULES
from drivecoach.domains.driving.draw import HELD_OUT

ROOT = Path(__file__).parents[4]
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
STATES = r"legal(?: driving)? states|driving states|questions|answers in minutes|个合法状态"


def numbers(text: str, before: str) -> set[int]:
    """The numbers that stand before words; line breaks are spaces."""
    found = re.findall(rf"(\d[\d,]*) ?(?:{before})", " ".join(text.split()))
    return {int(number.replace(",", "")) for number in found}


def test_pages_name_the_right_numbers_of_states_rules_and_pairs(judged: list) -> None:
    states = [text for page in PAGES for text in numbers(page.read_text(encoding="utf-8"), STATES)]
    assert set(states) == {len(judged)}
    rules = [text for page in PAGES for text in numbers(page.read_text(encoding="utf-8"), r"rules\b|条规则")]
    assert set(rules) == {len(RULES)}
    pairs = json.loads((ROOT / "datasets" / "driving.json").read_text(encoding="utf-8"))
    counted = [text for page in PAGES for text in numbers(page.read_text(encoding="utf-8"), r"pairs\b|条数据")]
    assert len(pairs) in counted


def test_card_and_table_tell_how_states_are_shared_out(judged: list) -> None:
    card = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    assert numbers(card, "legal states") == {len(judged)}
    assert numbers(card, "rules") == {len(RULES)}
    danger = sum(entry.advice.instruction.level == "危险" for entry in judged) / len(judged)
    assert f"{danger:.0%} would be 危险" in card


def test_a_lesson_is_taught_where_the_usual_splits_train_on_it() -> None:
    for text in map(str, range(1000)):
        assert (share_of(text) >= HELD_OUT) == (split_name(text, 0.1, 0.1) == "train")
