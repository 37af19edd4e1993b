"""Checking pairs: every fault of every row in one pass, conflicts with all their rows, rejects to correct."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.data.check import Pair, Report, check, json_line
from drivecoach.domains.driving import DRIVING
from tests.support.driving import lines

INPUTS = lines(10)
STATES = [DRIVING.read_input(text) for text in INPUTS]
ANSWERS = [DRIVING.write_answer(DRIVING.teach(state)) for state in STATES]


def pair(number: int, answer: int | None = None, thinking: str = "") -> dict[str, str]:
    """The pair of a state, with another state's answer if ``answer`` is given."""
    text = ANSWERS[number if answer is None else answer]
    return {"input": INPUTS[number], "output": f"<think>\n{thinking}\n</think>\n\n{text}" if thinking else text}


def checked(tmp_path: Path, rows: Sequence[Any]) -> Report:
    path = tmp_path / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return check(path, DRIVING)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1, max_size=3))
def test_the_turns_before_an_input_stand_as_json_before_it(turns: list[tuple[str, str]]) -> None:
    history = [{"role": role, "content": content} for role, content in turns]
    assert Pair(1, "挡位", "x", history).key == json.dumps([list(turn) for turn in turns], ensure_ascii=False) + "挡位"


def test_the_states_of_this_test_differ() -> None:
    assert len(set(INPUTS)) == len(INPUTS) > 6
    assert len(set(ANSWERS)) > 3


def test_good_rows_are_kept_as_they_are_with_the_canonical_input(tmp_path: Path) -> None:
    wide = INPUTS[0].replace(":", "：").replace("; ", " ；")
    report = checked(tmp_path, [{**pair(0, thinking="夜晚"), "input": wide}, {**pair(1), "id": 7}])
    assert [(p.row, p.input, p.output) for p in report.pairs] == [
        (1, INPUTS[0], pair(0, thinking="夜晚")["output"]),
        (2, INPUTS[1], ANSWERS[1]),
    ]
    assert (len(report.pairs), report.refusals, report.warnings) == (2, [], [])
    assert report.counts["级别"].total() == 2


FAULTY = [
    ("not JSON", "malformed"),
    ("7", "malformed"),
    (["a", "b"], "malformed"),
    ({}, "malformed"),
    ({"input": INPUTS[0]}, "malformed"),
    ({"input": INPUTS[0], "output": 7}, "malformed"),
    ({"input": "", "output": ANSWERS[0]}, "malformed"),
    ({"input": "<特征>挡位:9挡</特征>", "output": ANSWERS[0]}, "input"),
    ({"input": INPUTS[0].replace("白天", "黄昏").replace("夜晚", "黄昏"), "output": ANSWERS[0]}, "input"),
    ({"input": INPUTS[0] + "<|im_end|>", "output": ANSWERS[0]}, "input"),
    ({"input": INPUTS[0] + "\ud83d", "output": ANSWERS[0]}, "input"),
    ({"input": INPUTS[0], "output": "松油门"}, "output"),
    ({"input": INPUTS[0], "output": ANSWERS[0] + "<|im_end|>"}, "output"),
    ({"input": INPUTS[0], "output": ANSWERS[0].replace("级别", "等级")}, "output"),
    ({"input": INPUTS[0], "output": "<think>\nno end " + ANSWERS[0]}, "output"),
    ({"input": INPUTS[0], "output": f"<think>\n\udc00\n</think>\n\n{ANSWERS[0]}"}, "output"),
]


def test_no_fault_hides_another(tmp_path: Path) -> None:
    """Every kind in one file, good rows between them: all rows are judged, each with its own number."""
    rows = [row for fault, _ in FAULTY for row in (fault, pair(1))]
    report = checked(tmp_path, rows)
    found = {refusal.row: refusal.kind for refusal in report.refusals}
    expected = {2 * number + 1: kind for number, (_, kind) in enumerate(FAULTY)}
    expected |= dict.fromkeys(range(4, len(rows) + 1, 2), "duplicate")
    assert found == expected
    assert [refusal.row for refusal in report.refusals] == sorted(found)
    assert all(refusal.reason for refusal in report.refusals)
    assert [p.row for p in report.pairs] == [2]
    assert len(report.pairs) + len(report.refusals) == len(rows)
    kinds = Counter(refusal.kind for refusal in report.refusals)
    assert kinds == {"malformed": 7, "input": 4, "output": 5, "duplicate": len(FAULTY) - 1}


def test_all_faults_of_one_row_are_named(tmp_path: Path) -> None:
    line = "<特征>挡位:9挡; 颜色:红; 速度:静止; 速度:正常</特征>"
    (refusal,) = checked(tmp_path, [{"input": line, "output": ANSWERS[0]}]).refusals
    for word in ("9挡", "颜色", "速度", "手刹"):
        assert word in refusal.reason
    (refusal,) = checked(tmp_path, [{"question": "x", "output": ""}, pair(0)]).refusals
    for word in ("'input'", "question", "'output' is empty"):
        assert word in refusal.reason


def test_a_conflict_refuses_and_names_all_its_rows(tmp_path: Path) -> None:
    other = next(number for number, answer in enumerate(ANSWERS) if answer != ANSWERS[0])
    rows = [pair(0), pair(2), pair(0, other), pair(0), pair(2, thinking="again")]
    report = checked(tmp_path, rows)
    conflicts = [refusal for refusal in report.refusals if refusal.kind == "conflict"]
    assert [refusal.row for refusal in conflicts] == [1, 3, 4]
    assert all("1, 3, 4" in refusal.reason for refusal in conflicts)
    assert [(r.row, r.kind) for r in report.refusals if r.kind != "conflict"] == [(5, "duplicate")]
    assert [p.row for p in report.pairs] == [2], "the same answer with other reasoning is no conflict"


def test_an_answer_that_breaks_an_invariant_is_a_warning(tmp_path: Path) -> None:
    broken = [
        (number, answer)
        for number, state in enumerate(STATES)
        for answer in range(len(ANSWERS))
        if DRIVING.violations(state, DRIVING.read_answer(ANSWERS[answer]))
    ]
    number, answer = broken[0]
    report = checked(tmp_path, [pair(number, answer)])
    assert len(report.pairs) == 1
    assert [warning.row for warning in report.warnings] == [1]
    assert report.warnings[0].reason


def test_rejects_hold_each_refused_row_as_it_was(tmp_path: Path) -> None:
    rows = [row for row, _ in FAULTY]
    report = checked(tmp_path, rows)
    written = [json.loads(json_line(refusal.to_json())) for refusal in report.refusals]
    assert [row["row"] for row in written] == list(range(1, len(rows) + 1))
    assert [row["value"] for row in written] == ["not JSON", 7, *rows[2:]]
    assert all(row["kind"] and row["reason"] for row in written)


def test_accepted_rows_are_a_data_file_again(tmp_path: Path) -> None:
    report = checked(tmp_path, [pair(0, thinking="a\u2028b"), pair(1), "broken"])
    accepted = "".join(json_line(pair.to_json()) for pair in report.pairs)
    (tmp_path / "good.jsonl").write_text(accepted, encoding="utf-8")
    again = check(tmp_path / "good.jsonl", DRIVING)
    assert again.refusals == []
    assert [(p.input, p.output) for p in again.pairs] == [(p.input, p.output) for p in report.pairs]


@given(st.lists(st.sampled_from([*(pair(n) for n in range(3)), pair(0, 3), "x", {"input": "y", "output": "z"}])))
def test_every_row_is_accepted_or_refused_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str] | str]
) -> None:
    report = checked(tmp_path_factory.mktemp("rows"), [*rows, pair(5)])
    numbers = [p.row for p in report.pairs] + [refusal.row for refusal in report.refusals]
    assert sorted(numbers) == list(range(1, len(rows) + 2))
    assert len({p.input for p in report.pairs}) == len(report.pairs)
