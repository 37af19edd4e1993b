"""What a file of pairs covers: every value, pair of values and rule is counted, and what is not there is named."""

from __future__ import annotations

import json
from itertools import combinations, islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivecoach.data.coverage import coverage
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.text import TEXT
from drivecoach.errors import DataError
from tests.support.command import Run, refused, run  # noqa: F401
from tests.support.thermostat import THERMOSTAT, Reading

READINGS = [
    Reading.model_validate({"room": room, "temperature": degrees, "window open": is_open, "boost": boost})
    for room in ("kitchen", "living room")
    for degrees in (15, 19, 20)
    for is_open in (True, False)
    for boost in (None, 1)
]


def write(path: Path, readings: list[Reading], more: list[dict[str, str]] | None = None) -> Path:
    rows = [
        {"input": THERMOSTAT.write_input(one), "output": THERMOSTAT.write_answer(THERMOSTAT.teach(one))}
        for one in readings
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *(more or [])]), encoding="utf-8")
    return path


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, len(READINGS) - 1), min_size=1, max_size=12))
def test_neighbours_are_the_pairs_that_differ_in_one_field(
    tmp_path_factory: pytest.TempPathFactory, places: set[int]
) -> None:
    chosen = [READINGS[place] for place in sorted(places)]
    found = coverage(write(tmp_path_factory.mktemp("data") / "pairs.jsonl", chosen), THERMOSTAT)
    assert found.pairs == len(chosen)
    apart: dict[str, list[int]] = {}
    for one, other in combinations(chosen, 2):
        left, right = THERMOSTAT.input.dump(one), THERMOSTAT.input.dump(other)
        assert isinstance(left, dict) and isinstance(right, dict)
        differing = [key for key in THERMOSTAT.input.node.fields if left.get(key) != right.get(key)]
        if len(differing) == 1:
            counts = apart.setdefault(differing[0], [0, 0])
            counts[THERMOSTAT.teach(one) != THERMOSTAT.teach(other)] += 1
    assert {one.field: [one.same, one.other] for one in found.neighbours} == apart
    for field in found.fields:
        assert sum(field.counts.values()) == found.pairs


def test_what_contradicts_and_what_is_never_there_is_named(tmp_path: Path) -> None:
    kitchen = [one for one in READINGS if one.room == "kitchen"]
    other = json.loads(THERMOSTAT.write_answer(THERMOSTAT.teach(kitchen[1])))
    wrong = {"input": THERMOSTAT.write_input(kitchen[1]), "output": json.dumps({**other, "level": 9.5})}
    found = coverage(write(tmp_path / "pairs.jsonl", kitchen, [wrong]), THERMOSTAT)
    assert found.refused == {"conflict": 2} and "different answers" in found.conflicts[0]
    (room,) = [field for field in found.fields if field.name == "room"]
    assert room.missing == ["living room"]
    assert ("value", "room:living room", 0) in [(one.kind, one.what, one.pairs) for one in found.wanted]


def test_of_a_finite_domain_missing_pairs_of_values_and_rules_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = list(islice(DRIVING.inputs(), 0, 8000, 37))
    monkeypatch.setattr(type(DRIVING), "inputs", lambda self: iter(states))  # as if there were no others
    rows = [
        {"input": DRIVING.write_input(state), "output": DRIVING.write_answer(DRIVING.teach(state))}
        for state in states
        if state.door == "关闭"
    ]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    found = coverage(path, DRIVING)
    assert {rule.rule: rule.pairs for rule in found.rules}["A01"] == 0, "which needs an open door"
    assert sum(rule.inputs or 0 for rule in found.rules) == len(states)
    assert any(one.kind == "rule" and one.what.startswith("A01") for one in found.wanted)
    doors = [one for one in found.together if "车门" in (one.first, one.second)]
    assert all(one.seen < one.possible for one in doors)
    others = [one for one in found.together if one not in doors]
    assert sum(one.possible - one.seen for one in others) < sum(one.possible - one.seen for one in doors)
    beyond = [one.what for one in found.wanted if one.kind == "boundary"]
    assert beyond and not {*beyond} & {row["input"] for row in rows}
    for line in beyond:
        DRIVING.read_input(line)


def test_texts_that_are_others_but_for_spaces_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    texts = ["How do I park?", "how do I  park", "What now?"]
    rows = [json.dumps({"input": text, "output": "Slowly."}) + "\n" for text in texts]
    path.write_text("".join(rows), encoding="utf-8")
    assert coverage(path, TEXT).repeats == 1


def test_the_page_lies_beside_the_file_and_the_json_says_the_same(run: Run, tmp_path: Path) -> None:  # noqa: F811
    path = write(tmp_path / "pairs.jsonl", READINGS[:6])
    domain = f"{Path(__file__).parents[2] / 'support/thermostat.py'}:THERMOSTAT"
    told = run("data", "report", path, "--domain", domain)
    page = tmp_path / "pairs.report.html"
    assert told.code == 0 and str(page) in told.out and "kitchen" in page.read_text("utf-8")
    found = json.loads(run("data", "report", path, "--domain", domain, "--json").out)
    assert found["pairs"] == 6 and found["domain"] == "thermostat"
    refused(run("data", "report", path, "--domain", domain, "-o", path), "is the input")
    page.write_text("my own", encoding="utf-8")
    refused(run("data", "report", path, "--domain", domain), "no page of drivecoach")


def test_a_file_without_a_good_row_says_so(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"input": "x", "output": "y"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="nothing to look at"):
        coverage(path, DRIVING)
