"""The tab Plan: what a setting means, faults at their setting, and a saved recipe that is the one that was meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import drivecoach.studio
from drivecoach.config import load_recipe
from drivecoach.config.shipped import shipped_recipes
from drivecoach.studio.plan import MAIN
from drivecoach.studio.settings import settings
from drivecoach.studio.workspace import Workspace

STATIC = Path(drivecoach.studio.__file__).parent / "static"
BY_PATH = {setting.path: setting for setting in settings()}


def chosen(client: TestClient, name: str = "nano") -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/plan/recipe", params={"name": name}).json()["settings"]
    return found


def test_every_main_setting_says_what_it_means_in_both_languages() -> None:
    chinese = dict(
        re.findall(r'^  "([a-z_.]+)": \["[^"]+", "([^"]*)"\]', (STATIC / "settings.js").read_text("utf-8"), re.M)
    )
    for path in MAIN:
        assert len(BY_PATH[path].text) > 10, path
        assert chinese[path], path
    assert set(chinese) <= set(BY_PATH)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_is_saved_as_the_recipe_that_it_is(
    client: TestClient, workspace: Workspace, name: str
) -> None:
    given = chosen(client, name)
    found = client.post("/api/plan/check", json={"settings": given}).json()
    missing = [fault["where"] for fault in found["faults"]]
    local = given["data"].get("source", "local") == "local" and not given["data"].get("mix")
    if missing:  # pairs that nobody shipped
        assert missing == ["data.path"] and local
        return
    assert client.post("/api/plan/save", json={"settings": given}).json() == {"recipe": f"recipes/{name}.yaml"}
    saved, shipped = load_recipe(workspace.folder / f"recipes/{name}.yaml"), load_recipe(Path(name))
    assert saved.model_copy(update={"data": shipped.data}) == shipped
    assert not local or (Path(saved.data.path).is_file() and Path(saved.data.path).is_relative_to(workspace.folder))


def test_faults_stand_at_their_settings(client: TestClient) -> None:
    given = chosen(client)
    given["name"] = "a b"
    given["train"] |= {"epochs": -1, "batch_size": "many", "colour": 1}
    given["export"]["quantizations"] = ["q9"]
    found = client.post("/api/plan/check", json={"settings": given}).json()["faults"]
    places = {fault["where"] for fault in found}
    assert places >= {"name", "train.epochs", "train.batch_size", "train.colour"}
    assert any(place.startswith("export.quantizations") for place in places)
    assert client.post("/api/plan/save", json={"settings": given}).status_code == 400
    given = chosen(client)
    given["data"]["path"], given["domain"] = "data/none.jsonl", "driven"
    found = client.post("/api/plan/check", json={"settings": given}).json()["faults"]
    assert {fault["where"] for fault in found} == {"data.path", "domain"}


def test_a_recipe_of_that_name_is_not_written_over_unasked(client: TestClient, workspace: Workspace) -> None:
    given = chosen(client)
    assert client.post("/api/plan/save", json={"settings": given}).status_code == 200
    before = (workspace.folder / "recipes/nano.yaml").read_bytes()
    given["train"]["epochs"] = 2
    refused = client.post("/api/plan/save", json={"settings": given})
    assert refused.status_code == 400 and "already there" in refused.json()["error"]
    assert (workspace.folder / "recipes/nano.yaml").read_bytes() == before
    assert client.post("/api/plan/save", json={"settings": given, "replace": True}).status_code == 200
    assert load_recipe(workspace.folder / "recipes/nano.yaml").train.epochs == 2


@pytest.mark.parametrize("name", ["../nano", "a/b", ".nano", "-nano", ""])
def test_a_recipes_name_is_no_path(client: TestClient, workspace: Workspace, name: str) -> None:
    given = chosen(client) | {"name": name}
    assert client.post("/api/plan/save", json={"settings": given}).status_code == 400
    assert [*(workspace.folder / "recipes").iterdir()] == []


OUTSIDE = (
    ("domain", {"domain": "/elsewhere/schema.py"}),
    ("domain", {"domain": "../schema.py:domain"}),
    ("domain", {"domain": "/elsewhere/a.json,data/b.json"}),
    ("domain", {"domain": {"input": "data/a.json", "answer": "../b.json"}}),
    ("data.path", {"data": {"path": "/elsewhere/pairs.jsonl"}}),
    (
        "data.mix.1.path",
        {"data": {"mix": [{"path": "data/a.jsonl", "share": 0.5}, {"path": "../b.jsonl", "share": 0.5}]}},
    ),
    ("base.name", {"base": {"source": "local", "name": "/elsewhere/model"}}),
    ("chat.template", {"chat": {"template": "../x.jinja"}, "base": {"source": "hub", "name": "a/b"}}),
    ("parent.run", {"parent": {"run": "../runs/a", "fingerprint": "0"}}),
)


@pytest.mark.parametrize(("setting", "changed"), OUTSIDE, ids=[str(changed) for _, changed in OUTSIDE])
def test_no_recipe_names_a_file_outside_the_folder(
    client: TestClient, workspace: Workspace, setting: str, changed: dict[str, Any]
) -> None:
    given = {"name": "away", "data": {"path": "data/a.jsonl"}, "base": {"source": "nano"}} | changed
    (workspace.folder / "data/a.jsonl").write_text('{"input": "a", "output": "b"}\n', encoding="utf-8")
    told = client.post("/api/plan/save", json={"settings": given}).json()
    assert [fault["where"] for fault in told["faults"]] == [setting], told
    # The same recipe, dropped in as if it were data: YAML reads JSON.
    text = json.dumps(given).replace("../", "../../").replace('"data/', '"../data/')
    assert client.post("/api/files/away.json", content=text).status_code == 200
    for path in ("/api/plan/estimate", "/api/train/start"):
        answer = client.post(path, json={"recipe": "data/away.json"})
        assert answer.status_code == 400, answer.text
        assert [fault["where"] for fault in answer.json()["faults"]] == [setting]
    assert client.get("/api/jobs").json() == []


def test_a_domain_of_ones_own_stays_inside_the_folder(client: TestClient, workspace: Workspace) -> None:
    folder = workspace.folder / "domains/lamp"
    folder.mkdir()
    (folder / "schema.py").write_text("domain = Domain()", encoding="utf-8")
    (folder / "pairs.jsonl").write_text("{}\n", encoding="utf-8")
    given = chosen(client) | {"name": "lamp", "domain": "domains/lamp/schema.py"}
    given["data"]["path"] = "domains/lamp/pairs.jsonl"
    assert client.post("/api/plan/save", json={"settings": given}).status_code == 200
    saved = load_recipe(workspace.folder / "recipes/lamp.yaml")
    assert saved.domain == str(folder / "schema.py") and Path(saved.data.path) == folder / "pairs.jsonl"
    again = chosen(client, "recipes/lamp.yaml")
    assert (again["domain"], again["data"]["path"]) == ("domains/lamp/schema.py", "domains/lamp/pairs.jsonl")
