"""The shipped pairs: the same bytes from the same seed, whole, free of faults, and what the card says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from drivecoach.chat.template import split
from drivecoach.data.check import check
from drivecoach.data.generate import COUNT, SEED, DataSet, draw, generate
from drivecoach.domain import Domain
from drivecoach.domains.driving import DRIVING, RULES
from drivecoach.domains.driving.words import ACTIONS, LEVELS
from drivecoach.domains.text import TEXT
from drivecoach.errors import DataError, RecipeError
from tests.support.driving import FEATURES, draw_from_few_states

DATASETS = Path(__file__).parents[3] / "datasets"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    read: list[dict[str, str]] = json.loads((DATASETS / "driving.json").read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DataSet]:
    target = tmp_path_factory.mktemp("made") / "driving.json"
    return target, generate(target, DRIVING, COUNT, SEED)


def test_the_committed_files_are_what_the_command_makes(made: tuple[Path, DataSet]) -> None:
    target, data = made
    assert target.read_bytes() == (DATASETS / "driving.json").read_bytes()
    assert target.with_name("README.md").read_bytes() == (DATASETS / "README.md").read_bytes()
    assert data.summary["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()


def test_datasets_holds_no_python() -> None:
    """With an ``__init__.py`` the folder would hide Hugging Face's `datasets`."""
    assert not list(DATASETS.rglob("*.py"))


def test_the_card_tells_the_truth(rows: list[dict[str, str]]) -> None:
    card = (DATASETS / "README.md").read_text(encoding="utf-8")
    data = (DATASETS / "driving.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() in card
    assert f"| bytes | {len(data):,} |" in card
    assert f"{len(rows):,} pairs" in card
    assert "rule teacher" in card and "not public" in card
    counted = {rule: int(count) for rule, count in re.findall(r"\b([A-E]\d\d) (\d+)\b", card)}
    drawn = [DRIVING.advise(DRIVING.read_input(row["input"])).rule.id for row in rows]
    assert counted == {rule: drawn.count(rule) for rule in set(drawn)}


def test_the_article_has_as_many(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 7799
    assert all(list(row) == ["input", "output"] for row in rows)


def test_no_input_occurs_twice_and_check_finds_nothing(rows: list[dict[str, str]]) -> None:
    assert len({row["input"] for row in rows}) == len(rows)
    report = check(DATASETS / "driving.json", DRIVING)
    assert report.refusals == []
    assert report.warnings == []
    assert [p.input for p in report.pairs] == [row["input"] for row in rows], "inputs are canonical"


def test_every_rule_feature_value_level_and_action_is_there(rows: list[dict[str, str]]) -> None:
    advices = [DRIVING.advise(DRIVING.read_input(row["input"])) for row in rows]
    assert {advice.rule.id for advice in advices} == {rule.id for rule in RULES}
    seen = {pair for row in rows for pair in re.findall(r"(\w+):(\w+)", row["input"])}
    assert seen == {(name, value) for name, values in FEATURES.items() for value in values}
    assert {advice.instruction.level for advice in advices} == set(LEVELS)
    assert {action for advice in advices for action in advice.instruction.actions} == set(ACTIONS)


def test_every_answer_is_the_teachers_with_its_reason(rows: list[dict[str, str]]) -> None:
    for row in rows[::7]:
        parts = split(row["output"])
        advice = DRIVING.advise(DRIVING.read_input(row["input"]))
        assert parts.text == DRIVING.write_answer(advice.instruction)
        clauses = parts.thinking.removesuffix("。").split("；")
        assert 2 <= len(clauses) <= 5, parts.thinking
        assert all(clauses) and parts.thinking.endswith("。")
        assert row["output"] == f"<think>\n{parts.thinking}\n</think>\n\n{parts.text}"


@pytest.fixture
def few_states(monkeypatch: pytest.MonkeyPatch) -> int:
    return draw_from_few_states(monkeypatch)


def test_another_seed_draws_others(few_states: int, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(tmp_path / name / "a.json", DRIVING, 200, seed)
    first, same, other = ((tmp_path / name / "a.json").read_bytes() for name in "abc")
    assert first == same != other


def test_a_count_that_cannot_be_is_refused(few_states: int, tmp_path: Path) -> None:
    for count in (1, few_states + 1):
        with pytest.raises(DataError, match=f"{count}") as caught:
            generate(tmp_path / "x.json", DRIVING, count)
        assert "--count" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_readme_that_is_no_card_is_not_written_over(few_states: int, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# my project\n")
    with pytest.raises(DataError, match=r"README\.md") as caught:
        generate(tmp_path / "driving.json", DRIVING, 200)
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "# my project\n"
    for seed in (1, 2):
        generate(tmp_path / "own" / "driving.json", DRIVING, 200, seed)


def test_a_domain_without_a_teacher_cannot_draw() -> None:
    with pytest.raises(RecipeError, match="text") as caught:
        draw("pairs.json", TEXT, 10)
    assert caught.value.hint


class Bit(BaseModel):
    on: bool


class Said(BaseModel):
    word: Literal["on", "off"]


class Switch(Domain[Bit, Said]):
    def teach(self, value: Bit) -> Said:
        return Said(word="on" if value.on else "off")


def test_any_domain_with_a_teacher_can_draw(tmp_path: Path) -> None:
    made = generate(tmp_path / "bits.json", Switch("bits", Bit, Said), 2)
    rows = json.loads((tmp_path / "bits.json").read_text())
    assert sorted(row["output"] for row in rows) == ['{"word": "off"}', '{"word": "on"}']
    assert made.summary["word"] in ("on 1, off 1", "off 1, on 1")
    assert "bits" in (tmp_path / "README.md").read_text()
