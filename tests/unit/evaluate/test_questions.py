"""What is asked: hard states lie one feature away from a training state and are answered otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivecoach.data.check import Pair
from drivecoach.domain import AnyDomain
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DataError
from drivecoach.evaluate.questions import find_questions, hard_cases
from drivecoach.evaluate.target import open_target
from tests.support.driving import lines
from tests.support.thermostat import THERMOSTAT, Reading

READINGS = [
    THERMOSTAT.write_input(Reading(room=room, temperature=temperature, window_open=temperature % 2 == 0))
    for room in ("kitchen", "living room")
    for temperature in range(15, 25)
]


def pairs_of(domain: AnyDomain, texts: list[str]) -> list[Pair]:
    return [
        Pair(row, text, domain.write_answer(domain.teach(domain.read_input(text)))) for row, text in enumerate(texts)
    ]


@pytest.mark.parametrize("domain", [DRIVING, THERMOSTAT], ids=lambda domain: str(domain.name))
def test_a_hard_state_differs_in_one_feature_and_in_the_answer(domain: AnyDomain) -> None:
    texts = lines(30) if domain is DRIVING else READINGS
    train = pairs_of(domain, texts)
    seen = {pair.input for pair in train}
    found = hard_cases(domain, train, seen, 20)
    assert len({case.question.text for case in found}) == len(found) == min(20, len(found)) >= 5
    assert found == hard_cases(domain, train, seen, 20), "the same every time"
    for case in found:
        value = domain.read_input(case.question.text)
        assert case.question.text not in seen and case.expected == domain.teach(value)
        dumped = domain.input.dump(value)
        assert any(
            sum(dumped.get(key) != other.get(key) for key in {*dumped, *other}) == 1
            and domain.teach(domain.read_input(pair.input)) != case.expected
            for pair in train
            if (other := domain.input.dump(domain.read_input(pair.input)))
        )


def test_a_file_of_ones_own_is_asked_and_a_wrong_row_is_named(tmp_path: Path) -> None:
    rows = [{"input": pair.input, "output": pair.output} for pair in pairs_of(DRIVING, lines(10))]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, rows[0]]), encoding="utf-8")
    with open_target("rules") as target:
        questions = find_questions(target, file, 5)
        assert list(questions.splits) == ["mine"] and len(questions.splits["mine"]) == 5
        assert [len(cases) for cases in find_questions(target, file).splits.values()] == [10], "a duplicate is one"
        file.write_text(json.dumps({"input": "车门", "output": "x"}) + "\n", encoding="utf-8")
        with pytest.raises(DataError, match="cannot be asked") as raised:
            find_questions(target, file)
        assert raised.value.faults and "data check" in raised.value.hint


LAMP = """
from typing import Literal
from drivecoach.domain import Domain
from pydantic import BaseModel
class Sky(BaseModel):
    light: Literal["day", "dusk", "night"]
    fog: Literal["none", "some", "thick"]
    rain: Literal["none", "some", "much"]
class Lamp(BaseModel):
    on: bool
class Lamps(Domain[Sky, Lamp]):
    def teach(self, value):
        return Lamp(on=value.light == "night" or value.fog == "thick")
domain = Lamps("lamps", Sky, Lamp)
"""


def test_what_is_known_of_no_run_is_asked_evenly_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "lamps.py").write_text(LAMP, encoding="utf-8")
    with open_target("rules", f"{tmp_path / 'lamps.py'}:domain") as target:
        questions = find_questions(target, limit=20)
    assert {name: len(cases) for name, cases in questions.splits.items()} == {"uniform": 20}
    assert questions.train == [] and "not known" in questions.notes[0]
