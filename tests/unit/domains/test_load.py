"""Which domain is meant: names, installed packages, files of one's own, JSON Schemas; and what a bad one says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from drivecoach.config import load_recipe
from drivecoach.domain import Domain
from drivecoach.domains.load import SchemaFiles, identity, load_domain
from drivecoach.errors import RecipeError
from drivecoach.runtime import RUNTIMES, open_runtime
from tests.support.installed import install
from tests.support.thermostat import THERMOSTAT, Command, Reading

SCHEMA = """
from typing import Literal
from pydantic import BaseModel
from drivecoach.domain import Domain

class Light(BaseModel):
    colour: Literal["red", "green"]

domain = Domain("lights", Light, str)
"""


def written(folder: Path, text: str, name: str = "schema.py") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_shipped_names_are_domains() -> None:
    for name in ("driving", "text"):
        assert load_domain(name).name == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="no domain 'drivng'") as caught:
        load_domain("drivng")
    assert "driving, text" in caught.value.hint


def test_a_file_gives_its_domain_and_the_same_one_each_time(tmp_path: Path) -> None:
    path = written(tmp_path, SCHEMA)
    domain = load_domain(f"{path}:domain")
    assert domain.write_input(domain.read_input("colour: red")) == "colour:red"
    assert load_domain(str(path)) is domain
    before = identity(f"{path}:domain", domain)
    written(tmp_path, SCHEMA + "\n# a comment: perhaps another invariant\n")
    again = load_domain(f"{path}:domain")
    assert identity(f"{path}:domain", again) != before


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    written(tmp_path, "COLOURS = ('red', 'green')\n", "colours_beside.py")
    path = written(tmp_path, "from colours_beside import COLOURS\n" + SCHEMA)
    assert load_domain(str(path)).name == "lights"
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("text", "attribute", "says", "hint"),
    [
        ("x = 1\n", "", "defines no domain", "domain = Domain('schema', Input, Answer"),
        ("x = 1\n", ":x", "is no domain", "domain = Domain("),
        (SCHEMA, ":other", "is not there", ":domain"),
        (SCHEMA + "other = Domain('b', str, str)\n", "", "defines 2 domains", ":other"),
        ("import nothing_of_that_name\n", "", "does not import: ModuleNotFoundError", "python schema.py"),
        ("def f(:\n", "", "does not import: SyntaxError", "python schema.py"),
        (SCHEMA + "1 / 0\n", ":domain", "does not import: ZeroDivisionError", "python schema.py"),
        (SCHEMA + "raise SystemExit(3)\n", ":domain", "does not import: SystemExit", "python schema.py"),
        (SCHEMA.replace('Literal["red", "green"]', "dict[float, int]"), "", "Light cannot be written", "a model in"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, text: str, attribute: str, says: str, hint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecipeError, match=says) as caught:
        load_domain(f"{path}{attribute}")
    assert hint in caught.value.hint
    assert str(path) in caught.value.message


def test_a_fault_names_the_field_and_an_error_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, SCHEMA.replace('Literal["red", "green"]', "dict[float, int]"))
    with pytest.raises(RecipeError) as caught:
        load_domain(str(path))
    assert [fault.where for fault in caught.value.faults] == ["colour"]
    path = written(tmp_path, SCHEMA + "\n1 / 0\n")
    with pytest.raises(RecipeError) as caught:
        load_domain(str(path))
    assert [fault.where for fault in caught.value.faults] == [f"line {len(SCHEMA.splitlines()) + 2}"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no domain file at .*gone\.py"):
        load_domain(f"{tmp_path}/gone.py:domain")


def test_two_json_schemas_are_a_domain(tmp_path: Path) -> None:
    given = written(tmp_path, json.dumps(Reading.model_json_schema()), "state.schema.json")
    answer = written(tmp_path, json.dumps(Command.model_json_schema()), "contract.schema.json")
    for domain in (
        load_domain(SchemaFiles(input=str(given), answer=str(answer))),
        load_domain(f"{given},{answer}"),
    ):
        assert domain.name == "contract"
        command = {"action": "heat", "level": 2.0, "steps": []}
        assert domain.compare(command, {**command, "level": 2.4}) == {
            "answer": True,
            "action": True,
            "level": True,
            "steps": True,
            "note": True,
        }
    written(tmp_path, "[1, 2", "state.schema.json")
    with pytest.raises(RecipeError, match="cannot read the JSON Schema"):
        load_domain(f"{given},{answer}")


def test_a_recipes_files_are_relative_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    written(folder, SCHEMA)
    recipe = written(
        folder,
        "name: own\ndomain: schema.py:domain\ndata: {path: pairs.jsonl}\nbase: {source: local, name: base}\n",
        "recipe.yaml",
    )
    monkeypatch.chdir(tmp_path)
    loaded = load_recipe(Path("own/recipe.yaml"))
    assert load_domain(loaded.domain).name == "lights"
    assert (loaded.data.path, loaded.base.name) == ("own/pairs.jsonl", "own/base")
    overridden = load_recipe(Path("own/recipe.yaml"), ["data.path=mine.jsonl", "domain=text"])
    assert (overridden.data.path, overridden.domain) == ("mine.jsonl", "text")
    assert Path(str(loaded.domain).partition(":")[0]).is_absolute()
    assert recipe.is_file()


def test_an_installed_package_brings_a_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "lights", SCHEMA, {"drivecoach.domains": {"lights": "lights_package:domain"}})
    assert load_domain("lights").name == "lights"
    assert isinstance(load_domain("lights"), Domain)
    with pytest.raises(RecipeError) as caught:
        load_domain("unknown")
    assert "driving, lights, text" in caught.value.hint


def test_a_package_never_takes_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "taker", SCHEMA, {"drivecoach.domains": {"text": "taker_package:domain"}})
    assert load_domain("text").name == "text"


@pytest.mark.parametrize(
    ("text", "says"), [("1 / 0\n", "does not import: division by zero"), ("domain = 3\n", "is no domain")]
)
def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    name = f"broken{len(text)}"
    install(tmp_path, monkeypatch, name, text, {"drivecoach.domains": {name: f"{name}_package:domain"}})
    with pytest.raises(RecipeError, match=says) as caught:
        load_domain(name)
    assert name in caught.value.message + caught.value.hint


RUNTIME = """
from drivecoach.runtime import Completion

class Echo:
    slots = 2
    thinks = False
    metadata = {}

    def __init__(self, model, host=None, *, timeout=120.0):
        self.name = f"echo:{model}"

    def generate(self, user, history=(), *, think=True, seed=None, schema=None):
        return Completion(user, 1, 1, 0.0, True)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
"""


def test_an_installed_package_brings_a_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "echo", RUNTIME, {"drivecoach.runtimes": {"echo": "echo_package:Echo"}})
    assert "echo" in RUNTIMES.names()
    with open_runtime("echo:any") as runtime:
        assert runtime.generate("hello").text == "hello"


def test_the_thermostat_stands_for_any_domain() -> None:
    assert THERMOSTAT.has_teacher
    assert THERMOSTAT.has_invariants
    assert not load_domain("text").has_teacher
    assert not load_domain("text").has_invariants
