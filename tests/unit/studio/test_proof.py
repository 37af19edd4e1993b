"""The tab Proof: what it tells of a run is what the certificate and the figures say, and its commands are real ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivecoach.domains.driving import DRIVING
from drivecoach.evaluate.result import Rate
from drivecoach.verify import certificate as paper
from tests.support.measured_runs import states, write_figures
from tests.support.runs import make_run
from tests.support.studio import finished, open_studio

STATES = states(12)
LINES = [DRIVING.write_input(state) for state in STATES]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, crossing: Path) -> Iterator[tuple[httpx.Client, Path]]:
    """A studio with a verified run, two that were evaluated on the same states, and one that was only trained."""
    folder = tmp_path_factory.mktemp("proof")
    shutil.copytree(crossing, folder / "runs/crossing")
    (folder / "m.gguf").write_bytes(b"weights")
    for name, wrong in {"first": LINES[:4], "second": LINES[3:5]}.items():
        run = make_run(folder / "runs" / name, folder / "m.gguf", LINES)
        write_figures(run.folder, run.quantized, {"uniform": STATES}, set(wrong))
    made = make_run(folder / "runs/bare", folder / "m.gguf", LINES)
    made.quantized.unlink()
    with open_studio(folder) as client:
        yield client, folder


def proof(studio: tuple[httpx.Client, Path], run: str) -> dict[str, Any]:
    answer = studio[0].get(f"/api/proof/runs/{run}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_verified_run_shows_its_certificate_and_every_wrong_answer_on_the_map(
    studio: tuple[httpx.Client, Path],
) -> None:
    found = proof(studio, "crossing")
    certificate = paper.read(studio[1] / "runs/crossing/verify")
    assert (found["certificate"]["states"], found["certificate"]["wrong"]) == (216, certificate.wrong)
    cells = found["map"]["cells"]
    assert sum(cell["wrong"] for cell in cells) == certificate.wrong > 0
    assert {int(place) for place in found["map"]["failing"]} == {at for at, cell in enumerate(cells) if cell["wrong"]}
    worst = found["map"]["failing"][str(found["map"]["worst"][0])]
    case = worst["cases"][0]
    assert case["said"] != case["right"] and len(case["state"]) == len(found["fields"])


def test_scores_come_with_the_bounds_of_wilson(studio: tuple[httpx.Client, Path]) -> None:
    (split,) = proof(studio, "first")["splits"]
    expected = Rate.of(8, 12)
    assert (split["exact"]["count"], split["exact"]["rows"], split["exact"]["text"]) == (8, 12, "66.67%")
    assert (split["exact"]["low"], split["exact"]["high"]) == (expected.low, expected.high)
    assert split["confusion"]["levels"] == list(DRIVING.levels)


def test_two_runs_are_paired_on_the_same_questions(studio: tuple[httpx.Client, Path]) -> None:
    found = studio[0].get("/api/proof/compare/first/second").json()
    (split,) = found["splits"]
    assert (split["better"], split["worse"], split["lowered"]) == (3, 1, [4, 2])
    assert len(found["better"]) == 3 and len(found["worse"]) == 1
    assert found["worse"][0]["state"] == [str(value) for value in DRIVING.input.dump(STATES[4]).values()]


def test_runs_of_two_domains_are_not_compared(studio: tuple[httpx.Client, Path]) -> None:
    answer = studio[0].get("/api/proof/compare/first/crossing")
    assert answer.status_code == 400 and "their domains are" in answer.json()["error"] and answer.json()["hint"]


def test_what_cannot_be_done_says_why_and_is_refused(studio: tuple[httpx.Client, Path]) -> None:
    actions = {action["id"]: action for action in proof(studio, "bare")["actions"]}
    assert actions["evaluate"]["disabled"]["en"] == "it has no exported model"
    assert actions["evaluate"]["first"] == "drivecoach export runs/bare"
    assert actions["report"]["disabled"] is None
    refused = studio[0].post("/api/proof/runs/bare/evaluate", json={})
    assert refused.status_code == 400 and "drivecoach export runs/bare" in refused.json()["hint"]
    assert studio[0].get("/api/jobs").json() == []


@pytest.mark.parametrize("name", ["..", "crossing%2F..%2F..", ".studio", "nobody"])
def test_no_run_is_found_outside_the_folder(studio: tuple[httpx.Client, Path], name: str) -> None:
    assert studio[0].get(f"/api/proof/runs/{name}").status_code in (400, 404)
    assert studio[0].get(f"/api/proof/reports/{name}").status_code in (400, 404)


def test_an_evaluation_is_a_command_of_its_own_and_the_report_reaches_nothing(
    studio: tuple[httpx.Client, Path],
) -> None:
    client = studio[0]
    assert proof(studio, "crossing")["splits"] == []
    job = client.post("/api/proof/runs/crossing/evaluate", json={}).json()
    assert (job["command"], job["about"]) == ("drivecoach evaluate runs/crossing", "crossing")
    ended = finished(client, job)
    assert ended["state"] == "done", ended
    assert {split["name"] for split in proof(studio, "crossing")["splits"]} >= {"test"}
    page = studio[1] / "reports/crossing/index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<script>1</script>")
    policy = client.get("/api/proof/reports/crossing").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "allow-same-origin" not in policy
