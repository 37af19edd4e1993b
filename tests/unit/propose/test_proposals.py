"""What is proposed from rows: the kind of each field, its evidence, and what is left out as an error."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drivecoach.config import SourceConfig
from drivecoach.domains.load import load_domain
from drivecoach.errors import DataError
from drivecoach.propose import Made, make_folder
from drivecoach.propose.fields import slips

ANSWER = '{"action": "off"}'


def made_from(rows: list[tuple[str, str]], folder: Path) -> tuple[Made, str]:
    """The folder made from rows of (input, output), and its schema.py."""
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps({"input": a, "output": b}) + "\n" for a, b in rows), encoding="utf-8")
    made = make_folder(folder / "own", SourceConfig(path=str(source)))
    return made, (made.folder / "schema.py").read_text(encoding="utf-8")


def lines_with(name: str, values: list[Any]) -> list[tuple[str, str]]:
    """Rows whose answers hold ``values`` under ``name``; inputs are numbered lines."""
    answers = [json.dumps({"action": "off", **({name: value} if value != "absent" else {})}) for value in values]
    return [(f"n:{number}; room:bath", answer) for number, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (["on", "off"] * 6, 'x: Literal["off", "on"]  # 12 rows, 2 values'),
        ([True, False] * 6, "x: bool  # 12 rows"),
        ([3, 7, 3] * 4, "x: int = Field(ge=3, le=7)  # 12 rows, 2 values"),
        ([3, 7.5, -1] * 4, "x: float = Field(ge=-1, le=7.5)  # 12 rows, 3 values"),
        ([1, "auto", 2] * 4, 'x: Literal[1, 2, "auto"]  # 12 rows, 3 values'),
        (
            [f"text {n}" for n in range(12)],
            "x: str = Field(max_length=16)  # 12 rows, 12 values, the longest 7 characters",
        ),
        ([["a"], ["b", "a"], []] * 4, 'x: list[Literal["a", "b"]] = Field(max_length=2)  # 12 rows, at most 2 items'),
        (
            [[1], [2, 9]] * 6,
            "x: list[Annotated[int, Field(ge=1, le=9)]] = Field(max_length=2)  # 12 rows, at most 2 items",
        ),
        ([[None, 1], [2, 9]] * 6, "list[Annotated[int | None, Field(ge=1, le=9)]]"),
        ([5, None, "absent"] * 4, "x: int | None = Field(None, ge=5, le=5)  # 4 of 12 rows, 1 value"),
        ([None] * 12, "x: str | None = Field(None, max_length=16)  # null in 12 rows"),
        ([{"y": True}] * 12, "x: X  # 12 rows"),
        ([{}] * 12, "class X(BaseModel):"),
    ],
)
def test_a_field_is_proposed_with_its_evidence(values: list[Any], field: str, tmp_path: Path) -> None:
    made, schema = made_from(lines_with("x", values), tmp_path)
    assert field in schema
    assert (made.rows, made.pairs) == (12, 12)


def test_numbers_and_booleans_of_a_line_are_read_from_its_texts(tmp_path: Path) -> None:
    rows = [
        (f"t:{n}; open:{is_open}; level:{n / 2}; id:00{n}; mode:{mode}；灯：开", ANSWER)
        for n, (is_open, mode) in enumerate([("true", "auto"), ("false", "1")] * 6, start=10)
    ]
    _, schema = made_from(rows, tmp_path)
    for field in (
        "t: int = Field(ge=10, le=21)",
        "open: bool",
        "level: float = Field(ge=5.0, le=10.5)",
        "id: str = Field(max_length=16)",
        'mode: Literal["1", "auto"]',
        '灯: Literal["开"]',
    ):
        assert f"    {field}  # 12 rows" in schema
    assert "# Inputs: 12 lines of key:value." in schema


def test_a_text_among_the_numbers_of_lines_does_not_fit_but_leading_zeros_make_identifiers(tmp_path: Path) -> None:
    rows = [(f"n:{n}; id:{n}; level:{n % 5}", ANSWER) for n in range(10, 40)]
    made, schema = made_from([*rows, ("n:50; id:007; level:high", ANSWER)], tmp_path)
    assert "id: str" in schema and "level: int = Field(ge=0, le=4)" in schema
    assert [row.row for row in made.refusals] == [31] and "level: high" in made.refusals[0].reason


def test_free_text_with_colons_is_no_line(tmp_path: Path) -> None:
    rows = [(f"Question {n}: why?\nRemark {n * 7}: none", f"Because {n}.") for n in range(20)]
    _, schema = made_from(rows, tmp_path)
    assert 'domain = Domain("own", str, str, "You are own.")' in schema
    assert "# Inputs: free text, 20 rows, 20 values, the longest " in schema


def test_reasoning_is_no_part_of_an_answer_and_is_kept(tmp_path: Path) -> None:
    made, schema = made_from([(f"input {n}", f"<think>hm {n}</think>{ANSWER}") for n in range(30)], tmp_path)
    assert 'action: Literal["off"]' in schema
    first = json.loads((made.folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first == {"input": "input 0", "output": f"<think>\nhm 0\n</think>\n\n{ANSWER}"}


def test_a_rare_value_that_looks_like_a_slip_does_not_fit_and_another_rare_value_does(tmp_path: Path) -> None:
    made, schema = made_from(lines_with("x", ["heating"] * 40 + ["heatign", "Heating ", "cooling"]), tmp_path)
    assert 'x: Literal["heating", "cooling"]  # 43 rows' in schema
    assert [(row.row, row.kind) for row in made.refusals] == [(41, "output"), (42, "output")]
    assert "heatign" in made.refusals[0].reason and "heating, cooling" in made.refusals[0].reason
    rejects = [json.loads(line) for line in (made.folder / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in rejects] == [41, 42]
    assert len((made.folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()) == made.pairs == 41


def test_a_rare_key_that_looks_like_a_slip_leaves_its_field_required(tmp_path: Path) -> None:
    rows = lines_with("temperature", [20] * 30)
    rows.append(("n:99; room:bath", '{"action": "off", "temprature": 20}'))
    made, schema = made_from(rows, tmp_path)
    assert "temperature: int = Field(ge=20, le=20)" in schema
    assert [row.row for row in made.refusals] == [31] and "temprature: unknown key" in made.refusals[0].reason


def test_slips() -> None:
    counts = {"living room": 50, "livingroom": 1, "living rooms": 2, "lamp 1 on": 40, "lamp 2 on": 1, "on": 90, "in": 1}
    assert slips(counts) == {"livingroom": "living room", "living rooms": "living room"}
    assert slips({"heating": 9, "heatign": 1}) == {}, "not frequent enough to be right"


@pytest.mark.parametrize(
    ("often", "rare"),
    [
        ("level A", "level B"),
        ("enable", "unable"),
        ("cooking", "booking"),
        ("15", "1.5"),
        ("C++", "C"),
        ("A", "A+"),
        ("grade A", "grade A+"),
        ("5 bar", "-5 bar"),
        ("12", "1-2"),
        ("turn left", "burn left"),
    ],
)
def test_another_value_that_differs_little_is_no_slip(often: str, rare: str) -> None:
    assert slips({often: 60, rare: 1}) == {}


def test_many_long_texts_are_not_compared_with_one_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared: list[object] = []
    monkeypatch.setattr("drivecoach.propose.fields._is_slip", lambda one, other: bool(compared.append(one)))
    texts = [f"{n} {'word ' * 60}" for n in range(40)]
    made, schema = made_from(lines_with("x", [*texts[:20] * 20, *texts[20:]]), tmp_path)
    assert "x: str = Field(max_length=512)" in schema
    assert made.pairs == 420 and not compared


def test_wrapped_lines_are_free_text_and_the_schema_says_so(tmp_path: Path) -> None:
    made, schema = made_from([(f"<x>t:{n}; room:bath</x>", ANSWER) for n in range(20)], tmp_path)
    assert made.pairs == 20
    assert 'Domain("own", str, OwnAnswer' in schema
    assert "# Inputs: free text (20 texts in <x>…</x>, which are not looked into), 20 rows" in schema


def test_conflicts_and_duplicates_are_set_aside(tmp_path: Path) -> None:
    rows = [*lines_with("x", [1] * 9), ("n:0; room:bath", '{"action": "off", "x": 1}'), ("n:50; room:bath", ANSWER)]
    rows += [("room:bath; n:50", '{"action": "off", "x": 1}')]
    made, _ = made_from(rows, tmp_path)
    assert dict(made.refused) == {"duplicate": 1, "conflict": 2}


def test_one_system_message_of_all_rows_becomes_the_domains_and_several_stay_in_the_rows(tmp_path: Path) -> None:
    def chats(*systems: str) -> Made:
        path = tmp_path / "chats.jsonl"
        chats = [
            [("system", systems[n % len(systems)]), ("user", f"q {n}"), ("assistant", ANSWER)] for n in range(20)
        ]
        rows = [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in chats]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return make_folder(tmp_path / f"own{len(systems)}", SourceConfig(path=str(path)))

    one, two = chats("Be brief."), chats("Be brief.", "Be kind.")
    assert load_domain(str(one.folder / "schema.py")).system == "Be brief."
    row = json.loads((one.folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row == {"input": "q 0", "output": ANSWER}
    row = json.loads((two.folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert row == {"input": "q 1", "output": ANSWER, "system": "Be kind."}


def test_earlier_turns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    turns = [("human", "hi"), ("gpt", "hello"), ("human", "bath?"), ("gpt", ANSWER)]
    path.write_text(json.dumps([{"conversations": [{"from": a, "value": b} for a, b in turns]}]), encoding="utf-8")
    made = make_folder(tmp_path / "own", SourceConfig(path=str(path)))
    (row,) = map(json.loads, (made.folder / "pairs.jsonl").read_text(encoding="utf-8").splitlines())
    assert [turn["content"] for turn in row["messages"]] == ["hi", "hello", "bath?", ANSWER]


def deep(levels: int) -> Any:
    return {"in": deep(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([ANSWER, "It is off."] * 5, "answer: 5 JSON objects, 5 other texts (JSON first in row 1, text"),
        ([json.dumps({"x": value}) for value in [1, "a b", [2]] * 4], "answer.x: int 4, text 4, list 4"),
        ([json.dumps({"x": {f"id {n}-{k}": 1 for k in range(5)}}) for n in range(20)], "answer.x: 100 different keys"),
        ([json.dumps(deep(12))] * 3, "nested too deep (allowed: at most 8 objects and lists in one another)"),
        ([json.dumps({"x": 10**30})] * 3, "answer.x: too large a number"),
        (["{}"] * 3, "answer: objects without keys"),
        (['{"a": ' * 5000 + "1" + "}" * 5000, ANSWER], "answer: 1 JSON objects, 1 other texts"),
    ],
)
def test_what_cannot_be_proposed_is_said_with_its_place(answers: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        made_from([(f"n:{n}; room:bath", answer) for n, answer in enumerate(answers)], tmp_path)
    assert said in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"], "nothing is left behind"


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    answers = [json.dumps({"x": n if n % 2 else "a b", "y": [n] if n % 2 else n}) for n in range(10)]
    with pytest.raises(DataError) as error:
        made_from([(f"n:{n}; room:bath", answer) for n, answer in enumerate(answers)], tmp_path)
    assert [fault.where for fault in error.value.faults] == ["answer.x", "answer.y"]


def test_rows_of_a_few_are_trained_on_in_full(tmp_path: Path) -> None:
    made, _ = made_from(lines_with("x", [random.Random(1).random() for _ in range(3)]), tmp_path)
    assert "validation: 0\n  test: 0\n" in (made.folder / "recipe.yaml").read_text(encoding="utf-8")
