"""`drivecoach init` as it is used: a folder from rows of any form, checked, tuned and asked as its README says."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drivecoach.config import load_recipe
from tests.support.command import Run

ROOT = Path(__file__).parents[2]
TINY = [
    "base.nano={hidden_size: 32, layers: 1, heads: 1, kv_heads: 1, head_dim: 32, intermediate_size: 32}",
    "train.max_steps=3",
    "train.logging_steps=1",
    "train.optimizer=adamw_torch",
    "train.warmup_steps=0",
    "export.num_predict=8",
]
FILES = ["README.md", "pairs.jsonl", "recipe.yaml", "schema.py", "test_schema.py"]


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ollama, whatever this machine has."""
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:1")


def rows(count: int = 60) -> list[dict[str, str]]:
    """Claims: a line in; a closed set, a number, a list and a sentence out."""
    made = []
    for n in range(count):
        papers = ["bill", "photo"][: n % 3]
        answer = {"lane": ("fast", "slow")[n % 2], "euros": n * 10, "papers": papers, "say": f"No. {n}"}
        made.append({"input": f"kind:{('car', 'bike')[n % 2]}; claim no:{n}", "output": json.dumps(answer)})
    return made


def write_jsonl(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


@pytest.mark.parametrize("given", [True, False], ids=["from rows", "the example"])
def test_the_folder_is_checked_tuned_asked_and_tested_at_once(
    given: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    write_jsonl(tmp_path / "rows.jsonl", rows())
    made = run("init", "x", *(["--from", "rows.jsonl"] if given else []))
    assert made.code == 0, made.err
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == FILES
    assert not list(tmp_path.glob(".x-*")), "nothing is left aside"

    monkeypatch.chdir(tmp_path / "x")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    checked = run("data", "check", "pairs.jsonl", "--domain", "schema.py")
    assert checked.code == 0 and ("60" if given else "200") in checked.out
    own = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True)
    assert own.returncode == 0 and "2 passed" in own.stdout, own.stdout + own.stderr

    tuned = run("tune", "recipe.yaml", *(part for setting in TINY for part in ("--set", setting)))
    assert tuned.code == 0, tuned.err
    commands = re.findall(r"^drivecoach (.+)$", (tmp_path / "x/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    ask, infer = (shlex.split(command) for command in commands if not command.startswith(("data", "tune")))
    assert ask[0] == "ask" and infer[0] == "infer"
    asked = run(*ask)
    assert asked.code == 1 and asked.err.startswith("invalid: schema:"), "the model was asked; it learned nothing"
    run(*infer)
    answers = (tmp_path / "x/answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(answers) == (60 if given else 200)


def test_every_form_of_rows_gives_the_same_models(run: Run, tmp_path: Path) -> None:
    forms = {
        "pairs.json": rows(),
        "alpaca.json": [{"instruction": row["input"], "output": row["output"]} for row in rows()],
        "chat.json": [
            {"messages": [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]}
            for row in rows()
        ],
    }
    for name, values in forms.items():
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["question", "reply"])
        writer.writerows((row["input"], row["output"]) for row in rows())
    schemas = set()
    for name in [*forms, "table.csv"]:
        columns = ["--column", "input=question", "--column", "output=reply"] if name == "table.csv" else []
        made = run("init", f"{Path(name).stem}/own", "--from", name, *columns, "--json")
        assert made.code == 0, made.err
        counts = json.loads(made.out)
        assert (counts["rows"], counts["pairs"], counts["refused"]) == (60, 60, {})
        schemas.add((tmp_path / Path(name).stem / "own/schema.py").read_text(encoding="utf-8"))
    assert len(schemas) == 1


def test_rows_that_do_not_fit_are_listed_counted_and_kept_beside(run: Run, tmp_path: Path) -> None:
    wrong = [{"input": f"kind:car; claim no:none {n}", "output": rows(1)[0]["output"]} for n in range(30)]
    write_jsonl(tmp_path / "rows.jsonl", [*rows(400), *wrong])
    made = run("init", "x", "--from", "rows.jsonl")
    assert made.code == 0
    listed = made.err.splitlines()
    assert len(listed) == 21
    assert listed[0].startswith("row 401: input: claim no: none 0 (allowed: a whole number from 0")
    assert listed[-1] == "… and 10 more"
    assert "400" in made.out and "x/rejects.jsonl" in made.out
    rejects = (tmp_path / "x/rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rejects) == 30 and json.loads(rejects[0])["row"] == 401


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ["no file at rows.jsonl"]),
        ("", ["rows.jsonl is empty"]),
        ('{"question": "a", "reply": "b"}\n', ["none of 1 rows has", "row 1", "--column input=THEIRS"]),
        ('{"input": {"a": 1}, "output": "b"}\n', ["'input' is a dict, not text"]),
        ("not json\n", ["row 1: not valid JSON"]),
        ('{"input": "a", "output": "b"}\n{"input": "a", "output": "c"}\n', ["none of 2 rows can be used", "conflict"]),
        ('{"input": "a", "output": "{\\"b\\": 1}"}\n{"input": "c", "output": "d"}\n', ["1 JSON objects, 1 other"]),
    ],
)
def test_bad_rows_are_said_and_leave_nothing_behind(
    content: str | None, said: list[str], run: Run, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "rows.jsonl").write_text(content, encoding="utf-8")
    result = run("init", "x", "--from", "rows.jsonl")
    assert result.code == 1 and "error:" in result.err and "Traceback" not in result.err
    for text in said:
        assert text in result.err
    assert {path.name for path in tmp_path.iterdir()} <= {"rows.jsonl"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two words", "is no name for a domain"),
        ("..", "is no name for a domain"),
        ("-x/", "No such option"),
        ("driving", "the domain 'driving' exists already"),
        ("full", "full exists already; nothing was written"),
        ("file", "file exists already; nothing was written"),
        ("file/x", "could not write file/x"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, said: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    result = run("init", name)
    assert result.code in (1, 2) and said in result.err and "Traceback" not in result.err
    assert (tmp_path / "full/mine").read_text() == (tmp_path / "file").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_an_empty_folder_is_filled(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert run("init", "x").code == 0
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == FILES


@pytest.mark.parametrize("name", ["123", "true", "1e5", "null", "a.b-c_d"])
def test_a_name_that_yaml_would_read_otherwise_stays_a_name(name: str, run: Run, tmp_path: Path) -> None:
    assert run("init", name).code == 0
    recipe = load_recipe(tmp_path / name / "recipe.yaml")
    assert recipe.name == recipe.export.name == name
