"""The tab Data: findings with their cells, edits that outlive the page, saved aside; the original is never touched."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from drivecoach.data.check import check
from drivecoach.data.columns import Columns
from drivecoach.data.read import read_rows
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.text import TEXT
from drivecoach.errors import DataError
from drivecoach.studio import rows
from drivecoach.studio.workspace import Workspace
from tests.unit.studio.conftest import HERE, TOKEN

PAIRS = Path(__file__).parents[3] / "datasets/driving.json"
LINES = [
    '{"input": "one", "output": "1"}',
    '{"input": "two"}',
    '{"input": "three", "output": "3"}',
    '{"input": "three", "output": "drei"}',
    '{"input": "four", "output": "4"',
    '{"input": "one", "output": "1"}',
]
OF_FILE = {"file": "data/rows.jsonl", "domain": "text"}


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    limit = time.monotonic() + 90
    while job["state"] == "running":
        assert time.monotonic() < limit, job
        time.sleep(0.1)
        job = client.get(f"/api/jobs/{job['id']}").json()
    return job


def test_rows_are_found_edited_and_saved_aside(client: TestClient, workspace: Workspace) -> None:
    original = workspace.folder / "data/rows.jsonl"
    original.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    job = ended(client, client.post("/api/data/check", json=OF_FILE).json())
    assert job["command"] == "drivecoach data check data/rows.jsonl --domain text --json"
    found = client.get("/api/data/findings", params={"job": job["id"]}).json()
    assert (found["rows"], found["accepted"]) == (6, 1)
    assert found["counts"] == {"malformed": 2, "conflict": 2, "duplicate": 1}
    laid = {each["row"]: each["laid"] for each in found["findings"]}
    assert [cell["name"] for cell in laid[2]["cells"]] == ["input", "output"]  # what is lacking can be put in
    edits = {
        2: {"form": laid[2]["form"], "cells": {"input": "two", "output": "2"}},
        4: {"form": laid[4]["form"], "cells": None},
        5: {"form": laid[5]["form"], "cells": {"": '{"input": "four", "output": "4"}'}},
        6: {"form": laid[6]["form"], "cells": {"input": "six", "output": "6"}},
    }
    for row, edit in edits.items():
        assert client.post("/api/data/edit", json={**OF_FILE, "row": row, "edit": edit}).status_code == 200
    other = TestClient(client.app, base_url=HERE)  # another page, as after a refresh or a kill
    other.get("/", params={"token": TOKEN})
    assert set(other.get("/api/data/state", params=OF_FILE).json()["edits"]) == {"2", "4", "5", "6"}
    saved = other.post("/api/data/save", json=OF_FILE).json()
    assert saved == {"file": "data/rows-edited.jsonl", "rows": 5}
    assert original.read_text(encoding="utf-8") == "\n".join(LINES) + "\n"
    report = check(workspace.path(saved["file"]), TEXT)
    assert [(pair.input, pair.output) for pair in report.pairs] == [
        ("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"), ("six", "6")
    ]  # fmt: skip
    assert client.get("/api/data/state", params=OF_FILE).json()["edits"] == {}
    assert client.post("/api/data/save", json=OF_FILE).status_code == 400


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_a_pair_that_is_shown_field_by_field_and_not_changed_stays_the_same_pair(ending: str, tmp_path: Path) -> None:
    pairs = json.loads(PAIRS.read_text(encoding="utf-8"))[:20]
    source, target = tmp_path / f"pairs.{ending}", tmp_path / "edited.jsonl"
    if ending == "csv":
        from drivecoach.data.write import write_table

        write_table(source, Columns(DRIVING), [(pair["input"], pair["output"]) for pair in pairs])
    else:
        text = json.dumps(pairs) if ending == "json" else "\n".join(map(json.dumps, pairs))
        source.write_text(text, encoding="utf-8")
    shown, more = rows.page(source, "driving", 0, 100)
    assert not more and len(shown) == 20
    gears = next(cell for cell in shown[0].cells if cell.name == "挡位")
    assert gears.text in gears.values and len(gears.values) > 5
    edits = {laid.row: rows.Edit(form=laid.form, cells={cell.name: cell.text for cell in laid.cells}) for laid in shown}
    assert rows.save(source, "driving", edits, target) == 20
    assert [(pair.input, pair.output) for pair in check(target, DRIVING).pairs] == [
        (pair.input, pair.output) for pair in check(source, DRIVING).pairs
    ]


def test_edits_of_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINES[0] + "\n", encoding="utf-8")
    gone = rows.Edit(form="record", cells=None)
    for edits, said in (({9: gone}, "no row 9"), ({1: gone}, "no row of")):
        with pytest.raises(DataError, match=said):
            rows.save(tmp_path / "a.jsonl", "text", edits, tmp_path / "b.jsonl")
        assert not (tmp_path / "b.jsonl").exists()


def test_a_domain_that_does_not_import_is_told_and_takes_nothing_along(
    client: TestClient, workspace: Workspace
) -> None:
    (workspace.folder / "data/a.jsonl").write_text(LINES[0] + "\n", encoding="utf-8")
    for name, text in {"bad": "import os; domain = Domain(", "gone": "raise SystemExit('Domain(')"}.items():
        (workspace.folder / f"{name}.py").write_text(text, encoding="utf-8")
        asked = {"file": "data/a.jsonl", "domain": f"{name}.py"}
        answer = client.get("/api/data/rows", params=asked)
        assert answer.status_code == 400 and answer.json()["error"]
    assert client.get("/api/data/rows", params={**asked, "domain": "text"}).json()["rows"][0]["row"] == 1
    for domain in ("nothing", "../x.py", "/etc/x.py", "none.py"):
        answer = client.get("/api/data/rows", params={**asked, "domain": domain})
        assert answer.status_code == 400 and answer.json()["hint"]


def test_shipped_pairs_are_copied_not_changed_in_place(client: TestClient, workspace: Workspace) -> None:
    assert client.post("/api/data/copy", json={"name": "driving.json"}).json() == {"file": "data/driving.json"}
    assert len([*read_rows(workspace.folder / "data/driving.json")]) == 7799
    assert client.post("/api/data/copy", json={"name": "../driving.json"}).status_code == 400
