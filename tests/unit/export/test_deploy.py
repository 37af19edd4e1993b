"""What `drivecoach deploy` sends, and that every difference it can find is an error that names it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.errors import Fault, ModelError, RuntimeFailure
from drivecoach.export import modelfile
from drivecoach.export.deploy import Candidate, deploy, read_parameters, roll_back
from drivecoach.export.ollama import OllamaHost, version_numbers
from drivecoach.export.proof import FULL, HOSTILE, QUICK
from tests.support.deploy_server import DeployServer, deploy_server
from tests.support.scripted_model import write_scripted_gguf

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
QUOTED = '教练说 """停""" 就停。\nPARAMETER stop x'
CHAT = Chat(QUOTED)
EXPORT = ExportConfig(num_ctx=256, num_predict=64)
INPUTS = [f"<特征>速度:静止{number}</特征>" for number in range(3)]


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    gguf = write_scripted_gguf(tmp_path_factory.mktemp("deploy") / "m.gguf", ANSWER, chat=CHAT)
    return Candidate(gguf, CHAT, EXPORT, INPUTS)


@pytest.fixture
def fake(candidate: Candidate) -> Iterator[tuple[DeployServer, OllamaHost]]:
    with deploy_server(CHAT) as server:
        server.answers[f"sha256:{hashlib.sha256(candidate.gguf.read_bytes()).hexdigest()}"] = ANSWER
        host = OllamaHost(server.url)
        yield server, host
        host.close()


def created(server: DeployServer) -> list[dict[str, Any]]:
    return [body for _, path, body in server.requests if path == "/api/create"]


def test_the_file_goes_by_digest_once_and_every_setting_as_it_is(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate
) -> None:
    server, host = fake
    proof = deploy(host, "goDrive", candidate)
    digest = "sha256:" + hashlib.sha256(candidate.gguf.read_bytes()).hexdigest()
    assert server.blobs == {f"/api/blobs/{digest}": candidate.gguf.read_bytes()}
    sent = created(server)[0]
    assert sent["files"] == {"m.gguf": digest}
    assert sent["system"] == QUOTED  # triple quotes and a line like a directive stay text
    assert sent["template"] == modelfile.go_template(CHAT)
    assert sent["parameters"]["stop"] == ["<|im_end|>"]
    assert (proof.version, proof.compared, proof.answers) == ("0.33.0", "text", len(INPUTS))
    assert proof.prompts >= len(INPUTS) + 4 * len(HOSTILE)
    deploy(host, "goDrive", replace(candidate, quantize="q4_K_M"))
    assert server.uploads == 1
    assert created(server)[1]["quantize"] == "q4_K_M"


def test_a_quick_proof_compares_less(fake: tuple[DeployServer, OllamaHost], candidate: Candidate) -> None:
    host = fake[1]
    assert deploy(host, "goDrive", candidate, QUICK).prompts < deploy(host, "goDrive", candidate).prompts


def test_the_name_is_given_only_after_the_proof_and_what_had_it_is_kept(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate
) -> None:
    server, host = fake
    first = deploy(host, "goDrive:v2", candidate)
    assert (first.replaced, server.names()) == (None, ["goDrive:v2"])
    judged: list[str] = []
    other = replace(candidate, export=EXPORT.model_copy(update={"num_predict": 32}))
    second = deploy(host, "goDrive:v2", other, QUICK, judge=judged.append)
    assert judged == [first.digest] and second.replaced == first.digest
    assert {name: server.digest(name) for name in server.names()} == {
        "goDrive:v2": second.digest,
        "goDrive:v2-previous": first.digest,
    }
    named = {body["model"] for body in created(server)}
    proved = [body["model"] for _, path, body in server.requests if path in ("/api/generate", "/api/chat")]
    assert named == set(proved) and "goDrive:v2" not in named
    assert "previous" in second.rows()["replaced"]


def test_the_same_model_again_changes_nothing(fake: tuple[DeployServer, OllamaHost], candidate: Candidate) -> None:
    server, host = fake
    first = deploy(host, "goDrive:latest", candidate, QUICK)
    again = deploy(host, "goDrive", candidate, QUICK)
    assert (again.digest, again.replaced, again.name) == (first.digest, None, first.name)
    assert server.names() == ["goDrive"], "it does not push out what is kept as previous"


def test_whatever_goes_wrong_what_was_there_is_untouched(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, host = fake
    before = deploy(host, "goDrive", candidate, QUICK)
    other = replace(candidate, export=EXPORT.model_copy(update={"num_predict": 32}))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    def unchanged() -> bool:
        return {name: server.digest(name) for name in server.names()} == {"goDrive": before.digest}

    for spoil in ({"template": "x"}, {"rendered": "x"}, {"answer": "x"}):
        server.spoil = spoil
        with pytest.raises(RuntimeFailure, match="not deployed"):
            deploy(host, "goDrive", other, QUICK)
        assert unchanged()
    server.spoil = {}
    with pytest.raises(RuntimeFailure, match="worse"):
        deploy(host, "goDrive", other, QUICK, judge=lambda _: (_ for _ in ()).throw(RuntimeFailure("worse", hint="")))
    assert unchanged()
    with monkeypatch.context() as patched:
        patched.setattr("drivecoach.export.deploy.compare_answers", stopped)
        with pytest.raises(KeyboardInterrupt):
            deploy(host, "goDrive", other, QUICK)
    assert unchanged()


def test_what_a_killed_deployment_left_is_removed_by_the_next(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, host = fake
    with monkeypatch.context() as patched:
        patched.setattr(OllamaHost, "delete", lambda *_: (_ for _ in ()).throw(RuntimeFailure("killed", hint="")))
        deploy(host, "goDrive", candidate, QUICK)
    (left,) = [name for name in server.names() if name != "goDrive"]
    server.models["goDrive:deploying-nothex"] = server.models["other:deploying-0123"] = server.models["goDrive:latest"]
    said: list[str] = []
    deploy(host, "goDrive", candidate, QUICK, say=said.append)
    assert server.names() == ["goDrive", "goDrive:deploying-nothex", "other:deploying-0123"]
    assert any(left in line for line in said)


def test_a_name_that_changed_during_the_proof_is_left_alone(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, host = fake

    def meanwhile(*_: object) -> list[Fault]:
        server.models["goDrive:latest"] = {"files": {}, "by": "someone else"}
        return []

    monkeypatch.setattr("drivecoach.export.deploy.compare_answers", meanwhile)
    with pytest.raises(RuntimeFailure, match="another model while"):
        deploy(host, "goDrive", candidate, QUICK)
    assert server.names() == ["goDrive"] and server.models["goDrive:latest"]["by"] == "someone else"


def test_rolling_back_twice_changes_nothing(fake: tuple[DeployServer, OllamaHost], candidate: Candidate) -> None:
    server, host = fake
    first = deploy(host, "goDrive", candidate, QUICK)
    with pytest.raises(RuntimeFailure, match="no goDrive:previous"):
        roll_back(host, "goDrive")
    second = deploy(host, "goDrive", replace(candidate, quantize="q8_0"), QUICK)
    for now, kept in ((first.digest, second.digest), (second.digest, first.digest)):
        done = roll_back(host, "goDrive")
        assert (done.digest, done.replaced) == (now, kept)
        assert {name: server.digest(name) for name in server.names()} == {"goDrive": now, "goDrive:previous": kept}
    del server.models["goDrive:latest"]
    assert roll_back(host, "goDrive").digest == server.digest("goDrive") == first.digest


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"system": ""}, "system"),
        ({"parameters": 'stop "<|im_end|>"\ntemperature 0.7'}, "temperature"),
        ({"parameters": 'stop "<|im_end|>\ntemperature much\nnum_ctx 1e999\nnum_predict nan'}, "num_predict"),
        ({"rendered": "\n"}, "asked in another way"),
        ({"answer": "{}"}, "answers otherwise"),
    ],
)
def test_a_difference_is_an_error_that_names_it(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate, spoil: dict[str, Any], says: str
) -> None:
    server, host = fake
    server.spoil = spoil
    with pytest.raises(RuntimeFailure) as caught:
        deploy(host, "goDrive", candidate)
    assert says in str(caught.value)
    assert caught.value.faults


def test_a_server_that_cannot_show_prompts_is_compared_by_tokens(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate
) -> None:
    server, host = fake
    server.version, server.spoil = "0.9.6", {"blind": True}
    with pytest.raises(RuntimeFailure, match="asked in another way"):  # the fake always says one token
        deploy(host, "goDrive", candidate, QUICK)


def test_a_server_too_old_is_refused(fake: tuple[DeployServer, OllamaHost], candidate: Candidate) -> None:
    server, host = fake
    server.version = "0.5.4"
    with pytest.raises(RuntimeFailure, match=r"0\.5\.4"):
        deploy(host, "goDrive", candidate)
    assert not created(server)


@pytest.mark.parametrize("name", ["../x", "a b", 'a"""', "", "a/b", "a\nFROM b", "x" * 70])
def test_names_are_checked(fake: tuple[DeployServer, OllamaHost], candidate: Candidate, name: str) -> None:
    with pytest.raises(ModelError, match="no name for a model"):
        deploy(fake[1], name, candidate)
    assert not fake[0].requests


@pytest.mark.parametrize("name", ["goDrive:previous", "goDrive:v2-previous", "goDrive:deploying-12ab"])
def test_the_names_that_deploying_gives_cannot_be_asked_for(
    fake: tuple[DeployServer, OllamaHost], candidate: Candidate, name: str
) -> None:
    with pytest.raises(ModelError, match="deploying gives"):
        deploy(fake[1], name, candidate)
    with pytest.raises(ModelError, match="deploying gives"):
        roll_back(fake[1], name)


def test_versions_and_parameters_are_read() -> None:
    assert version_numbers("0.33.0-rc2") == (0, 33, 0)
    assert version_numbers("0.0.0") == version_numbers("dev") == ()
    assert version_numbers("9" * 5000 + ".1.1") == ()
    assert read_parameters('stop    "<|im_end|>"\ntemperature   0\n') == {"stop": "<|im_end|>", "temperature": "0"}
    assert read_parameters('stop "<|im_end|>\n\nx\n"') == {"stop": '"<|im_end|>'}, "quotes that do not end"


def test_there_are_twenty_hostile_texts() -> None:
    assert len(set(HOSTILE)) == 20


def test_the_page_on_serving_gives_the_counts() -> None:
    page = (Path(__file__).parents[3] / "docs/serving.md").read_text(encoding="utf-8")
    for name, counts in (("`full`, the default", FULL), ("`quick`", QUICK)):
        assert f"| {name} | {counts.states} | {counts.conversations} | {counts.answers} |" in page
