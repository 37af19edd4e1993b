"""Every format in and out says the same; bad files are named; memory does not grow with the file."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from drivecoach.batch.hosts import Hosts
from drivecoach.batch.read import open_source
from drivecoach.batch.run import Settings, run_batch
from drivecoach.batch.write import columns, open_output
from drivecoach.data.exchange import export_table
from drivecoach.data.read import read_rows
from drivecoach.domains.driving import DRIVING, VehicleState
from drivecoach.errors import DataError
from drivecoach.infer import Outcome
from tests.support.driving import ATTRIBUTES, states

STATES = states(5)
LINES = [DRIVING.write_input(state) for state in STATES]


def records(states: list[VehicleState], *, by_alias: bool) -> list[dict[str, str]]:
    return [state.model_dump(by_alias=by_alias) for state in states]


TEXTUAL = ["txt", "input.jsonl", "record.jsonl", "json", "input.json"]
TABLES = ["csv", "input.csv", "tsv", "parquet", "input.parquet"]


@pytest.mark.parametrize("by_alias", [True, False])
@pytest.mark.parametrize("form", TEXTUAL + TABLES)
def test_every_form_of_the_same_states_is_read_alike(tmp_path: Path, form: str, by_alias: bool) -> None:
    path = tmp_path / f"states.{form}"
    rows = records(STATES, by_alias=by_alias)
    if "input" in form:
        rows = [{"input": line, "other": "x"} for line in LINES]
    if form == "txt":
        path.write_text("\n\n".join(LINES) + "\n", encoding="utf-8-sig")
    elif form.endswith("jsonl"):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif form.endswith("json"):
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8-sig")
    elif form.endswith(("csv", "tsv")):
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    source = open_source(path, DRIVING)
    assert source.rows == len(STATES)
    assert [DRIVING.read_input(text) for text in source.texts()] == STATES


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_a_table_of_pairs_is_one_of_inputs_too(tmp_path: Path, ending: str) -> None:
    """The answers, which `data export` puts beside the inputs, are no part of them."""
    pairs, table = tmp_path / "pairs.jsonl", tmp_path / f"pairs{ending}"
    rows = [{"input": line, "output": DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(line)))} for line in LINES]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    export_table(pairs, table, DRIVING)
    assert [DRIVING.read_input(text) for text in open_source(table, DRIVING).texts()] == STATES


def test_a_line_that_is_no_record_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text('{"input": 3}\n{broken\n[1]\n' + "[" * 100_000 + "\n", encoding="utf-8")
    texts = list(open_source(path, DRIVING).texts())
    assert len(texts) == 4
    assert texts[1] == "{broken"


def test_rows_of_every_shape_become_an_input_each(tmp_path: Path) -> None:
    """What is no record is passed on, so that its row fails and the rows after it keep their numbers."""
    (tmp_path / "a.json").write_text(json.dumps([LINES[0], 7, ["x"], {"input": LINES[1]}]), encoding="utf-8")
    assert list(open_source(tmp_path / "a.json", DRIVING).texts()) == [LINES[0], "7", '["x"]', LINES[1]]
    (tmp_path / "b.csv").write_text("input,note,\na,1,0\nb\nc,1,2,3\n\n")
    assert list(open_source(tmp_path / "b.csv", DRIVING).texts()) == ["a", "b", "c"]
    (tmp_path / "c.csv").write_text(f",{','.join(ATTRIBUTES)}\n0{',x' * len(ATTRIBUTES)}\n", encoding="utf-8")
    (only,) = open_source(tmp_path / "c.csv", DRIVING).texts()
    assert json.loads(only) == dict.fromkeys(ATTRIBUTES, "x"), "the column without a name is no feature"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_long_text_is_read_in_data_and_in_inputs_alike(tmp_path: Path, kind: str) -> None:
    """The limit of a CSV cell is the process's; whoever reads first must not set it for the other."""
    path, long = tmp_path / f"a.{kind}", "长" * 3_000_000
    path.write_text(f"input\n{long}\n" if kind == "csv" else json.dumps({"input": long}) + "\n", encoding="utf-8")
    for _ in range(2):
        assert list(open_source(path, DRIVING).texts()) == [long]
        assert [row.value for row in read_rows(path)] == [{"input": long}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"x,y\n1,2\n", "no column of inputs"),
        ("a.csv", ",".join(ATTRIBUTES).encode(), "is empty"),
        ("a.txt", b"", "is empty"),
        ("a.txt", b"\xef\xbb\xbf \n", "is empty"),
        ("a.tsv", b"x\ty\n1\t2\n", "no column of inputs"),
        ("a.csv", b'input\n"a', "not valid CSV"),
        ("a.json", b'[{"input": "a"}', "not valid JSON"),
        ("a.json", b"[]", "empty list"),
        ("a.txt", "特征".encode("gb18030"), "not UTF-8"),
        ("a.parquet", b"PAR1 no", "no whole Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        open_source(path, DRIVING)
    with pytest.raises(DataError, match="no file"):
        open_source(tmp_path / "missing", DRIVING)


OUTCOMES = [
    Outcome(1, LINES[0], "valid", DRIVING.teach(STATES[0]), seconds=0.012),
    Outcome(2, 'x,"y"\n', "failed", reason="input: no"),
]


def test_every_output_holds_the_same_rows(tmp_path: Path) -> None:
    for name in ("o.jsonl", "o.csv", "o.parquet"):
        with open_output(tmp_path / name, DRIVING) as write:
            for outcome in OUTCOMES:
                write(outcome)
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()]
    table = parquet.read_table(tmp_path / "o.parquet").to_pylist()
    with (tmp_path / "o.csv").open(encoding="utf-8-sig", newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert list(table[0]) == list(cells[0]) == columns(DRIVING)
    assert [row["input"] for row in lines] == [row["input"] for row in table] == [row["input"] for row in cells]
    assert lines[0]["answer"] == {key: table[0][key] for key in ("动作", "级别", "话术")}
    assert cells[0]["动作"].split("；") == table[0]["动作"]
    assert lines[1]["answer"] is None and table[1]["动作"] is None and cells[1]["动作"] == ""


def test_an_unfinished_output_does_not_look_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_output(tmp_path / "o.jsonl", DRIVING) as write:
        write(OUTCOMES[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.scripted_runtime import ScriptedRuntime

    monkeypatch.setattr("drivecoach.batch.answerer.WINDOW", 64)

    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.txt"
        path.write_text("".join(f"{LINES[row % len(LINES)]}\n" for row in range(rows)), encoding="utf-8")
        source = open_source(path, DRIVING)
        tracemalloc.start()
        summary = run_batch(source, tmp_path / f"{rows}.jsonl", DRIVING, Settings("scripted"), Hosts([ScriptedRuntime]))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert summary.rows == summary.valid == rows
        return most

    peak(500)  # what is loaded only once
    small = peak(1_000)
    assert peak(3_000) < 1.2 * small
