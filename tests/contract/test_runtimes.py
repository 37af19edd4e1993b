"""The runtime contract of `drivecoach.testing` over every runtime: shipped ones, and one that a package brings."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ollama
import pytest

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.domains.driving import DRIVING
from drivecoach.export.modelfile import go_template, parameters
from drivecoach.export.ollama import OllamaHost
from drivecoach.runtime import RUNTIMES
from drivecoach.testing import Place, RuntimeContract
from tests.support.installed import install
from tests.support.ollama_server import ollama_server, said
from tests.support.scripted_model import write_scripted_gguf

ANSWER = '{"动作": ["松开油门", "使用近光灯"], "级别": "提示", "话术": "还没起步，别空轰油门，开近光灯"}'
CUT = ANSWER[: ANSWER.index("松开油门")]
CHAT = Chat(DRIVING.system)


class TestLlamaCpp(RuntimeContract):
    @pytest.fixture(scope="class")
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Place:
        folder = tmp_path_factory.mktemp("models")
        whole = write_scripted_gguf(folder / "coach.gguf", ANSWER, chat=CHAT)
        cut = write_scripted_gguf(folder / "cut.gguf", ANSWER, chat=CHAT, num_predict=1)
        return Place(f"llamacpp:{whole}", ANSWER, "llamacpp:no-such-model", cut=f"llamacpp:{cut}")


class TestOllamasWireFormat(RuntimeContract):
    @pytest.fixture(scope="class")
    def place(self) -> Iterator[Place]:
        models = {"coach": lambda _: said(ANSWER), "cut": lambda _: said(CUT, done_reason="length", eval_count=1)}
        with ollama_server(**models) as server:
            yield Place("ollama:coach", ANSWER, "ollama:no-such-model", server.url, "ollama:cut")


@pytest.mark.ollama
@pytest.mark.skipif("OLLAMA_HOST" not in os.environ, reason="no Ollama (set OLLAMA_HOST)")
class TestRealOllama(RuntimeContract):
    @pytest.fixture(scope="class")
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("models")
        gguf = write_scripted_gguf(folder / "coach.gguf", ANSWER, chat=CHAT)
        with created(gguf, 64) as whole, created(gguf, 1) as cut:
            yield Place(f"ollama:{whole}", ANSWER, "ollama:no-such-model", cut=f"ollama:{cut}")


@contextmanager
def created(gguf: Path, num_predict: int) -> Iterator[str]:
    """The model in the real Ollama, with the settings of our Modelfile; deleted afterwards."""
    name = f"drivecoach-test-{secrets.token_hex(4)}"
    settings = ExportConfig(num_predict=num_predict, num_ctx=256)
    OllamaHost().create(
        name, gguf, template=go_template(CHAT), system=CHAT.system, parameters=parameters(CHAT, settings)
    )
    try:
        yield name
    finally:
        ollama.Client().delete(name)


THIRD_PARTY = """
import json

from drivecoach.chat.template import refuse_control_tokens
from drivecoach.errors import ModelError
from drivecoach.runtime import Completion


class Canned:
    slots = 4
    thinks = False
    metadata = {"drivecoach.domain": "text"}

    def __init__(self, model, host=None, *, timeout=120.0):
        if model != "any":
            raise ModelError(f"there is no canned model {model}", hint="canned:any")
        self.name = f"canned:{model}"

    def generate(self, user, history=(), *, think=True, seed=None, schema=None):
        for text in (user, *(turn["content"] for turn in history)):
            refuse_control_tokens("input", text)
        text = json.dumps({"a": "x"}) if schema else "out of a can"
        return Completion(text, prompt_tokens=len(user), completion_tokens=3, seconds=0.0, finished=True)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
"""


class TestThirdParty(RuntimeContract):
    @pytest.fixture(scope="class")
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path_factory.mktemp("canned")
            install(folder, patch, "canned", THIRD_PARTY, {"drivecoach.runtimes": {"canned": "canned_package:Canned"}})
            yield Place("canned:any", "out of a can", "canned:no-such-model")


CONSTANT = """
from typing import Literal

from pydantic import BaseModel

from drivecoach.domain import Domain


class Answer(BaseModel):
    a: Literal["x"] = "x"


class Constant(Domain[str, Answer]):
    def read_input(self, text: str) -> str:
        return text  # white space too

    def teach(self, value: str) -> Answer:
        return Answer()


domain = Constant("constant", str, Answer)
"""


class TestRules(RuntimeContract):
    @pytest.fixture(scope="class")
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Place:
        file = tmp_path_factory.mktemp("domains") / "constant.py"
        file.write_text(CONSTANT, encoding="utf-8")
        return Place(f"rules:{file}:domain", '{"a": "x"}', "rules:no-such-domain")


def test_every_shipped_runtime_is_under_this_contract() -> None:
    assert RUNTIMES.names() == ["llamacpp", "ollama", "rules"]
