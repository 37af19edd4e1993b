"""Any link of the chain is opened by one name, asked in one way, and told from what takes its place."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("peft")

from drivecoach.domains.text import TEXT
from drivecoach.errors import DrivecoachError, InputError, ModelError, RuntimeFailure
from drivecoach.evaluate.target import open_target
from tests.support.ollama_server import ollama_server, said

ASKED = ["前方路口有行人", "雨天", "第3个问题", "挂2挡，松离合，轻踩油门，车速保持在20公里每小时。"]


def test_every_link_of_a_run_is_opened_by_its_name_and_answers_alike(run: Path) -> None:
    answers = {}
    for link in ("", "train/adapter", "export/merged", "export/coach-f16.gguf"):
        with open_target(str(run / link)) as target, ThreadPoolExecutor(4) as pool:
            assert (target.domain, target.run, target.note) == (TEXT, run.resolve(), "")
            assert target.kind == ("weights" if link in ("train/adapter", "export/merged") else "gguf")
            assert (target.gguf is None) == (target.kind == "weights") and target.chat is not None
            found = list(pool.map(target.runtime.generate, ASKED))
            assert {answer.completion_tokens for answer in found} <= {0, 1, 2, 3, 4}
            assert all(answer.prompt_tokens > 5 and answer.seconds > 0 for answer in found)
            answers[link] = [answer.text for answer in found]
    assert len({tuple(texts) for texts in answers.values()}) == 1, answers


def test_weights_refuse_what_they_cannot_do_and_one_long_input_takes_no_other_with_it(run: Path) -> None:
    with open_target(str(run / "export/merged")) as target, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(target.runtime.generate, text) for text in (ASKED[0], "长" * 2000, ASKED[1])]
        assert asked[0].result().text and asked[2].result().text
        with pytest.raises(InputError, match="too long for the model's context of 256"):
            asked[1].result()
        with pytest.raises(RuntimeFailure, match="under no schema"):
            target.runtime.generate("a", schema={"type": "object"})
    with pytest.raises(RuntimeFailure, match="was closed"):
        target.runtime.generate("a")


def test_a_digest_tells_a_model_that_was_changed_while_it_is_open(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for link, file in (("train/adapter", "adapter_model.safetensors"), ("export/coach-f16.gguf", "")):
        with open_target(str(copy / link)) as target:
            before = target.digest()
            assert target.digest() == before and len(before) == 64
            changed = copy / link / file
            changed.write_bytes(changed.read_bytes()[:-1] + b"!")
            assert target.digest() != before


def test_a_model_on_a_server_says_its_domain_and_its_digest() -> None:
    with (
        ollama_server(coach=lambda prompt: said("好")) as server,
        open_target("ollama:coach", host=server.url) as target,
    ):
        assert (target.kind, target.domain.name, target.gguf, target.run) == ("ollama", "driving", None, None)
        assert target.digest() == "0" * 64
        server.digest = "1" * 64
        assert target.digest() == "1" * 64
        del server.models["coach"]
        with pytest.raises(RuntimeFailure, match="gone"):
            target.digest()


def test_the_rules_are_a_target_too() -> None:
    with open_target("rules") as target:
        assert (target.kind, target.domain.name, target.chat, len(target.digest())) == ("rules", "driving", None, 64)


def test_what_is_no_target_is_said_with_what_is_one(run: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(run / "export/merged", lost)
    wrong = {
        str(tmp_path / "none"): "nothing is at .*no run folder",
        str(tmp_path / "none.gguf"): "no model at",
        str(tmp_path): "neither a run folder nor a folder of weights",
        str(lost): "lies in no run folder",
    }
    for name, message in wrong.items():
        with pytest.raises(ModelError, match=message) as raised:
            open_target(name)
        assert raised.value.hint
    (lost / "recipe.json").write_bytes((run / "recipe.json").read_bytes())
    (lost / "model.safetensors").write_bytes(b"no weights")
    (lost / "export").mkdir()
    shutil.copytree(lost, lost / "train", ignore=shutil.ignore_patterns("recipe.json", "export", "train"))
    with open_target(str(lost / "train")) as target, pytest.raises(DrivecoachError, match="cannot load the weights"):
        target.runtime.generate("a")
