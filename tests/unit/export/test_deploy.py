"""What `drivecoach deploy` sends, and that every difference it can find is an error that names it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.errors import ModelError, RuntimeFailure
from drivecoach.export import modelfile
from drivecoach.export.deploy import deploy, read_parameters
from drivecoach.export.ollama import OllamaHost, version_numbers
from drivecoach.export.proof import HOSTILE, trained_prompt
from tests.support.scripted_model import write_scripted_gguf

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
QUOTED = '教练说 """停""" 就停。\nPARAMETER stop x'
CHAT = Chat(QUOTED)
EXPORT = ExportConfig(num_ctx=256, num_predict=64)
INPUTS = [f"<特征>速度:静止{number}</特征>" for number in range(3)]


class FakeOllama:
    """Answers as Ollama does for a plain model; a test spoils one thing."""

    def __init__(self) -> None:
        self.version = "0.33.0"
        self.blobs: dict[str, bytes] = {}
        self.uploads = 0
        self.created: dict[str, Any] = {}
        self.spoil: dict[str, Any] = {}

    def reply(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        if path.startswith("/api/blobs/"):
            if method == "HEAD":
                return (200 if path in self.blobs else 404), None
            self.uploads += 1
            self.blobs[path] = content
            return 201, None
        body = json.loads(content or b"{}")
        if path == "/api/version":
            return 200, {"version": self.version}
        if path == "/api/create":
            self.created = body
            return 200, {"status": "success"}
        if path == "/api/show":
            parameters = "\n".join(
                f'{key:<30} "{value[0]}"' if key == "stop" else f"{key:<30} {value}"
                for key, value in self.created["parameters"].items()
            )
            return 200, {**self.created, "parameters": parameters, **self.spoil}
        chat = path == "/api/chat"
        user = body["messages"][-1]["content"] if chat else body["prompt"]
        if body.get("_debug_render_only"):
            system = [{"role": "system", "content": body["system"]}] if "system" in body else []
            turns = body["messages"] if chat else [*system, {"role": "user", "content": user}]
            rendered = trained_prompt(CHAT, turns, body.get("think")) + self.spoil.get("rendered", "")
            return 200, {"_debug_info": {"rendered_template": rendered}} if "blind" not in self.spoil else {
                "response": ""
            }
        said = self.spoil.get("answer", ANSWER)
        return 200, {"message": {"content": said}} if chat else {"response": said, "prompt_eval_count": 1}


@pytest.fixture
def fake() -> Iterator[tuple[FakeOllama, OllamaHost]]:
    server = FakeOllama()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = server.reply(self.command, self.path, content)
            data = b"" if value is None else json.dumps(value, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_HEAD = handle_any

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host = OllamaHost(f"http://127.0.0.1:{http.server_port}")
    yield server, host
    host.close()
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("deploy") / "m.gguf", ANSWER, chat=CHAT)


def test_the_file_goes_by_digest_once_and_every_setting_as_it_is(
    fake: tuple[FakeOllama, OllamaHost], gguf: Path
) -> None:
    server, host = fake
    proof = deploy(host, "goDrive", gguf, CHAT, EXPORT, INPUTS)
    digest = "sha256:" + hashlib.sha256(gguf.read_bytes()).hexdigest()
    assert server.blobs == {f"/api/blobs/{digest}": gguf.read_bytes()}
    assert server.created["files"] == {"m.gguf": digest}
    assert server.created["system"] == QUOTED  # triple quotes and a line like a directive stay text
    assert server.created["template"] == modelfile.go_template(CHAT)
    assert server.created["parameters"]["stop"] == ["<|im_end|>"]
    assert (proof.version, proof.compared, proof.answers) == ("0.33.0", "text", len(INPUTS))
    assert proof.prompts >= len(INPUTS) + 4 * len(HOSTILE)
    deploy(host, "goDrive", gguf, CHAT, EXPORT, INPUTS, quantize="q4_K_M")
    assert server.uploads == 1
    assert server.created["quantize"] == "q4_K_M"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"system": ""}, "system"),
        ({"parameters": 'stop "<|im_end|>"\ntemperature 0.7'}, "temperature"),
        ({"rendered": "\n"}, "asked in another way"),
        ({"answer": "{}"}, "answers otherwise"),
    ],
)
def test_a_difference_is_an_error_that_names_it(
    fake: tuple[FakeOllama, OllamaHost], gguf: Path, spoil: dict[str, Any], says: str
) -> None:
    server, host = fake
    server.spoil = spoil
    with pytest.raises(RuntimeFailure) as caught:
        deploy(host, "goDrive", gguf, CHAT, EXPORT, INPUTS)
    assert says in str(caught.value)
    assert caught.value.faults


def test_a_server_that_cannot_show_prompts_is_compared_by_tokens(
    fake: tuple[FakeOllama, OllamaHost], gguf: Path
) -> None:
    server, host = fake
    server.version, server.spoil = "0.9.6", {"blind": True}
    with pytest.raises(RuntimeFailure, match="asked in another way"):  # the fake always says one token
        deploy(host, "goDrive", gguf, CHAT, EXPORT, INPUTS)


def test_a_server_too_old_is_refused(fake: tuple[FakeOllama, OllamaHost], gguf: Path) -> None:
    server, host = fake
    server.version = "0.5.4"
    with pytest.raises(RuntimeFailure, match=r"0\.5\.4"):
        deploy(host, "goDrive", gguf, CHAT, EXPORT, INPUTS)
    assert not server.created


@pytest.mark.parametrize("name", ["../x", "a b", 'a"""', "", "a/b", "a\nFROM b", "x" * 70])
def test_names_are_checked(fake: tuple[FakeOllama, OllamaHost], gguf: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no name for a model"):
        deploy(fake[1], name, gguf, CHAT, EXPORT, INPUTS)


def test_versions_and_parameters_are_read() -> None:
    assert version_numbers("0.33.0-rc2") == (0, 33, 0)
    assert version_numbers("0.0.0") == version_numbers("dev") == ()
    assert read_parameters('stop    "<|im_end|>"\ntemperature   0\n') == {"stop": "<|im_end|>", "temperature": "0"}


def test_there_are_twenty_hostile_texts() -> None:
    assert len(set(HOSTILE)) == 20
