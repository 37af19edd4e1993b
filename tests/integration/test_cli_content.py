"""The author's verbs: pairs out to a spreadsheet and back, what is wrong beside each row, why an answer is right."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from drivecoach.config import load_recipe
from drivecoach.data.check import check
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.words import ACTIONS
from tests.support.command import Run, refused
from tests.support.driving import draw_from_few_states

ROOT = Path(__file__).parents[2]
PAIRS = ROOT / "datasets/driving.json"
FEATURES = list(DRIVING.features)
THERMOSTAT = f"{ROOT / 'tests/support/thermostat.py'}:THERMOSTAT"


def some_pairs(count: int) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(PAIRS.read_text(encoding="utf-8"))
    return rows[:: len(rows) // count][:count]


def write_rows(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def sheet(run: Run, tmp_path: Path) -> Any:
    """A workbook of eight pairs, as export wrote it."""
    write_rows(tmp_path / "few.jsonl", some_pairs(8))
    assert run("data", "export", "few.jsonl", "pairs.xlsx").code == 0
    return load_workbook(tmp_path / "pairs.xlsx")


# --- out and in ---


def test_all_pairs_come_back_byte_for_byte(run: Run, tmp_path: Path) -> None:
    result = run("data", "export", PAIRS, "pairs.csv")
    assert (result.code, result.out) == (0, "pairs.csv: 7,799 pairs\n")
    result = run("data", "import", "pairs.csv", "back.json")
    assert (result.code, result.out) == (0, "back.json: 7,799 pairs\n")
    assert (tmp_path / "back.json").read_bytes() == PAIRS.read_bytes()


def test_pairs_come_back_from_excel_byte_for_byte(run: Run, tmp_path: Path) -> None:
    """The whole set takes twice as long as in CSV, so a part of it: every rule, every action."""
    write_rows(tmp_path / "some.jsonl", some_pairs(700))
    assert run("data", "export", "some.jsonl", "some.xlsx").out == "some.xlsx: 700 pairs\n"
    assert run("data", "import", "some.xlsx", "back.jsonl").out == "back.jsonl: 700 pairs\n"
    assert (tmp_path / "back.jsonl").read_bytes() == (tmp_path / "some.jsonl").read_bytes()


def test_the_sheet_is_one_to_work_in(sheet: Any) -> None:
    pairs, values = sheet.worksheets
    assert (pairs.title, pairs.freeze_panes, pairs.auto_filter.ref) == ("pairs", "A2", "A1:Q9")
    head = [cell.value for cell in pairs[1]]
    assert head == [*FEATURES, "动作", "级别", "话术", "thinking"]
    assert all(cell.font.b for cell in pairs[1])
    state = DRIVING.input.dump(DRIVING.read_input(some_pairs(8)[0]["input"]))
    assert [cell.value for cell in pairs[2]][:13] == list(state.values())  # type: ignore[union-attr]
    widths = {head[ord(letter) - 65]: found.width for letter, found in pairs.column_dimensions.items()}
    assert widths["当前项目"] > 2 * len("坡道定点停车和起步") and widths["话术"] >= 40
    rules = {str(rule.sqref)[0]: rule for rule in pairs.data_validations.dataValidation}
    for place, name in enumerate(FEATURES):
        rule = rules[chr(65 + place)]
        (_, first, last) = re.fullmatch(r"values!\$(\w)\$(\d+):\$\w\$(\d+)", rule.formula1).groups()  # type: ignore[union-attr]
        column = values[rule.formula1[8]]
        assert rule.type == "list" and rule.showErrorMessage and not rule.showDropDown, "a drop-down that is shown"
        assert tuple(cell.value for cell in column[int(first) - 1 : int(last)]) == DRIVING.features[name].values
    assert tuple(cell.value for cell in values["N"][1:] if cell.value) == ACTIONS, "to copy from: several in a cell"
    assert rules["N"].type is None and "；" in rules["N"].prompt


def test_texts_that_look_like_formulas_are_texts(run: Run, tmp_path: Path) -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1"]
    write_rows(tmp_path / "a.jsonl", [{"input": f"{text} {n}", "output": text} for n, text in enumerate(formulas)])
    for name in ("a.xlsx", "a.csv"):
        assert run("data", "export", "a.jsonl", name, "--domain", "text").code == 0
        assert run("data", "import", name, f"{name}.jsonl", "--domain", "text").code == 0
        rows = rows_of(tmp_path / f"{name}.jsonl")
        assert [row["output"] for row in rows] == formulas
    for row in load_workbook(tmp_path / "a.xlsx")["pairs"].iter_rows(min_row=2):
        assert all(cell.data_type == "s" and cell.number_format == "@" and cell.quotePrefix for cell in row)
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert all(cell.startswith("'") for row in list(csv.reader(stream))[1:] for cell in row)


def test_a_correct_table_is_imported_whatever_excel_saved_it_as(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "few.jsonl", some_pairs(8))
    assert run("data", "export", "few.jsonl").out == "few.xlsx: 8 pairs\n", "beside the pairs"
    assert run("data", "export", "few.jsonl", "a.csv").code == 0
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf"), "so that Excel reads Chinese"
    (tmp_path / "gbk.csv").write_bytes((tmp_path / "a.csv").read_text(encoding="utf-8-sig").encode("gbk"))
    result = run("data", "import", "gbk.csv")
    assert result.code == 0 and "gbk.csv was read as GB18030" in result.err
    for name in ("few.jsonl", "gbk.jsonl"):
        assert rows_of(tmp_path / name) == some_pairs(8)
    result = run("data", "check", "gbk.csv", "--json")
    assert (result.code, json.loads(result.out)["accepted"]) == (0, 8), "check reads the same tables"
    assert run("data", "stats", "a.csv").code == 0


def test_faults_come_back_coloured_with_the_reason(run: Run, tmp_path: Path, sheet: Any) -> None:
    pairs = sheet["pairs"]
    head = {cell.value: cell.column for cell in pairs[1]}
    pairs.cell(2, head["挡位"]).value = "9挡"
    pairs.cell(3, head["级别"]).value = "提醒"
    pairs.cell(4, head["动作"]).value = "踩下离合；飞起来"
    pairs.cell(5, head["当前项目"]).value = None
    for column in range(1, 18):
        pairs.cell(7, column).value = pairs.cell(6, column).value
        pairs.cell(8, column).value = None
    pairs.cell(1, 18).value = "备注"
    pairs.cell(9, 18).value = "王教练"
    sheet.save(tmp_path / "pairs.xlsx")
    before = (tmp_path / "pairs.xlsx").read_bytes()
    result = run("data", "import", "pairs.xlsx")
    refused(result, "5 of 7 rows are refused, and nothing was imported", "pairs.faults.xlsx", "left out: 备注")
    assert not (tmp_path / "pairs.jsonl").exists()
    assert (tmp_path / "pairs.xlsx").read_bytes() == before
    marked = load_workbook(tmp_path / "pairs.faults.xlsx")["pairs"]
    names = [cell.value for cell in marked[1]]
    assert names == ["faults", *head, "备注"]
    red = {
        (cell.row, names[cell.column - 1])
        for row in marked.iter_rows(min_row=2)
        for cell in row
        if cell.fill.fgColor.rgb == "FFFFC7CE"
    }
    assert red == {
        *((row, "faults") for row in (2, 3, 4, 5, 7)), (2, "挡位"), (3, "级别"), (4, "动作"), (5, "当前项目")
    }  # fmt: skip
    said = {row: marked.cell(row, 1).value for row in range(2, 10)}
    reasons = {2: "9挡 (allowed: 空挡, ", 3: "提醒 (allowed: 提示, ", 4: "动作[1]: 飞起来", 5: "当前项目: missing"}
    for row, words in {**reasons, 7: "duplicate: the same pair as row 6"}.items():
        assert words in said[row], said[row]
    assert said[6] is None and marked.cell(9, 19).value == "王教练"
    # The copy is what is corrected: it is imported under the first name once nothing is wrong with it.
    for row in (2, 3, 4, 5, 7):
        for column in range(1, 20):
            marked.cell(row, column).value = None
    marked.parent.save(tmp_path / "pairs.faults.xlsx")
    assert run("data", "import", "pairs.faults.xlsx").out == "pairs.jsonl: 2 pairs\n"
    refused(run("data", "import", "pairs.xlsx", "x.jsonl"), "pairs.faults-2.xlsx"), "no copy is written over another"


def test_a_csv_with_faults_comes_back_with_the_reasons(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "few.jsonl", some_pairs(4))
    assert run("data", "export", "few.jsonl", "a.csv").code == 0
    text = (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()
    text[2] += ",too much"
    (tmp_path / "a.csv").write_bytes("\n".join(text).encode("gbk"))
    refused(run("data", "import", "a.csv"), "1 of 4", "a.faults.csv")
    with (tmp_path / "a.faults.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["faults", "", "malformed: 18 cells, the header has 17", "", ""]
    assert rows[2][-1] == "too much", "nothing of the row is lost"


def test_what_a_check_refuses_is_marked_on_the_way_out(run: Run, tmp_path: Path) -> None:
    one, two, three = some_pairs(3)
    unsound = {**three, "output": three["output"].replace("话术\": \"", "话术\": \"嗯,")}
    write_rows(tmp_path / "a.jsonl", [one, {**one, "output": two["output"]}, two, two, unsound])
    result = run("data", "export", "a.jsonl", "a.xlsx")
    assert (result.code, "3 rows refused" in result.err, "1 rows with a warning" in result.err) == (0, True, True)
    pairs = load_workbook(tmp_path / "a.xlsx")["pairs"]
    said = [pairs.cell(row, 1).value for row in range(1, 7)]
    assert said[0] == "faults" and said[3] is None
    assert all("different answers in rows 1, 2 of a.jsonl" in said[row] for row in (1, 2))
    assert "the same pair as row 3 of a.jsonl" in said[4] and pairs.cell(6, 1).fill.fgColor.rgb == "FFFFEB9C"
    refused(run("data", "import", "a.xlsx", "back.jsonl"), "3 of 5")
    write_rows(tmp_path / "b.jsonl", [one, {"input": "x", "output": "y"}, {"messages": []}])
    refused(run("data", "export", "b.jsonl", "b.xlsx"), "2 of 3 rows", "row 2", "row 3")
    assert not (tmp_path / "b.xlsx").exists()


def test_nothing_that_is_there_is_written_over_without_a_word(run: Run, tmp_path: Path, sheet: Any) -> None:
    del sheet
    before = (tmp_path / "pairs.xlsx").read_bytes()
    refused(run("data", "export", "few.jsonl", "pairs.xlsx"), "already there", "--replace")
    refused(run("data", "import", "pairs.xlsx", "few.jsonl"), "already there", "--replace")
    refused(run("data", "generate", "pairs.xlsx"), "already there", "--replace")
    assert (tmp_path / "pairs.xlsx").read_bytes() == before
    assert run("data", "import", "pairs.xlsx", "few.jsonl", "--replace").code == 0
    refused(run("data", "export", "other.xlsx"), "data export datasets/driving.json other.xlsx")
    for arguments in (
        ("export", "pairs.xlsx", "pairs.xlsx", "--replace"),
        ("export", "pairs.xlsx", "--replace"),
        ("export", "few.jsonl", "few.txt"),
        ("import", "pairs.xlsx", "pairs.csv"),
        ("import", "few.jsonl", "other.jsonl"),
        ("import", "pairs.xlsx", "/dev/null"),
        ("import", "."),
        ("import", ""),
        ("export", "x" * 300, "a.xlsx"),
        ("export", "few.jsonl", "x" * 300 + ".xlsx"),
    ):
        refused(run("data", *arguments))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.jsonl", "pairs.xlsx"]
    assert len(check(tmp_path / "few.jsonl", DRIVING).pairs) == 8


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.xlsx", "pairs.jsonl"])
def test_generate_writes_what_the_name_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    draw_from_few_states(monkeypatch)
    assert run("data", "generate", f"new/{name}", "--count", 60).code == 0
    assert len(check(tmp_path / "new" / name, DRIVING).pairs) == 60
    card = (tmp_path / "new/README.md").read_text(encoding="utf-8")
    assert f"\n# {name}\n" in card and ("A table" in card) == (name != "pairs.jsonl")
    assert f"| bytes | {(tmp_path / 'new' / name).stat().st_size:,} |" in card
    assert run("data", "generate", "other.json", "--count", 60).code == 0
    drawn = {pair.input: pair.output for pair in check(tmp_path / "other.json", DRIVING).pairs}
    assert {pair.input: pair.output for pair in check(tmp_path / "new" / name, DRIVING).pairs} == drawn


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_cannot_be_are_refused(run: Run, seed: int) -> None:
    result = run("data", "generate", "a.json", "--seed", seed)
    assert result.code == 2 and "--seed" in result.err and not list(Path().iterdir())


# --- check: nobody's file is destroyed ---


def test_check_writes_over_no_input_and_no_device(run: Run, tmp_path: Path) -> None:
    rows = [*some_pairs(2), {"input": "x", "output": "y"}]
    write_rows(tmp_path / "a.jsonl", rows)
    os.link(tmp_path / "a.jsonl", tmp_path / "same.jsonl")
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    for outputs in (
        ["--rejects", "a.jsonl"],
        ["--accepted", "a.jsonl"],
        ["--accepted", "./a.jsonl"],
        ["--rejects", "same.jsonl"],
        ["--accepted", "link.jsonl"],
        ["--rejects", "b.jsonl", "--accepted", "b.jsonl"],
        ["--rejects", "b.jsonl", "--accepted", "b.jsonl.part"],
        ["--rejects", "/dev/null"],
        ["--accepted", "/dev/null"],
        ["--rejects", "."],
    ):
        refused(run("data", "check", "a.jsonl", *outputs))
    assert rows_of(tmp_path / "a.jsonl") == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "link.jsonl", "same.jsonl"]
    assert Path("/dev/null").is_char_device()


def test_an_older_rejects_file_does_not_vanish_without_a_word(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [*some_pairs(2), {"input": "x", "output": "y"}])
    assert run("data", "check", "a.jsonl").code == 1
    rejects = (tmp_path / "a.rejects.jsonl").read_text(encoding="utf-8")
    assert len(rejects.splitlines()) == 1
    assert run("data", "check", "a.jsonl").code == 1, "an earlier check's may be written again"
    write_rows(tmp_path / "a.jsonl", some_pairs(2))
    result = run("data", "check", "a.jsonl")
    assert result.code == 0 and "a.rejects.jsonl is of an earlier check" in result.err
    assert (tmp_path / "a.rejects.jsonl").read_text(encoding="utf-8") == rejects
    (tmp_path / "a.rejects.jsonl").write_text("my notes\n")
    write_rows(tmp_path / "a.jsonl", [{"input": "x", "output": "y"}])
    refused(run("data", "check", "a.jsonl"), "a.rejects.jsonl is there", "--rejects")
    assert (tmp_path / "a.rejects.jsonl").read_text() == "my notes\n"
    assert run("data", "check", "a.jsonl", "--rejects", "r.jsonl").code == 1
    assert len((tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize("path", [".", "/", "", "x" * 300])
@pytest.mark.parametrize("verb", ["check", "stats"])
def test_paths_that_are_no_files(run: Run, tmp_path: Path, verb: str, path: str) -> None:
    refused(run("data", verb, path))
    assert not list(tmp_path.iterdir())


def test_rows_that_are_all_refused_are_not_passed_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("input,output\nq,\n")
    assert run("data", "check", "a.csv", "--domain", "text").code == 1
    refused(run("data", "stats", "a.csv", "--domain", "text"), "all 1 rows are refused", "data check")
    (tmp_path / "a.csv").write_text("input,output\nq,\nq,a\n")
    result = run("data", "stats", "a.csv", "--domain", "text")
    assert result.code == 0 and "1 refused rows are not counted" in result.err


# --- the page for authors ---


def page_commands(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).splitlines()


def test_the_commands_of_the_page_for_authors_work_in_both_languages(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_from_few_states(monkeypatch)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/driving.json").write_text(json.dumps(some_pairs(5)))
    commands = page_commands("authors.md")
    assert commands == page_commands("authors.zh.md") and len(commands) == 8
    *others, train = commands
    for typed in others:
        assert run(*shlex.split(typed)[1:]).code == 0, typed
    assert (tmp_path / "rules.html").is_file()
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    recipe, overrides = shlex.split(train)[2], re.findall(r"--set (\S+)", train)
    assert load_recipe(tmp_path / recipe, overrides).data.path.endswith("mine.jsonl")
