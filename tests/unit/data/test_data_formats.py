"""Every form of row is read to the same example; what does not fit says why, with what was found."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.config import SourceConfig
from drivecoach.data.check import Refusal, check, scan
from drivecoach.data.formats import Malformed, read_example
from drivecoach.data.read import read_rows
from drivecoach.domains.text import TEXT as text
from drivecoach.errors import DataError

USER, BOT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
SYSTEM = {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    "row",
    [
        {"input": "q", "output": "a"},
        {"prompt": "q", "completion": "a"},
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "output": "a"},
        {"messages": [USER, BOT]},
        {"messages": [USER, BOT, {"role": "user", "content": "thanks"}]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"conversations": [USER, BOT]},
    ],
)
def test_every_form_reads_the_same(row: dict[str, Any]) -> None:
    example = read_example(row)
    assert (example.input, example.output, example.history) == ("q", "a", ())


def test_alpaca_joins_instruction_and_input() -> None:
    assert read_example({"instruction": "translate", "input": "cat", "output": "猫"}).input == "translate\ncat"


def test_turns_before_the_last_are_history_without_their_reasoning() -> None:
    thought = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nearlier"}
    example = read_example({"messages": [SYSTEM, USER, thought, {"role": "user", "content": "q2"}, BOT]})
    assert example.history == (SYSTEM, USER, {"role": "assistant", "content": "earlier"})
    assert (example.input, example.output) == ("q2", "a")


def test_a_system_column_goes_before_the_conversation() -> None:
    row = {"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    assert read_example(row).history == (SYSTEM,)


def test_columns_rename() -> None:
    row = {"parent_text": "q", "comment_body": "a", "score": 3}
    assert read_example(row, columns={"input": "parent_text", "output": "comment_body"}).output == "a"
    with pytest.raises(Malformed, match=r"no 'body' \(keys found: parent_text, comment_body, score\)"):
        read_example(row, columns={"input": "parent_text", "output": "body"})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": [USER]}, "no assistant turn"),
        ({"messages": []}, "no assistant turn"),
        ({"messages": "hello"}, "no list 'messages'"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "turn 2: 'content' is empty"),
        ({"messages": [{"role": "tool", "content": "x"}, BOT]}, "turn 1: 'role' is 'tool'"),
        ({"messages": ["hi"]}, "turn 1"),
        ({"messages": [USER, USER, BOT]}, "one after the other"),
        ({"messages": [BOT]}, "one after the other"),
        ({"messages": [USER, SYSTEM, BOT]}, "optional system turn"),
        ({"question": "q", "answer": "a"}, "keys found: question, answer"),
        ({"input": "q", "output": " "}, "'output' is empty"),
        ({"instruction": "q", "output": None}, "'output' is a NoneType"),
        ({"instruction": "q", "input": 3, "output": "a"}, "'input' is a int"),
        ([1], "this is a list"),
    ],
)
def test_what_does_not_fit_says_why(row: Any, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read_example(row)


def _written(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    path = folder / name
    if path.suffix in (".csv", ".tsv"):
        import csv

        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.json", "a.jsonl"])
def test_every_kind_of_file_holds_the_same_rows(name: str, tmp_path: Path) -> None:
    rows = [{"input": 'q "1",\n两行\t', "output": "a,1"}, {"input": "q2", "output": "a\n2"}]
    path = _written(tmp_path, name, rows)
    assert [row.value for row in read_rows(path)] == rows
    assert [pair.output for pair in check(path, text).pairs] == ["a,1", "a\n2"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_wrong_columns_are_refused_at_once_and_those_found_are_listed(name: str, tmp_path: Path) -> None:
    path = _written(tmp_path, name, [{"parent_text": "q", "comment_body": "a"}])
    wrong = {"input": "parent", "output": "comment_body"}
    for columns, says in (({}, "fit no known form"), (wrong, "no column 'parent'")):
        with pytest.raises(DataError, match=says) as caught:
            list(scan([SourceConfig(path=str(path), columns=columns)], text))
        assert "parent_text, comment_body" in str(caught.value) and "data.columns" in caught.value.hint
    named = SourceConfig(path=str(path), columns={"input": "parent_text", "output": "comment_body"})
    (found,) = scan([named], text)
    assert not isinstance(found, Refusal) and found.pair.input == "q"


def test_a_table_with_a_short_row_refuses_that_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("input,output\nq,a\nonly\n\nq2,a2\n")
    report = check(path, text)
    assert [pair.row for pair in report.pairs] == [2, 5]
    assert [(r.row, r.reason) for r in report.refusals] == [(3, "1 cells, the header has 2")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b'input,output\n"q,a\n', "not valid CSV"),
        ("a.csv", b"input,output\n\xff\xff,a\n", "neither UTF-8 nor GBK"),
        ("a.parquet", b"PAR1 nothing", "no whole Parquet file"),
        ("a.csv", b"", "empty"),
    ],
)
def test_a_damaged_table_is_a_data_error(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        check(tmp_path / name, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(values=st.lists(JSON, min_size=1, max_size=8), indent=st.sampled_from([None, 0, 2]), block=st.integers(1, 40))
def test_a_json_list_is_read_in_blocks_as_whole(
    values: list[Any], indent: int | None, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(values, ensure_ascii=False, indent=indent), encoding="utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivecoach.data.read._BLOCK", block)
        assert [row.value for row in read_rows(path)] == values


@pytest.mark.parametrize("block", [4, 1 << 20])
@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('[\n {"input": "q"},\n {"input" "q"}\n]', "line 3, column 11"),
        ('\ufeff[\n {"input": "q"},\n {"input" "q"}\n]', "after row 1: .* line 3, column 11"),
        ('[\n 1,\n 2', "ends too early, at line 3, column 3"),
        ("[1,\n2] x", "after row 2: Additional data"),
        ('["abc', "ends too early, at line 1, column 6"),
        ("[1 2]", "after row 1: .* line 1, column 4"),
        ('["a",\n"b\\x"]', "after row 1: Invalid .*escape"),
        ('["挡位", NaN]', "after row 1: unexpected 'N' at line 1, column 8"),
        ("[1, -Infinity]", "line 1, column 5"),
        ("[" * 600 + "]" * 600, "too deeply nested"),
    ],
)
def test_a_broken_json_list_names_the_place(
    content: str, place: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    monkeypatch.setattr("drivecoach.data.read._BLOCK", block)
    with pytest.raises(DataError, match=place):
        list(read_rows(path))


def _finite(text: str) -> float:
    """Numbers beyond what a float holds, such as 1e501, are refused."""
    if math.isinf(value := float(text)):
        raise ValueError(text)
    return value


@given(pieces=st.lists(st.sampled_from(["[", "]", "{", "}", ",", ":", '"a"', "1", "-0.5", "1e5", "01", "nul", "null"])))
def test_a_list_is_refused_where_the_json_of_python_refuses_it(
    pieces: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(whole := "[" + "".join(pieces) + "]")
    try:
        expected = json.loads(whole, parse_float=_finite)
    except ValueError:
        expected = []
    if expected:
        assert [row.value for row in read_rows(path)] == expected
    else:
        with pytest.raises(DataError, match=r"not valid JSON|empty list"):
            list(read_rows(path))


def test_what_other_parsers_lose_is_kept(tmp_path: Path) -> None:
    """Integers of any size stay integers, numbers stay floats, and half a surrogate pair is not replaced."""
    values = [2**64, -(10**4000), 0.1, 1e300, "\ud800", "\udc00\ud800", "😀", {"a": [{}]}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values))
    read = [row.value for row in read_rows(path)]
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]
    path.write_text('[{"a": 1, "a": 2}]')
    assert [row.value for row in read_rows(path)] == [{"a": 2}], "of a key that stands twice, the last, as in JSONL"


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_json_list_is_not_held_in_memory(length: int, tmp_path: Path) -> None:
    """Not even one without line ends whose texts fill it, so that hardly a block ends between two of them."""
    peaks = []
    for size in (400_000, 4_000_000):
        path = tmp_path / "a.json"
        path.write_text(json.dumps([{"input": f"{row}: " + "q" * length} for row in range(size // length)]))
        tracemalloc.start()
        assert sum(1 for _ in read_rows(path)) == size // length
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_hub_data_set_is_read_by_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder stands for a repository: `datasets` reads both the same way."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "repo").mkdir()
    _written(tmp_path / "repo", "train.jsonl", [{"problem": "1+1", "solution": "2"}])
    named = {"input": "problem", "output": "solution"}
    source = SourceConfig(path=str(tmp_path / "repo"), source="hub", columns=named)
    (found,) = scan([source], text)
    assert not isinstance(found, Refusal) and (found.pair.input, found.pair.output) == ("1+1", "2")
    with pytest.raises(DataError, match="columns found: problem, solution"):
        list(scan([source.model_copy(update={"columns": {}})], text))


def test_data_sets_that_are_not_there_say_what_to_check(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match="cannot load the data set") as caught:
        list(scan([SourceConfig(path=str(tmp_path / "none"), source="hub")], text))
    assert "HF_ENDPOINT" in caught.value.hint
