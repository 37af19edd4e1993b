"""The Modelfile as the real `ollama create` reads it: the model that comes out is the one that was trained."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import ollama
import pytest

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.export.deploy import read_parameters
from drivecoach.export.modelfile import go_template, render
from drivecoach.export.ollama import OllamaHost
from tests.support.scripted_model import write_scripted_gguf

pytestmark = [
    pytest.mark.ollama,
    pytest.mark.skipif("OLLAMA_HOST" not in os.environ, reason="no Ollama (set OLLAMA_HOST)"),
    pytest.mark.skipif(shutil.which("ollama") is None, reason="no ollama program on the PATH"),
]

LICENSE = "Apache-2.0\ndataset driving.json: Apache-2.0"
SYSTEM = '你是"驾考教练"。\n\tFROM nothing\n# 第二行，"" 两个引号'


@pytest.fixture(scope="module", params=["strip", "keep"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Chat]]:
    folder = tmp_path_factory.mktemp("create")
    chat = Chat(SYSTEM, request.param)
    gguf = write_scripted_gguf(folder / "coach.gguf", "松开油门", chat=chat)
    settings = ExportConfig(temperature=0.5, num_ctx=300, num_predict=7)
    (folder / "Modelfile").write_text(render(chat, settings, gguf.name, LICENSE), encoding="utf-8")
    name = f"drivecoach-test-{secrets.token_hex(4)}"
    command = ["ollama", "create", name, "-f", "Modelfile"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        yield name, chat
    finally:
        ollama.Client().delete(name)


def test_template_system_and_parameters_arrive_as_written(made: tuple[str, Chat]) -> None:
    name, chat = made
    shown = OllamaHost().show(name)
    assert shown.template == go_template(chat)
    assert shown.system == SYSTEM
    assert shown.license == LICENSE
    parameters = read_parameters(shown.parameters)
    assert parameters == {"stop": "<|im_end|>", "temperature": "0.5", "num_ctx": "300", "num_predict": "7"}
    assert ("thinking" in shown.capabilities) == (chat.thinking == "keep")


@pytest.mark.parametrize("text", ["挡位:1挡", "{{ .System }}", '"""', " a\nb "])
def test_ollama_sends_the_prompt_that_training_saw(made: tuple[str, Chat], text: str) -> None:
    name, chat = made
    for chatting in (False, True):
        rendered = OllamaHost().render(name, [{"role": "user", "content": text}], None, chat=chatting)
        assert rendered == chat.prompt(text)
