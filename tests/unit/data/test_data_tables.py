"""Reading tables: what they may be encoded in, and every file that is none named as what it is."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from pyarrow import parquet

from drivecoach.batch.read import open_source
from drivecoach.config import SourceConfig
from drivecoach.data.check import Refusal, check, scan
from drivecoach.data.read import read_rows
from drivecoach.data.record import check_file
from drivecoach.data.sources import identity
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.text import TEXT
from drivecoach.errors import DataError
from tests.support.driving import lines

ROW = {"input": "起步前先看后视镜", "output": "好的，松手刹"}
TABLE = "input,output\r\n起步前先看后视镜,好的，松手刹\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.Tsv"])
def test_tables_are_read_in_what_they_are_encoded_in(name: str, encoding: str, tmp_path: Path) -> None:
    text = TABLE if name.lower().endswith(".csv") else TABLE.replace(",", "\t")
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert [row.value for row in read_rows(tmp_path / name)] == [ROW]


@given(text=st.text(st.characters(codec="gbk", exclude_characters='\r\n",'), min_size=1, max_size=30))
def test_gbk_is_never_taken_for_something_else(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("gbk") / "a.csv"
    path.write_bytes(f"input,output\n{text}好,挡\n".encode("gb18030"))
    try:
        text.encode("gb18030").decode("utf-8")
    except UnicodeDecodeError:
        assert [row.value for row in read_rows(path)] == [{"input": text + "好", "output": "挡"}]


def test_utf8_with_a_damaged_place_is_not_read_as_gbk(tmp_path: Path) -> None:
    whole = TABLE.encode()
    for place in range(len("input,output\r\n"), len(whole), 5):
        (tmp_path / "a.csv").write_bytes(whole[:place] + b"\xff" + whole[place:])
        with pytest.raises(DataError, match="neither UTF-8 nor GBK"):
            list(read_rows(tmp_path / "a.csv"))


def test_an_xlsx_file_is_read_as_texts(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet.append(["n", "text", "flag", "date", "empty", None])
    sheet.append([3, "1挡", True, dt.datetime(2026, 1, 2, 3, 4, 5), None])
    sheet.append([])
    sheet.append([-2.5, " a ", False, dt.date(2026, 1, 2), "x", None, "beside"])
    book.create_sheet("second").append(["no"])
    book.save(tmp_path / "a.xlsx")
    first, last = read_rows(tmp_path / "a.xlsx")
    assert first.value == {"n": "3", "text": "1挡", "flag": "true", "date": "2026-01-02T03:04:05", "empty": ""}
    assert (first.number, last.number) == (2, 4), "as Excel numbers them"
    assert last.problem == "7 cells, the header has 5"


def workbook(path: Path) -> bytes:
    book = Workbook()
    book.active.append(["input", "output"])
    book.active.append(["q", "a"])
    book.save(path)
    return path.read_bytes()


def arrow(path: Path, **columns: object) -> bytes:
    parquet.write_table(pa.table({"input": ["q", "p"], "output": ["a", "b"], **columns}), path)
    return path.read_bytes()


def empty_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("readme.txt", "nothing")
    return path.read_bytes()


JSONL = b'{"input": "q", "output": "a"}\n'
NO_TABLES: list[tuple[str, Callable[[Path], bytes], str]] = [
    ("a.jsonl", lambda _: gzip.compress(JSONL), "gzip"),
    ("a.jsonl.gz", lambda _: gzip.compress(JSONL), "gzip"),
    ("a.csv", lambda _: bz2.compress(JSONL), "bzip2"),
    ("a.csv", workbook, r"spreadsheet.*\.xlsx"),
    ("a.json", workbook, r"spreadsheet.*\.xlsx"),
    ("a.jsonl", arrow, r"Parquet.*\.parquet"),
    ("a.xlsx", lambda _: b"\xd0\xcf\x11\xe0" + b"0" * 600, r"old Excel.*save it as \.xlsx"),
    ("a.xlsx", lambda _: TABLE.encode(), "no whole XLSX"),
    ("a.xlsx", lambda path: workbook(path)[:-60], "no whole XLSX"),
    ("a.xlsx", empty_zip, "no whole XLSX"),
    ("a.parquet", lambda path: arrow(path)[:300], "no whole Parquet"),
    ("a.parquet", lambda path: (data := arrow(path))[:4] + b"\xff" * 56 + data[60:], "no whole Parquet"),
    ("a.parquet", lambda path: (data := arrow(path))[:-60] + b"\xff" * 52 + data[-8:], "no whole Parquet"),
    ("a.csv", lambda _: b"input,output\n", "a header and no rows"),
    ("a.csv", lambda _: b"input,output\n,\n\n", "a header and no rows"),
    ("a.parquet", lambda path: arrow(path, input=pa.array([], pa.string()), output=pa.array([], pa.string())), "empty"),
    ("a.csv", lambda _: b"input,output,output\nq,a,b\n", "several columns named 'output'"),
    ("a.tsv", lambda _: b"input\tinput\toutput\nq\ta\tb\n", "several columns named 'input'"),
]


@pytest.mark.parametrize(("name", "content", "says"), NO_TABLES)
def test_a_file_that_is_no_table_is_named_as_what_it_is(
    name: str, content: Callable[[Path], bytes], says: str, tmp_path: Path
) -> None:
    data = content(tmp_path / "made")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        check(tmp_path / name, TEXT)
    error = caught.value
    assert re.search(says, f"{error.message} {error.hint}"), error
    assert "iconv" not in error.hint and "None" not in error.message and "ermission" not in error.hint


def test_of_two_columns_with_one_name_none_wins(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["input", "output", "output"], ["q", "a", "b"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    parquet.write_table(pa.table([["q"], ["a"], ["b"]], names=["input", "output", "output"]), tmp_path / "a.parquet")
    for name in ("a.xlsx", "a.parquet"):
        with pytest.raises(DataError, match="several columns named 'output'"):
            check(tmp_path / name, TEXT)


FAR = [
    pa.array([1, 2**53], pa.timestamp("ms")),
    pa.array([1, -(2**60)], pa.timestamp("us", tz="UTC")),
    pa.array([1, 2**31 - 1], pa.date32()),
]


@pytest.mark.parametrize("column", FAR)
def test_a_date_that_python_has_not_is_one_refused_row(column: pa.Array, tmp_path: Path) -> None:
    arrow(tmp_path / "a.parquet", when=column)
    report = check(tmp_path / "a.parquet", TEXT)
    assert [pair.row for pair in report.pairs] == [2]
    (refusal,) = report.refusals
    assert (refusal.row, refusal.kind) == (3, "malformed") and "'when' cannot be read" in refusal.reason
    assert len(list(open_source(tmp_path / "a.parquet", TEXT).texts())) == 2, "infer reads its inputs"


@pytest.mark.parametrize("path", [".", "/", "", "x" * 300, "no/such/file", "/dev/null", "/dev/zero", "a\0b"])
def test_paths_that_hold_no_rows_are_said_so(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for act in (
        lambda: list(scan([SourceConfig(path=path)], TEXT)),
        lambda: identity(SourceConfig(path=path)),
        lambda: check_file(Path(path)),
    ):
        with pytest.raises(DataError) as caught:
            act()
        assert caught.value.hint


def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="a pipe"):
        check(tmp_path / "a.jsonl", TEXT)


def test_infer_reads_a_sheet_with_a_column_a_feature(tmp_path: Path) -> None:
    (line,) = lines(1)
    state = DRIVING.input.dump(DRIVING.read_input(line))
    assert isinstance(state, dict)
    book = Workbook()
    book.active.append(list(state))
    book.active.append(list(state.values()))
    book.save(tmp_path / "states.xlsx")
    source = open_source(tmp_path / "states.xlsx", DRIVING)
    assert source.rows == 1
    assert [DRIVING.write_input(DRIVING.read_input(text)) for text in source.texts()] == [line]


@pytest.mark.parametrize("missing", ["话术", "挡位"])
def test_a_table_of_a_domain_says_which_columns_it_lacks(missing: str, tmp_path: Path) -> None:
    names = [*DRIVING.features, "动作", "级别", "话术"]
    names.remove(missing)
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + "x," * len(names) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"lacks columns of the domain driving: {missing}$"):
        list(scan([SourceConfig(path=str(tmp_path / "a.csv"))], DRIVING))
    with pytest.raises(DataError, match="lacks columns of the domain driving"):
        list(scan([SourceConfig(path=str(tmp_path / "a.csv"), format="table")], DRIVING))


def test_columns_by_other_names_are_named(tmp_path: Path) -> None:
    (line,) = lines(1)
    state = DRIVING.read_input(line)
    answer = DRIVING.teach(state)
    row = {**state.model_dump(), "actions": "；".join(answer.actions), "level": answer.level, "said": answer.speech}
    (tmp_path / "a.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n", encoding="utf-8")
    (found,) = scan([SourceConfig(path=str(tmp_path / "a.csv"), columns={"speech": "said"})], DRIVING)
    assert not isinstance(found, Refusal)
    assert (found.pair.input, found.pair.output) == (line, DRIVING.write_answer(answer))
