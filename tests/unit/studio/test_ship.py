"""The tab Ship: files as they lie, with their digests; deploying by a real command, and why it cannot be done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.export.card import CARD
from drivecoach.files import sha256
from tests.support.deploy_server import DeployServer, deploy_server
from tests.support.driving import lines
from tests.support.runs import make_run
from tests.support.scripted_model import write_scripted_gguf
from tests.support.studio import finished, open_studio

CHAT = Chat(DRIVING.system)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DeployServer, Path]]:
    gguf = write_scripted_gguf(tmp_path_factory.mktemp("model") / "m.gguf", "松开油门", chat=CHAT)
    with deploy_server(CHAT) as made:
        made.answers = {f"sha256:{sha256(gguf)}": "松开油门"}
        yield made, gguf


@pytest.fixture(scope="module")
def studio(
    tmp_path_factory: pytest.TempPathFactory, server: tuple[DeployServer, Path]
) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("ship")
    run = make_run(folder / "runs/one", server[1], lines(4), test=0.9)
    (run.quantized.parent / "secret.safetensors").write_bytes(b"weights")
    card = "---\nlicense: x\n---\n<!-- made -->\n# A <b>card</b>\n\n[x](javascript:y)\n"
    run.quantized.with_name(CARD).write_text(card, encoding="utf-8")
    with open_studio(folder) as client:
        yield client, run.folder


def test_a_download_is_the_file_by_its_name_and_digest(studio: tuple[httpx.Client, Path]) -> None:
    client, folder = studio
    listed = client.get("/api/ship/runs/one").json()["files"]
    served = listed[0]
    answer = client.get(f"/api/ship/runs/one/files/{served['name']}")
    assert hashlib.sha256(answer.content).hexdigest() == served["sha256"] == sha256(folder / "export" / served["name"])
    assert int(answer.headers["content-length"]) == served["bytes"]
    assert answer.headers["content-disposition"] == f'attachment; filename="{served["name"]}"'
    part = client.get(f"/api/ship/runs/one/files/{served['name']}", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"GGUF")


@pytest.mark.parametrize("name", ["secret.safetensors", "manifest.json", "..%2Frecipe.json", "%2Fetc%2Fpasswd"])
def test_nothing_else_is_downloaded(studio: tuple[httpx.Client, Path], name: str) -> None:
    assert studio[0].get(f"/api/ship/runs/one/files/{name}").status_code in (400, 404)


def test_a_link_to_the_outside_is_no_download(studio: tuple[httpx.Client, Path], tmp_path: Path) -> None:
    client, folder = studio
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    link = folder / "export/linked.gguf"
    link.symlink_to(tmp_path / "secret")
    try:
        assert "linked.gguf" not in {one["name"] for one in client.get("/api/ship/runs/one").json()["files"]}
        assert client.get("/api/ship/runs/one/files/linked.gguf").status_code == 400
    finally:
        link.unlink()


def test_the_card_is_shown_without_its_metadata_and_without_what_a_browser_would_run(
    studio: tuple[httpx.Client, Path],
) -> None:
    card = studio[0].get("/api/ship/runs/one").json()["card"]
    assert card.startswith("<h1>A &lt;b&gt;card&lt;/b&gt;</h1>")
    assert "license" not in card and "made" not in card and "href" not in card


def test_where_no_ollama_answers_deploying_says_so(
    studio: tuple[httpx.Client, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    found = studio[0].get("/api/ship/runs/one").json()
    assert not found["ollama"]["there"] and found["ollama"]["url"] == "http://127.0.0.1:9"
    actions = {action["id"]: action for action in found["actions"]}
    assert actions["deploy"]["disabled"]["en"] == "no Ollama answers at http://127.0.0.1:9"
    assert actions["deploy"]["command"] == "drivecoach deploy runs/one --json"
    assert studio[0].post("/api/ship/runs/one/deploy", json={}).status_code == 400


def test_a_deployment_is_proved_and_stands_in_the_ledger(
    studio: tuple[httpx.Client, Path], server: tuple[DeployServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, (ollama, _) = studio[0], server
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    before = {action["id"]: action for action in client.get("/api/ship/runs/one").json()["actions"]}
    assert before["rollback"]["disabled"]["en"] == "nothing is kept as goDrive:previous"
    job = client.post("/api/ship/runs/one/deploy", json={"name": "coach"}).json()
    assert job["command"] == "drivecoach deploy runs/one --name coach --json"
    ended = finished(client, job)
    assert ended["state"] == "done", ended
    proved = client.get(f"/api/jobs/{job['id']}/result").json()["result"]
    assert (proved["name"], proved["compared"], proved["replaced"]) == ("coach", "text", None)
    assert proved["prompts"] > 0 and proved["answers"] == 4
    (entry,) = client.get("/api/ship/runs/one").json()["deployed"]
    assert (entry["name"], entry["now"], entry["digest"]) == ("coach", True, ollama.digest("coach"))
