"""A table with one column a field: whatever a pair holds comes back, and no cell is a formula."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from drivecoach.chat.template import split
from drivecoach.data.columns import Columns
from drivecoach.data.exchange import export_table, import_table
from drivecoach.data.formats import Malformed
from drivecoach.data.read import read_rows
from drivecoach.data.write import write_table
from drivecoach.domain import AnyDomain, Domain, SchemaForm
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.load import load_domain
from drivecoach.domains.text import TEXT
from drivecoach.errors import InputError
from tests.support.thermostat import THERMOSTAT

ROOT = Path(__file__).parents[3]


class Inner(BaseModel):
    size: int
    words: list[str]


class Asked(BaseModel):
    """Whatever a table may find hard: free texts, null beside nothing, lists of texts, names that are taken."""

    text: str
    maybe: str | None
    left_out: str | None = None
    number: float
    output: str
    faults: bool


class Given(BaseModel):
    text: str
    words: list[str]
    some: list[Literal["a", "b,c"]] | None
    inner: Inner | None
    optional: list[str] = []
    thinking: int | None = 3


HARD = Domain("hard", Asked, Given)
NASTY = [
    *("", "null", "=1+1", "+1", "-1", "@x", "'=1", "''-", "\t=", '"', '""', '"null"', "_x000D_", "\r", "a\r\nb", "；"),
    *("[", "[]", '["a"]', "a；b", " a ", "\x00", "\x85", "\ufffe", "1", "1.0", "true", "#N/A", "{}", "\n", "\u2028"),
]
"""Texts that mean something to a spreadsheet, to JSON, or to the cells themselves."""
TEXTS = (
    st.sampled_from(NASTY)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.text("=+-@'\";；, 1[]n_x0", max_size=6)
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
INNERS = st.builds(Inner, size=st.integers(-(2**70), 2**70), words=st.lists(TEXTS, max_size=3))
ASKED = st.builds(
    Asked, text=TEXTS, maybe=TEXTS, left_out=st.none() | TEXTS, number=NUMBERS, output=TEXTS, faults=st.booleans()
)
GIVEN = st.builds(
    Given,
    text=TEXTS,
    words=st.lists(TEXTS, max_size=3),
    some=st.none() | st.lists(st.sampled_from(["a", "b,c"]), max_size=3),
    inner=st.none() | INNERS,
    optional=st.lists(TEXTS, max_size=2),
    thinking=st.none() | st.integers(-5, 5),
)


def canonical(asked: Asked) -> Asked | None:
    """As it is read from a file of pairs: a text "null" is null there, and nothing where null may not be."""
    try:
        return HARD.read_input(HARD.write_input(asked))
    except InputError:
        return None


def row_of(domain: AnyDomain, given: Any, answer: Any, thinking: str = "") -> list[str]:
    before = f"<think>\n{thinking}\n</think>\n\n" if thinking else ""
    return Columns(domain).cells(domain.write_input(given), before + domain.write_answer(answer))


def read_back(row: Mapping[str, Any]) -> tuple[Asked, Given, str]:
    """Input, answer and reasoning of a row."""
    found = Columns(HARD).example(row)
    parts = split(found.output)
    return HARD.read_input(found.input), HARD.read_answer(parts.text), parts.thinking


@given(asked=ASKED, answer=GIVEN, thinking=st.sampled_from(["", "reason", "=1", '"x"', "a\n\nb"]))
def test_whatever_a_pair_holds_comes_back_and_is_no_formula(asked: Asked, answer: Given, thinking: str) -> None:
    given = canonical(asked)
    assume(given is not None)
    names = [column.name for column in Columns(HARD).all]
    cells = dict(zip(names, row_of(HARD, given, answer, thinking), strict=True))
    assert read_back(cells) == (given, answer, thinking)
    texts = [cell for name, cell in cells.items() if name not in ("number", "answer thinking")]
    assert not any(re.match(r"[=+\-@\t\r]", cell) for cell in texts)


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.xlsx"])
def test_files_hold_every_text_as_it_is(name: str, tmp_path: Path) -> None:
    pairs = []
    for text in NASTY:
        asked = canonical(Asked(text=text, maybe=text, left_out=text, number=-0.5, output=text, faults=True))
        answer = Given(text=text, words=[text, "a"], some=None, inner=Inner(size=1, words=[text]), optional=[text])
        if asked is not None:
            pairs.append((asked, answer, ""))
    assert len(pairs) > 20
    texts = [(HARD.write_input(asked), HARD.write_answer(answer)) for asked, answer, _ in pairs]
    write_table(tmp_path / name, Columns(HARD), texts)
    assert [read_back(row.value) for row in read_rows(tmp_path / name)] == pairs  # type: ignore[arg-type]


def test_columns_carry_the_names_of_the_fields_and_those_that_are_taken_say_whose_they_are() -> None:
    assert [column.name for column in Columns(HARD).all] == [
        "text", "maybe", "left_out", "number", "input output", "input faults",
        "answer text", "words", "some", "inner", "optional", "answer thinking", "thinking",
    ]  # fmt: skip
    assert [column.name for column in Columns(DRIVING).all] == [*DRIVING.features, "动作", "级别", "话术", "thinking"]
    assert [column.name for column in Columns(TEXT).all] == ["input", "output"]


EXAMPLES = {
    "reefer": ROOT / "examples/reefer",
    "order": ROOT / "examples/order",
}


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_pairs_of_other_domains_come_back_byte_for_byte(name: str, ending: str, tmp_path: Path) -> None:
    domain = load_domain(str(EXAMPLES[name] / "schema.py"))
    few = (EXAMPLES[name] / "pairs.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:40]
    (tmp_path / "few.jsonl").write_text("".join(few), encoding="utf-8")
    export_table(tmp_path / "few.jsonl", tmp_path / f"few.{ending}", domain)
    done = import_table(tmp_path / f"few.{ending}", tmp_path / "back.jsonl", domain)
    assert (done.rows, done.refusals) == (40, [])
    assert (tmp_path / "back.jsonl").read_bytes() == (tmp_path / "few.jsonl").read_bytes()


def test_free_text_on_both_sides_is_the_plain_table(tmp_path: Path) -> None:
    rows = [{"input": "=1+1", "output": "<think>\nwhy\n</think>\n\n-2\n两行"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]) + "\n")
    for ending in ("csv", "xlsx"):
        export_table(tmp_path / "a.jsonl", tmp_path / f"a.{ending}", TEXT)
        export_table(tmp_path / f"a.{ending}", tmp_path / f"again.{ending}", TEXT)
        import_table(tmp_path / f"again.{ending}", tmp_path / f"{ending}.jsonl", TEXT)
        assert [row.value for row in read_rows(tmp_path / f"{ending}.jsonl")] == rows


def test_a_domain_that_is_two_schemas_only_has_columns_too(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number"}, "any": {}}, "required": ["n", "any"]}
    domain: AnyDomain = Domain("schemas", SchemaForm(schema, "in"), SchemaForm({"type": "array"}, "out"))
    pairs = [('{"n": -2, "any": "x"}', '["=a", {"b": null}]'), ('{"n": 1.5, "any": {"c": [1]}}', "[]")]
    write_table(tmp_path / "a.xlsx", Columns(domain), pairs)
    examples = [Columns(domain).example(row.value) for row in read_rows(tmp_path / "a.xlsx")]  # type: ignore[arg-type]
    assert [(json.loads(found.input), json.loads(found.output)) for found in examples] == [
        (json.loads(given), json.loads(output)) for given, output in pairs
    ]


def cells(**changed: object) -> dict[str, object]:
    """A row that a person typed."""
    row = {"room": " Kitchen ".strip().lower(), "temperature": "18", "window open": "FALSE", "action": "heat"}
    return {**row, "level": "4", "steps": "open valve; close valve", **changed}


def test_what_a_person_types_is_understood() -> None:
    table = Columns(THERMOSTAT)
    assert table.fit(cells()), "boost and note are optional"
    example = table.example(cells(boost="", note="", 备注="mine"))
    assert json.loads(example.output) == {"action": "heat", "level": 4.0, "steps": ["open valve", "close valve"]}
    assert THERMOSTAT.read_input(example.input).temperature == 18
    english = {"window_open": "是", **{key: cell for key, cell in cells().items() if key != "window open"}}
    assert THERMOSTAT.read_input(table.example(english).input).window_open
    assert table.unknown([*cells(), "备注", "faults", ""]) == ["备注"]
    with pytest.raises(Malformed, match="window_open, window open are one field"):
        table.example({**english, "window open": "是"})


@pytest.mark.parametrize("written", [*map("踩下离合{}挂1挡".format, "；;、，,\n"), '["踩下离合", "挂1挡"]'])
def test_actions_may_be_separated_as_people_do(written: str) -> None:
    row: dict[str, object] = {name: feature.values[0] for name, feature in DRIVING.features.items()}
    example = Columns(DRIVING).example({**row, "动作": written, "级别": " 提示", "话术": "好"})
    assert DRIVING.read_answer(example.output).actions == ("踩下离合", "挂1挡")
