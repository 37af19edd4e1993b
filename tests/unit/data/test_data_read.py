"""Reading JSON and JSONL: every record with its number, every file that is none with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.data.read import read_rows
from drivecoach.data.record import Row
from drivecoach.errors import DataError

PAIR = {"input": "<特征>挡位:1挡</特征>", "output": "松油门"}
TEXTS = st.text(st.characters(codec="utf-8"))
JSON_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda v: st.lists(v), max_leaves=5)
ROWS = st.lists(st.dictionaries(TEXTS, JSON_VALUES) | JSON_VALUES, min_size=2, max_size=8)


def rows_of(tmp_path: Path, content: bytes | str, name: str = "data.json") -> list[Row]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(path))


@given(ROWS)
def test_a_list_and_lines_hold_the_same_records(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    for ascii_only in (True, False):
        listed = rows_of(folder, json.dumps(rows, ensure_ascii=ascii_only, indent=1))
        assert [(row.number, row.value, row.problem) for row in listed] == [
            (number, value, None) for number, value in enumerate(rows, start=1)
        ]
    if not isinstance(rows[0], list):  # a file that begins with a bracket is a list
        lined = rows_of(folder, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        assert [row.value for row in lined] == rows


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\u2003"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    """str.splitlines knows more line ends than JSON does; inside a text they are text."""
    row = {"input": f"a{separator}b", "output": "c"}
    line = json.dumps(row, ensure_ascii=False)
    for text in (f"[{line}, {line}]", f"{line}\n{line}\n"):
        assert [found.value for found in rows_of(tmp_path, text)] == [row, row]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_marks_and_both_line_ends_are_read(tmp_path: Path, end: str, mark: bytes) -> None:
    text = end.join([json.dumps(PAIR), "", "  ", json.dumps(PAIR), ""])
    assert [(row.number, row.value) for row in rows_of(tmp_path, mark + text.encode())] == [(1, PAIR), (4, PAIR)]
    text = json.dumps([PAIR, PAIR], indent=2).replace("\n", end)
    assert [(row.number, row.value) for row in rows_of(tmp_path, mark + text.encode())] == [(1, PAIR), (2, PAIR)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"input": "a", ', "not valid JSON"),
        ("no JSON at all", "not valid JSON"),
        ('{"input": "a"} {"input": "b"}', "Extra data"),
        ('{"a": ' * 5000, "not valid JSON"),
        ("[" * 100_000, "too deeply nested"),
        ('{"input": ' + "9" * 5000 + "}", "too many digits"),
        ('{"input": NaN}', "NaN is no JSON"),
    ],
)
def test_a_broken_line_is_one_row_with_its_reason(tmp_path: Path, line: str, said: str) -> None:
    good = json.dumps(PAIR)
    rows = rows_of(tmp_path, "\n".join([good, line, good]), "data.jsonl")
    assert [(row.number, row.problem is None) for row in rows] == [(1, True), (2, False), (3, True)]
    assert said in str(rows[1].problem)
    assert rows[1].value == line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"[]", "empty list"),
        (b" [ ] ", "empty list"),
        (b'{"input": ["a"], "output": 1}', "one JSON object"),
        (b'{\n  "rows": [\n    {}\n  ]\n}\n', "one JSON object"),
        (b"null", "one JSON object"),
        (b'[{"input": "a"}, ', "not valid JSON"),
        (b'[{"input": "a"}] x', "not valid JSON"),
        (b"[" + b"9" * 5000 + b"]", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        ('{"input": "挡位"}'.encode("gb18030"), "not UTF-8 (byte 11)"),
        ('[{"input": "x"}]'.encode("utf-16"), "not UTF-8 (byte 0)"),
    ],
)
def test_a_file_that_is_no_data_file(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, content)
    assert said in caught.value.message
    assert str(tmp_path / "data.json") in caught.value.message
    assert caught.value.hint


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.json", "no file at"), (tmp_path, "is a folder")):
        with pytest.raises(DataError, match=said) as caught:
            list(read_rows(path))
        assert caught.value.hint
