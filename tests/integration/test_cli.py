"""The command line where all is well: what it prints, what it writes, and what it does not import."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import drivecoach
from drivecoach.batch.read import open_source
from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from tests.support.command import Result, Run
from tests.support.driving import draw_from_few_states, lines
from tests.support.ollama_server import ollama_server, said
from tests.support.scripted_model import write_scripted_gguf

ROOT = Path(__file__).parents[2]
ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门，开近光灯"}'
LINES = lines(60)
UNSAFE = [line for line in LINES if DRIVING.violations(DRIVING.read_input(line), DRIVING.read_answer(ANSWER))]
SAFE = [line for line in LINES if line not in UNSAFE]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "coach.gguf"
    return write_scripted_gguf(target, ANSWER, chat=Chat(DRIVING.system))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_ask_prints_the_instruction_and_nothing_else(run: Run, gguf: Path) -> None:
    assert run("ask", SAFE[0], "--model", gguf) == Result(0, ANSWER + "\n", "")


def test_ask_shows_an_answer_that_breaks_an_invariant_and_fails(run: Run, gguf: Path) -> None:
    result = run("ask", UNSAFE[0], "--model", gguf)
    assert (result.code, result.out) == (1, ANSWER + "\n")
    assert result.err.startswith("invalid: invariants: ")


def test_ask_speaks_json(run: Run, gguf: Path) -> None:
    result = run("ask", SAFE[0], "--model", gguf, "--json")
    row = json.loads(result.out)
    assert (result.code, row["status"], row["answer"]) == (0, "valid", json.loads(ANSWER))


def test_ask_reaches_ollama_by_the_same_words(run: Run) -> None:
    with ollama_server(coach=lambda _: said(ANSWER)) as server:
        assert run("ask", SAFE[0], "--model", "ollama:coach", "--host", server.url).out == ANSWER + "\n"


def test_infer_writes_one_row_per_input_in_order(run: Run, tmp_path: Path, gguf: Path) -> None:
    lines = [SAFE[0], UNSAFE[0], "nonsense", json.dumps({"input": SAFE[1]}), "", '{"input": 7}', '{"a\\ud800": 1}']
    (tmp_path / "in.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    result = run("infer", "in.txt", "-o", "new/out.jsonl", "--model", gguf)
    rows = rows_of(tmp_path / "new" / "out.jsonl")
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["status"] for row in rows] == ["valid", "invalid", "failed", "valid", "failed", "failed"]
    assert [row["input"] for row in rows[:4]] == [SAFE[0], UNSAFE[0], "nonsense", SAFE[1]]
    assert rows[0]["answer"] == json.loads(ANSWER)
    assert all(row["reason"] for row in rows if row["status"] != "valid")
    assert result.code == 1, "not every row is valid"
    for text in ("valid", "6", "out.jsonl"):
        assert text in result.out
    assert not list((tmp_path / "new").glob("*.part"))


def test_infer_with_nothing_wrong_is_exit_code_0_and_its_json_is_json(run: Run, tmp_path: Path, gguf: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(SAFE[:5]), encoding="utf-8")
    result = run("infer", "in.txt", "-o", "out.jsonl", "--model", gguf, "--json")
    assert result.code == 0
    summary = json.loads(result.out)
    assert (summary["rows"], summary["valid"], summary["invalid"], summary["failed"]) == (5, 5, 0, 0)


def test_rules_answer_where_a_model_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()  # a folder of that name is no run folder
    taught = [DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(line))) for line in LINES[:8]]
    assert run("ask", LINES[0], "--model", "rules") == Result(0, taught[0] + "\n", "")
    (tmp_path / "in.txt").write_text("\n".join([*LINES[:8], LINES[0], "nonsense"]), encoding="utf-8")
    result = run("infer", "in.txt", "-o", "out.jsonl", "--model", "rules", "--guard", "strict", "--json")
    summary = json.loads(result.out)
    assert (result.code, summary["valid"], summary["failed"], summary["from_rules"]) == (1, 9, 1, 9)
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["answer"] for row in rows[:8]] == [json.loads(text) for text in taught]
    assert {row["source"] for row in rows[:8]} == {"rules"}
    assert not (tmp_path / "out.jsonl.journal").exists(), "rules that were changed answer anew"


def test_rules_of_another_domain_are_those_of_its_file(run: Run, tmp_path: Path) -> None:
    code = (ROOT / "tests/support/thermostat.py").read_text(encoding="utf-8")
    (tmp_path / "checked.py").write_text(code, encoding="utf-8")
    reading = "room:kitchen; temperature:22; window open:false"
    for arguments in (["rules", "--domain", "checked.py"], ["rules:checked.py:THERMOSTAT"]):
        result = run("ask", reading, "--model", *arguments, "--json")
        assert result.code == 0, result.err
        assert json.loads(result.out)["answer"]["action"] == "off"
    assert "the domain text has no teacher" in run("ask", "x", "--model", "rules", "--domain", "text").err
    assert "choose one of: driving, text" in run("ask", "x", "--model", "rules:none").err
    assert "leave --host out" in run("ask", "x", "--model", "rules", "--host", "http://a").err


def test_infer_guards_strictly_and_refuses_what_cannot_be(run: Run, tmp_path: Path, gguf: Path) -> None:
    below = [
        line
        for line in SAFE
        if DRIVING.is_below(DRIVING.read_answer(ANSWER), DRIVING.teach(DRIVING.read_input(line)))
    ]
    assert below, "the answer keeps every invariant and is milder than the rules'"
    (tmp_path / "in.txt").write_text(below[0], encoding="utf-8")
    assert run("infer", "in.txt", "-o", "replace.jsonl", "--model", gguf, "--guard", "replace").code == 0
    assert run("infer", "in.txt", "-o", "strict.jsonl", "--model", gguf, "--guard", "strict").code == 0
    ((kept,), (replaced,)) = (rows_of(tmp_path / f"{guard}.jsonl") for guard in ("replace", "strict"))
    assert (kept["source"], kept["answer"]) == ("model", json.loads(ANSWER))
    assert replaced["source"] == "rules"
    assert replaced["reason"].startswith("replaced: level 提示 is below the rules' ")
    asked = run("ask", below[0], "--model", gguf, "--guard", "strict")
    assert (asked.code, json.loads(asked.out)) == (0, replaced["answer"])
    assert asked.err.startswith("note: replaced: level 提示 is below the rules' ")
    refused = run("infer", "in.txt", "-o", "x.jsonl", "--model", gguf, "--guard", "strict", "--domain", "text")
    assert refused.code == 1 and "the guard strict needs a teacher, and the domain text has none" in refused.err
    wrong = run("infer", "in.txt", "-o", "x.jsonl", "--model", gguf, "--guard", "FLAG")
    assert wrong.code == 2 and "flag, replace, strict, off" in wrong.err
    assert run("ask", below[0], "--model", gguf, "--guard", "FLAG").code == 2
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_a_line_feed_ends_an_input(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "in.txt"
    path.write_text(f"a{separator}b\nc\n", encoding="utf-8")
    assert list(open_source(path, DRIVING).texts()) == [f"a{separator}b", "c"]
    text = json.dumps({"input": f"a{separator}b"}, ensure_ascii=False)
    path.write_text(f"{text}\n{text}\n", encoding="utf-8")
    assert list(open_source(path, DRIVING).texts()) == [f"a{separator}b"] * 2


def test_check_counts_writes_rejects_and_takes_them_away_again(run: Run, tmp_path: Path) -> None:
    good = [{"input": text, "output": ANSWER} for text in SAFE[:3]]
    bad = [{"input": "x\ud800", "output": "y"}, good[0]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*good, *bad]))
    result = run("data", "check", "rows.jsonl", "--accepted", "good.jsonl")
    assert result.code == 1
    assert "row 4: input:" in result.err and "row 5: duplicate: the same pair as row 1" in result.err
    assert [row["row"] for row in rows_of(tmp_path / "rows.rejects.jsonl")] == [4, 5]
    assert [row["input"] for row in rows_of(tmp_path / "good.jsonl")] == SAFE[:3]
    again = run("data", "check", "good.jsonl", "--json")
    assert again.code == 0
    assert json.loads(again.out)["accepted"] == 3
    assert not (tmp_path / "good.rejects.jsonl").exists()
    as_json = run("data", "check", "rows.jsonl", "--json")
    assert as_json.code == 1
    assert [row["row"] for row in json.loads(as_json.out)["refused"]] == [4, 5]


def test_stats_count_every_value(run: Run) -> None:
    result = run("data", "stats", ROOT / "datasets" / "driving.json", "--json")
    counts = json.loads(result.out)
    assert sum(counts["级别"].values()) == 7799
    card = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    assert all(f"{level} {count}" in card for level, count in counts["级别"].items())
    assert {sum(values.values()) for values in counts.values()} == {7799}


@pytest.fixture
def few_states(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_from_few_states(monkeypatch)


@pytest.mark.usefixtures("few_states")
def test_generate_says_what_it_wrote(run: Run, tmp_path: Path) -> None:
    result = run("data", "generate", "own/driving.json", "--count", "150", "--seed", "7")
    assert result.code == 0
    assert "150" in result.out and "own/driving.json" in result.out
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["README.md", "driving.json"]
    assert run("data", "check", "own/driving.json").code == 0


@pytest.mark.usefixtures("few_states")
def test_names_with_markup_are_shown_as_they_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "[bold]").mkdir()
    result = run("data", "generate", "[bold]/[x[/red].json", "--count", "150")
    assert result.code == 0, result.err
    assert "[bold]/[x[/red].json" in result.out


def test_generated_files_are_up_to_date_and_drift_is_seen(run: Run, tmp_path: Path) -> None:
    result = run("refresh", "--check", "--root", ROOT)
    assert result.code == 0, result.err
    missing = run("refresh", "--check")
    assert missing.code == 1
    assert "schemas/instruction.schema.json: missing" in missing.err and "drivecoach refresh" in missing.err
    assert not list(tmp_path.iterdir())
    assert run("refresh").code == 0
    for path in ("datasets/driving.json", "datasets/README.md", "docs/driving-rules.md"):
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes()
    pairs = tmp_path / "datasets" / "driving.json"
    rows = pairs.read_text(encoding="utf-8").replace('"output": "<think>', '"output": "<think> ', 3)
    pairs.write_text(rows, encoding="utf-8")
    assert "datasets/driving.json: 3 of 7,799 rows changed" in run("refresh").out
    assert pairs.read_bytes() == (ROOT / "datasets/driving.json").read_bytes()
    first, second, third = (
        tmp_path / name
        for name in ("schemas/instruction.schema.json", "schemas/vehicle_state.schema.json", "docs/driving-rules.md")
    )
    first.write_bytes(first.read_bytes() + b" ")
    second.write_bytes(second.read_bytes().replace(b"\n", b"\r\n"))
    third.write_bytes(b"\xff")
    drifted = run("refresh", "--check")
    assert drifted.code == 1
    assert all(f"{path.relative_to(tmp_path)}: changed" in drifted.err for path in (first, second, third))


def test_the_schema_is_a_json_schema_that_takes_the_answers() -> None:
    schema = json.loads((ROOT / "schemas" / "instruction.schema.json").read_text(encoding="utf-8"))
    assert list(schema["properties"]) == ["动作", "级别", "话术"] == list(json.loads(ANSWER))
    assert set(schema["required"]) == set(schema["properties"])
    assert DRIVING.write_answer(DRIVING.read_answer(ANSWER)) == ANSWER


HEAVY = {"numpy", "torch", "transformers", "tokenizers", "datasets", "trl", "peft", "xllamacpp", "matplotlib"}


@pytest.mark.parametrize(
    "code",
    [
        "import drivecoach",
        "import sys; sys.argv = ['drivecoach', '--help']\ntry:\n    from drivecoach.cli import main; main()\n"
        "except SystemExit as end:\n    assert not end.code",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    script = f"{code}\nimport sys; print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"


def test_python_m_drivecoach_is_the_same_command() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    command = [sys.executable, "-m", "drivecoach", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    for verb in ("data", "train", "export", "ask", "infer", "tune", "evaluate", "refresh"):
        assert verb in done.stdout
    assert done.stderr == ""


def test_what_packages_offer_is_sorted_and_there() -> None:
    """Constants, classes, functions, each in order, as ruff sorts them; and nothing that is not there."""
    seen = 0
    for module in pkgutil.walk_packages(drivecoach.__path__, "drivecoach."):
        if not module.ispkg:
            continue
        package = importlib.import_module(module.name)
        offered = getattr(package, "__all__", None)
        if offered is None:
            continue
        seen += 1
        assert all(hasattr(package, name) for name in offered), module.name
        assert len(set(offered)) == len(offered), module.name
        constants = sorted(name for name in offered if name.isupper())
        classes = sorted(name for name in offered if name[0].isupper() and not name.isupper())
        assert offered == constants + classes + sorted(name for name in offered if name[0].islower()), module.name
    assert seen >= 3


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("drivecoach.cli", {"main"}),
        ("drivecoach.runtime", {"Completion", "Runtime", "open_runtime"}),
        ("drivecoach.chat", {"CONTROL_TOKENS", "END", "PAD", "Chat", "Parts"}),
    ],
)
def test_names_that_others_rely_on_stay(name: str, offered: set[str]) -> None:
    assert offered <= set(importlib.import_module(name).__all__)
