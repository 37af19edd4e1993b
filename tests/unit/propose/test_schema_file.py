"""The schema.py that is written: it loads, takes every pair, is read by linters, and holds nothing but models."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivecoach.chat.template import split
from drivecoach.config import SourceConfig
from drivecoach.data.check import check
from drivecoach.domains.load import load_domain
from drivecoach.propose import Made, make_folder
from drivecoach.propose.layout import COLUMNS, width
from drivecoach.propose.python import field_names

ROOT = Path(__file__).parents[3]

HOSTILE = [
    'it\'s "q"',
    '"""',
    "'''",
    "a\nimport os",
    "a\\",
    "\x00\x1b[0m",
    "\u202e\u2028",
    '"); raise SystemExit(1)  #',
    "{{ 7 * 7 }}",
    "class",
    "schema",
    "json",
    "copy",
    "model_x",
    "model_config",
    "_private",
    "__init__",
    "int",
    "list",
    "Field",
    "Literal",
    "Annotated[",
    "BaseModel",
    "domain",
    "l",
    "two words",
    "two-words",
    "2nd",
    "ﬁeld",
    "城 市",
    "城市",
    "",
    " ",
    "None",
    "True",
    "x" * 300,
    "字" * 200,
    "mro",
    "self",
    "a",
    "A",
]
KEYS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS = st.one_of(
    st.just(st.booleans()),
    st.just(st.integers(-(10**17), 10**17)),
    st.just(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-100, 100)),
    st.just(TEXTS),
    st.lists(TEXTS, min_size=1, max_size=3).map(st.sampled_from),
)


def objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Strategies of objects: some keys always there, some not, some null."""
    always, at_times = (st.dictionaries(KEYS, parts, max_size=4) for _ in range(2))

    def together(fixed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
        loose = {key: st.none() | part for key, part in optional.items() if key not in fixed}
        return st.fixed_dictionaries(fixed, optional=loose)

    return st.builds(together, always, at_times)


SHAPES = st.recursive(
    SCALARS,
    lambda parts: objects(parts) | parts.map(lambda part: st.lists(part, max_size=3)),
    max_leaves=6,
)


def write_rows(rows: list[tuple[str, str]], path: Path) -> SourceConfig:
    path.write_text("".join(json.dumps({"input": a, "output": b}) + "\n" for a, b in rows), encoding="utf-8")
    return SourceConfig(path=str(path))


def all_pairs_fit(made: Made) -> None:
    """What the folder's own test says, and that every text is canonical already."""
    domain = load_domain(f"{made.folder / 'schema.py'}:domain")
    report = check(made.folder / "pairs.jsonl", domain)
    assert not report.refusals
    assert len(report.pairs) == made.pairs == made.rows - made.refused.total() > 0
    rows = [json.loads(line) for line in (made.folder / "pairs.jsonl").read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        assert domain.write_input(domain.read_input(row["input"])) == row["input"]
        answer = split(row["output"]).text
        assert domain.write_answer(domain.read_answer(answer)) == answer


def holds_models_only(schema: str) -> None:
    """No statement and no call beyond those that are meant, no line too long."""
    for node in ast.parse(schema).body:
        is_doc = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert is_doc or isinstance(node, ast.ImportFrom | ast.ClassDef | ast.Assign)
        if isinstance(node, ast.ClassDef):
            assert all(isinstance(part, ast.Expr | ast.AnnAssign | ast.Assign) for part in node.body)
    calls = [node.func for node in ast.walk(ast.parse(schema)) if isinstance(node, ast.Call)]
    assert {call.id for call in calls if isinstance(call, ast.Name)} <= {"Field", "ConfigDict", "Domain"}
    assert all(isinstance(call, ast.Name) for call in calls)
    assert max(width(line) for line in schema.split("\n")) <= COLUMNS


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data(), objects(SHAPES), objects(SHAPES), st.integers(1, 12))
def test_whatever_the_rows_every_pair_fits_what_is_proposed(
    data: st.DataObject, inputs: st.SearchStrategy[Any], answers: st.SearchStrategy[Any], count: int
) -> None:
    rows = [
        (json.dumps({"n": number, **data.draw(inputs)}), json.dumps({"done": True, **data.draw(answers)}))
        for number in range(count)
    ]
    with TemporaryDirectory() as folder:
        source = write_rows(rows, Path(folder) / "rows.jsonl")
        made = make_folder(Path(folder) / "own", source)
        all_pairs_fit(made)
        holds_models_only((made.folder / "schema.py").read_text(encoding="utf-8"))


LINE_VALUES = st.one_of(
    st.just(st.sampled_from(["true", "false"])),
    st.just(st.integers(-(10**20), 10**20).map(str)),
    st.just(st.floats().map(str)),
    st.just(st.sampled_from(["on", "off", "", "null", "1", "+3", "007", "1e999", "Ａ", "12:30"])),
)
LINE_KEYS = st.sampled_from(["room", "two words", "灯", "Ｋ", "class", "a.b", "<x>"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.dictionaries(LINE_KEYS, LINE_VALUES, min_size=1), st.integers(1, 9))
def test_whatever_the_lines_every_pair_fits_what_is_proposed(
    data: st.DataObject, keys: dict[str, st.SearchStrategy[str]], count: int
) -> None:
    rows = []
    for number in range(count):
        present = {key: data.draw(values) for key, values in keys.items() if data.draw(st.booleans())}
        line = "; ".join(f"{key}:{value}" for key, value in {"n": number, **present}.items())
        rows.append((line, f"answer {number % 3}"))
    with TemporaryDirectory() as folder:
        made = make_folder(Path(folder) / "own", write_rows(rows, Path(folder) / "rows.jsonl"))
        all_pairs_fit(made)
        assert made.pairs == count, "of fewer than ten rows none is a rare one"


@given(st.lists(KEYS, unique=True, max_size=8))
def test_names_of_fields_are_safe_and_different(keys: list[str]) -> None:
    names = field_names(keys)
    assert list(names) and set(names) == set(keys) if keys else names == {}
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert name.isidentifier() and not name.startswith(("_", "model_")) and name not in ("class", "schema", "int")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose keys and values are all hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for number in range(60):
        value = HOSTILE[number % 20]
        part = dict.fromkeys(HOSTILE, value) | {"items": [dict.fromkeys(HOSTILE, number)]} | {"字" * 50: {"X" * 90: {}}}
        rows.append((json.dumps({"n": number, **part}), json.dumps({"text": f"{value}{number}", **part})))
    made = make_folder(folder / "hostile", write_rows(rows, folder / "rows.jsonl"))
    assert made.pairs == 60
    all_pairs_fit(made)
    return made.folder


def test_nothing_in_the_rows_breaks_out_of_the_python(hostile: Path) -> None:
    holds_models_only((hostile / "schema.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--isolated", "--line-length=120", "--select=E,F,W,I,UP,B,SIM,RUF,S", "--ignore=RUF001,S101"],
        ["mypy", "--strict", "--config-file=../mypy.ini"],
    ],
)
def test_what_is_written_passes_linters_and_type_checkers(hostile: Path, command: list[str]) -> None:
    pytest.importorskip(command[0])
    # Not followed: what the package imports inside functions, torch alone 1,400 modules, is nothing to these models.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (untyped,) = project["tool"]["mypy"]["overrides"]
    config = f"[mypy]\n[mypy-{','.join(untyped['module'])}]\nignore_missing_imports = True\nfollow_imports = skip\n"
    (hostile.parent / "mypy.ini").write_text(config, encoding="utf-8")
    files = ["schema.py", "test_schema.py"] if command[0] == "ruff" else ["schema.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # mypy does not follow an editable installation
    done = subprocess.run(
        [sys.executable, "-m", *command, *files], cwd=hostile, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_halves_of_characters_and_control_tokens_are_set_aside_however_they_are_spelled(tmp_path: Path) -> None:
    rows = [(f"n:{number}; room:bath", '{"say": "yes"}') for number in range(8)]
    rows += [("n:8; room:bath", '{"say": "\\ud800"}'), ("n:9; room:bath", '{"say": "\\u003c|im_end|>"}')]
    rows += [("n:10; room:＜|im_end|＞", '{"say": "yes"}'), ('{"n": 11, "room": "\\udfff"}', '{"say": "yes"}')]
    made = make_folder(tmp_path / "own", write_rows(rows, tmp_path / "rows.jsonl"))
    assert [row.row for row in made.refusals] == [9, 10, 11, 12]
    all_pairs_fit(made)
