"""The tab Ask: two models on one input, judged as everywhere; engines that are bounded; forms for any domain."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivecoach.domains.text import TEXT
from drivecoach.studio.engines import Engines, Model
from drivecoach.studio.fields import form_of_input
from drivecoach.verify import certificate as paper
from tests.support import crossing as crossing_domain
from tests.support.crossing import CROSSING
from tests.support.studio import open_studio
from tests.support.thermostat import THERMOSTAT

RULES = f"rules:{crossing_domain.__file__}:domain"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, crossing: Path) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("ask")
    shutil.copytree(crossing, folder / "runs/crossing")
    shutil.copyfile(next(crossing.glob("export/*q4_K_M.gguf")), folder / "copy.gguf")
    with open_studio(folder) as client:
        yield client, folder


def asked(client: httpx.Client, *models: str, **given: Any) -> dict[str, Any]:
    answer = client.post("/api/ask", json={"models": list(models), **given})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_everything_that_can_be_asked_is_listed(studio: tuple[httpx.Client, Path], monkeypatch: Any) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    found = studio[0].get("/api/ask/models").json()
    assert [run["id"] for run in found["runs"]] == ["runs/crossing"]
    assert found["files"] == ["copy.gguf"]
    assert {RULES, "rules:driving"} <= {*found["rules"]} and "rules:text" not in found["rules"]
    assert found["ollama"] == [] and "no Ollama" in found["no_ollama"]["error"]


def test_a_wrong_answer_is_shown_field_by_field_beside_the_rules(studio: tuple[httpx.Client, Path]) -> None:
    wrong = next(iter(paper.read_counterexamples(studio[1] / "runs/crossing/verify")))
    found = asked(studio[0], "runs/crossing", RULES, text=wrong.input)
    model, rules = found["answers"]
    assert (model["answer"], rules["answer"]) == (wrong.given, wrong.expected)
    assert rules["source"] == "rules" and found["right"]["why"]["rule"] == wrong.rule
    rows = {row["name"]: row for row in found["rows"]}
    for name, value in wrong.expected.items():
        assert rows[name]["values"][1:] == [value, value]
        assert rows[name]["wrong"] == [wrong.given[name] != value, False, False]
        assert rows[name]["differs"] == (wrong.given[name] != value)
    assert model["milliseconds"] > 0 and "--model runs/crossing" in model["command"]


def test_a_form_and_a_line_ask_the_same(studio: tuple[httpx.Client, Path]) -> None:
    form = studio[0].get("/api/ask/form", params={"model": "runs/crossing"}).json()
    example = form["examples"][0]
    typed = asked(studio[0], "copy.gguf", text=example["text"])
    filled = asked(studio[0], "copy.gguf", record=example["record"])
    for found in (typed, filled):
        assert (found["text"], found["record"]) == (example["text"], example["record"])
    assert typed["answers"][0]["answer"] == filled["answers"][0]["answer"]
    held_out = (studio[1] / "runs/crossing/data/test.jsonl").read_text().splitlines()
    assert any(example["text"] in line for line in held_out)


def test_a_bad_input_names_its_fields(studio: tuple[httpx.Client, Path]) -> None:
    record = {"place": "moon", "light": "red", "speed": "slow", "walker": "none"}
    answer = studio[0].post("/api/ask", json={"models": ["runs/crossing"], "record": record})
    assert answer.status_code == 400
    assert {fault["where"] for fault in answer.json()["faults"]} == {"place", "rain"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("../copy.gguf", "upwards"),
        ("/etc/passwd", "relative"),
        ("rules:/tmp/evil.py:domain", "no rules"),
        ("llamacpp:copy.gguf", ""),
        ("ollama:../x", "name"),
    ],
)
def test_only_models_of_the_folder_are_opened(studio: tuple[httpx.Client, Path], model: str, said: str) -> None:
    answer = studio[0].post("/api/ask", json={"models": [model], "text": "x"})
    assert answer.status_code == 400 and said in answer.json()["error"]


def test_models_of_two_domains_are_not_asked_the_same(studio: tuple[httpx.Client, Path]) -> None:
    answer = studio[0].post("/api/ask", json={"models": ["runs/crossing", "rules:driving"], "text": "x"})
    assert answer.status_code == 400 and "answers crossing" in answer.json()["error"]


def test_the_guard_gives_the_rules_answer_where_the_models_is_too_mild(studio: tuple[httpx.Client, Path]) -> None:
    counterexamples = paper.read_counterexamples(studio[1] / "runs/crossing/verify")
    text = next(one.input for one in counterexamples if one.below or one.violations)
    flagged = asked(studio[0], "runs/crossing", text=text)
    guarded = asked(studio[0], "runs/crossing", text=text, guard="strict")
    assert flagged["answers"][0]["answer"] != flagged["right"]["answer"]
    (answer,) = guarded["answers"]
    assert answer["status"] == "valid" and "--guard strict" in answer["command"]
    assert answer["source"] == "model" or answer["answer"] == guarded["right"]["answer"]
    given, right = (CROSSING.answer.parse(one) for one in (answer["answer"], guarded["right"]["answer"]))
    assert not CROSSING.is_below(given, right)


def test_one_model_that_fails_does_not_hide_the_other(studio: tuple[httpx.Client, Path], monkeypatch: Any) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    text = CROSSING.write_input(next(CROSSING.inputs()))
    found = asked(studio[0], RULES, "ollama:nobody", text=text)
    assert found["answers"][0]["status"] == "valid"
    assert found["answers"][1]["status"] == "failed" and "no Ollama" in found["answers"][1]["error"]


def test_two_are_open_at_most_and_none_when_nobody_asks() -> None:
    engines = Engines(idle=0.2)
    for name in "abc":
        with engines.opened(Model(name, "rules")) as target:
            assert target.kind == "rules"
    assert engines.names == ["b", "c"]
    until = time.monotonic() + 5
    while engines.names and time.monotonic() < until:
        time.sleep(0.02)
    assert engines.names == []


def test_a_file_that_was_made_anew_is_opened_anew(studio: tuple[httpx.Client, Path]) -> None:
    engines, file = Engines(), studio[1] / "copy.gguf"
    opened = []
    for changed in (0, 0, 1):
        os.utime(file, (1, 1 + changed))
        with engines.opened(Model("m", str(file), file)) as target:
            opened.append(target)
    engines.close()
    assert opened[0] is opened[1] is not opened[2]


def test_forms_are_made_of_the_domains_own_fields() -> None:
    form = form_of_input(THERMOSTAT)
    fields = {field["name"]: field for field in form["fields"]}
    assert {name: field["kind"] for name, field in fields.items()} == {
        "room": "closed",
        "temperature": "integer",
        "window open": "closed",
        "boost": "closed",
    }
    assert fields["window open"]["values"] == (True, False) and fields["window open"]["also"] == ""
    assert not fields["boost"]["required"] and fields["temperature"]["allowed"] == "a whole number from 15 to 24"
    assert form_of_input(TEXT) == {"domain": "text", "text": True, "fields": []}
