"""`drivecoach deploy` from the command line, against a loopback Ollama and, where OLLAMA_HOST names one, a real one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import RuntimeFailure
from drivecoach.export.deploy import Candidate, deploy, previous_name
from drivecoach.export.ledger import read_ledger
from drivecoach.export.ollama import OllamaHost
from drivecoach.files import sha256
from tests.support.command import Result, Run
from tests.support.deploy_server import deploy_server
from tests.support.driving import lines
from tests.support.runs import evaluate_run, make_run
from tests.support.scripted_model import write_scripted_gguf

CHAT = Chat(DRIVING.system)
ANSWERS = ("松开油门", "踩下离合")
INPUTS = lines(4)


@dataclass(frozen=True)
class Place:
    """A server, and the name that a test deploys under there."""

    url: str
    name: str

    @property
    def models(self) -> dict[str, str]:
        """The digests of the models under that name and beside it, by tag."""
        host = OllamaHost(self.url)
        try:
            return {
                name.removeprefix(self.name).removeprefix(":"): digest
                for name, digest in host.models().items()
                if name.startswith(self.name)
            }
        finally:
            host.close()


@pytest.fixture(scope="module")
def ggufs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    first, second = (write_scripted_gguf(folder / f"{n}.gguf", text, chat=CHAT) for n, text in enumerate(ANSWERS))
    return first, second


@pytest.fixture(
    params=[
        "loopback",
        pytest.param(
            "real",
            marks=[
                pytest.mark.ollama,
                pytest.mark.skipif("OLLAMA_HOST" not in os.environ, reason="no Ollama (set OLLAMA_HOST)"),
            ],
        ),
    ]
)
def place(request: pytest.FixtureRequest, ggufs: tuple[Path, Path]) -> Iterator[Place]:
    name = f"drivecoach-test-{secrets.token_hex(4)}"
    if request.param == "loopback":
        with deploy_server(CHAT) as server:
            server.answers = {f"sha256:{sha256(gguf)}": text for gguf, text in zip(ggufs, ANSWERS, strict=True)}
            yield Place(server.url, name)
        return
    host = OllamaHost()
    try:
        yield Place(host.url, name)
    finally:
        for model in host.models():
            if model.startswith(name):
                host.delete(model)
        host.close()


@pytest.fixture
def deployed(run: Run, place: Place) -> Any:
    """``deployed(RUN, …)``: the command with the server's address, the test's name and the quick proof."""

    def called(folder: str, *more: str) -> Result:
        return run("deploy", folder, "--host", place.url, "--name", place.name, "--proof", "quick", *more)

    return called


def test_what_is_replaced_is_named_and_kept_and_brought_back(
    deployed: Any, place: Place, ggufs: tuple[Path, Path], tmp_path: Path
) -> None:
    make_run(tmp_path / "runs/one", ggufs[0], INPUTS, test=0.9, uniform=0.8)
    make_run(tmp_path / "runs/two", ggufs[1], INPUTS, test=0.9, uniform=0.85)
    first = deployed("runs/one")
    assert first.code == 0 and "nothing" in first.out and "not evaluated" not in first.out
    (one,) = read_ledger(tmp_path / "runs/one")
    assert place.models == {"": one.digest}
    assert (one.name, one.host, one.previous, one.until) == (place.name, place.url, None, None)
    assert {name: score.right for name, score in one.scores.items()} == {"test": 0.9, "uniform": 0.8}

    second = deployed("runs/two")
    assert second.code == 0
    assert "the model of runs/one" in second.out and "uniform 80.00% right" in second.out
    assert f"{place.name}:previous is what was there" in second.out
    (two,) = read_ledger(tmp_path / "runs/two")
    assert place.models == {"": two.digest, "previous": one.digest} and two.previous == one.digest
    assert read_ledger(tmp_path / "runs/one")[0].until is not None

    back = deployed("runs/two", "--rollback")
    assert back.code == 0 and "the model of runs/one" in back.out and "the model of runs/two" in back.out
    assert place.models == {"": one.digest, "previous": two.digest}
    assert [entry.until is None for entry in read_ledger(tmp_path / "runs/one")] == [False, True]
    assert [entry.until is None for entry in read_ledger(tmp_path / "runs/two")] == [False]


def test_a_worse_model_is_not_let_in_without_force(
    deployed: Any, place: Place, ggufs: tuple[Path, Path], tmp_path: Path
) -> None:
    make_run(tmp_path / "runs/good", ggufs[0], INPUTS, test=0.994, uniform=0.99)
    make_run(tmp_path / "runs/bad", ggufs[1], INPUTS, test=0.0, uniform=0.995)
    assert deployed("runs/good").code == 0
    before = place.models
    refused = deployed("runs/bad")
    assert (refused.code, place.models) == (1, before)
    for said in ("scored worse", "0.00% right of 100", "at least 99.40%", "--force"):
        assert said in refused.err
    assert read_ledger(tmp_path / "runs/bad") == []
    forced = deployed("runs/bad", "--force", "--json")
    assert forced.code == 0 and "scored worse" in forced.err
    assert json.loads(forced.out)["replaced"] == before[""] == place.models["previous"]
    refused = deployed("runs/good")
    assert refused.code == 1 and "test 'uniform'" in refused.err, "in one of two tests it is the worse one"
    assert "this one: test 99.40% right, uniform 99.00% right" in refused.out
    evaluate_run(tmp_path / "runs/good", test=0.994, uniform=0.995)
    assert deployed("runs/good").code == 0


def test_a_model_that_was_not_evaluated_is_said_to_be_and_replaces_none_that_was(
    deployed: Any, place: Place, ggufs: tuple[Path, Path], tmp_path: Path
) -> None:
    make_run(tmp_path / "runs/one", ggufs[0], INPUTS)
    make_run(tmp_path / "runs/two", ggufs[1], INPUTS)
    assert "not evaluated" in deployed("runs/one").out
    evaluate_run(tmp_path / "runs/one", test=0.9)  # later than it was deployed: its score is known all the same
    refused = deployed("runs/two")
    assert refused.code == 1 and "not evaluated, and what is there was" in refused.err
    assert "drivecoach evaluate" in refused.err
    evaluate_run(tmp_path / "runs/two", other=0.1)
    passed = deployed("runs/two")
    assert passed.code == 0 and "no test in common" in passed.out


def test_what_is_not_known_is_kept_but_gives_way_only_to_a_model_with_right_answers(
    deployed: Any, place: Place, ggufs: tuple[Path, Path], tmp_path: Path
) -> None:
    make_run(tmp_path / "elsewhere/one", ggufs[0], INPUTS, test=0.9)
    make_run(tmp_path / "runs/two", ggufs[1], INPUTS, test=0.0)
    assert deployed("elsewhere/one").code == 0
    before = place.models
    refused = deployed("runs/two")
    assert refused.code == 1 and "no right answer" in refused.err and "its score is not known" in refused.out
    assert place.models == before
    evaluate_run(tmp_path / "runs/two", test=0.5)
    assert deployed("runs/two").code == 0
    assert place.models["previous"] == before[""]


def test_a_failed_proof_leaves_what_was_there(place: Place, ggufs: tuple[Path, Path], tmp_path: Path) -> None:
    good, other = ggufs
    export = make_run(tmp_path / "runs/one", good, INPUTS).recipe.export
    host = OllamaHost(place.url)
    try:
        deploy(host, place.name, Candidate(good, CHAT, export, INPUTS))
        before = place.models
        with pytest.raises(RuntimeFailure, match="answers otherwise"):  # than a file that it was not made of
            deploy(host, place.name, Candidate(other, CHAT, export, INPUTS, local=good))
    finally:
        host.close()
    assert place.models == before


def test_there_is_nothing_to_roll_back_to(run: Run, place: Place, ggufs: tuple[Path, Path], tmp_path: Path) -> None:
    make_run(tmp_path / "runs/one", ggufs[0], INPUTS)
    refused = run("deploy", "--rollback", "--name", place.name, "--host", place.url)
    assert refused.code == 1 and f"no {previous_name(place.name)}" in refused.err and "drivecoach deploy" in refused.err
    assert run("deploy", "runs/one", "--rollback", "--name", place.name, "--host", place.url).code == 1
    assert run("deploy", "--rollback").code == run("deploy").code == 2
    assert run("deploy", "runs/none", "--rollback", "--host", place.url).code == 1


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--name", ""], 1, "no name for a model"),
        (["--name", "../x"], 1, "no name for a model"),
        (["--name", "goDrive:previous"], 1, "deploying gives"),
        (["--quantize", "../x"], 2, "q4_K_M"),
        (["--quantize", "q4_K_M"], 1, "export.quantizations"),
        (["--proof", "none"], 2, "quick"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_asked(
    run: Run, ggufs: tuple[Path, Path], tmp_path: Path, more: list[str], code: int, says: str
) -> None:
    make_run(tmp_path / "runs/one", ggufs[0], INPUTS)
    with deploy_server(CHAT) as server:
        refused = run("deploy", "runs/one", "--host", server.url, *more)
        assert (refused.code, server.requests) == (code, [])
    assert says in refused.err and "Traceback" not in refused.err


def test_a_run_without_usable_rows_has_nothing_to_be_proved_with(
    run: Run, ggufs: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = tmp_path / "runs/one/data/test.jsonl"
    make_run(tmp_path / "runs/one", ggufs[0], INPUTS)
    with deploy_server(CHAT) as server:
        server.answers = {f"sha256:{sha256(ggufs[0])}": ANSWERS[0]}
        deploying = ("deploy", "runs/one", "--host", server.url, "--proof", "quick")
        for damaged in ("{", "[]", '{"row": 1}', '{"row": 1, "input": 5, "output": ""}', "\n", "[" * 99999):
            rows.write_text(damaged)
            refused = run(*deploying)
            assert refused.code == 1 and "row 1 of runs/one/data/test.jsonl" in refused.err + refused.out
            assert "drivecoach tune" in refused.err
        for damage in (lambda: rows.write_bytes(b"\xff"), rows.unlink, rows.mkdir):
            damage()
            refused = run(*deploying)
            assert refused.code == 1 and "cannot read runs/one/data/test.jsonl" in refused.err
        assert server.models == {}
        rows.rmdir()
        rows.write_text("")
        assert "the proof asks training rows" in run(*deploying).out
        rows.with_name("train.jsonl").write_text("")
        refused = run(*deploying)
        assert refused.code == 1 and "holds no pairs" in refused.err
