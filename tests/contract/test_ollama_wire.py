"""Ollama's wire format, asked of `drivecoach serve` and, where OLLAMA_HOST is set, of a real Ollama.

Both serve the same two files: a coach that answers at once, and one that thinks first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import ollama
import pytest

from drivecoach.chat import Chat, Message
from drivecoach.config import ExportConfig
from drivecoach.domains.driving import DRIVING
from drivecoach.export import modelfile
from drivecoach.export.ollama import OllamaHost
from drivecoach.serve.model import ServedModel
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
THOUGHT = "慢"
LINE = "<特征>速度:静止</特征>"
SCHEMA = {
    "type": "object",
    "properties": {"动作": {"type": "array", "items": {"type": "string"}}, "级别": {"enum": ["提示", "警告", "危险"]}},
    "required": ["动作", "级别"],
}

REAL = os.environ.get("OLLAMA_HOST")


@dataclass(frozen=True)
class Served:
    """A server and the names of its two models; `serve` has one model a port."""

    real: bool
    plain: str
    plain_url: str
    thinking: str
    thinking_url: str

    def post(self, path: str, *, thinks: bool = False, **body: object) -> httpx.Response:
        """One request to the plain model, or to the one that thinks."""
        url, name = (self.thinking_url, self.thinking) if thinks else (self.plain_url, self.plain)
        return httpx.post(url + path, json={"model": name, **body}, timeout=120)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two GGUF files."""
    folder = tmp_path_factory.mktemp("wire")
    thinking = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"
    pieces = ("<think>\n", f"{THOUGHT}\n</think>\n\n")
    return {
        "strip": write_scripted_gguf(folder / "plain.gguf", ANSWER, chat=Chat(DRIVING.system, "strip")),
        "keep": write_scripted_gguf(
            folder / "thinking.gguf", thinking, chat=Chat(DRIVING.system, "keep"), pieces=pieces
        ),
    }


@pytest.fixture(
    scope="module",
    params=[
        "serve",
        pytest.param(
            "ollama", marks=[pytest.mark.ollama, pytest.mark.skipif(not REAL, reason="OLLAMA_HOST is not set")]
        ),
    ],
)
def server(request: pytest.FixtureRequest, files: dict[str, Path]) -> Iterator[Served]:
    """Both models, served."""
    if request.param == "serve":
        with ExitStack() as stack:
            plain = stack.enter_context(serving(ServedModel(files["strip"], "goDrive")))
            thinking = stack.enter_context(serving(ServedModel(files["keep"], "goThink")))
            yield Served(False, "goDrive", plain, "goThink", thinking)
        return
    host = OllamaHost()
    names = {"strip": "drivecoach-contract", "keep": "drivecoach-contract-think"}
    for kind, name in names.items():
        chat = Chat(DRIVING.system, "strip" if kind == "strip" else "keep")
        parameters = modelfile.parameters(chat, ExportConfig(num_ctx=256, num_predict=64))
        template = modelfile.go_template(chat)
        host.create(name, files[kind], template=template, system=DRIVING.system, parameters=parameters)
    yield Served(True, names["strip"], host.url, names["keep"], host.url)
    for name in names.values():
        host.http.request("DELETE", "/api/delete", json={"model": name})
    host.close()


def lines(response: httpx.Response) -> list[dict[str, object]]:
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def test_generate_whole(server: Served) -> None:
    answer = server.post("/api/generate", prompt=LINE, stream=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["response"] == ANSWER
    assert (body["done"], body["done_reason"], body["model"]) == (True, "stop", server.plain)
    assert {"created_at", "total_duration", "prompt_eval_count", "eval_count", "eval_duration"} <= body.keys()
    assert "thinking" not in body


def test_generate_streamed(server: Served) -> None:
    *pieces, last = lines(server.post("/api/generate", prompt=LINE))
    assert len(pieces) > 3
    assert all(piece["done"] is False for piece in pieces)
    assert "".join(str(piece["response"]) for piece in [*pieces, last]) == ANSWER
    assert (last["done"], last["done_reason"]) == (True, "stop")


def test_chat_whole_and_streamed(server: Served) -> None:
    messages = [{"role": "user", "content": LINE}]
    body = server.post("/api/chat", messages=messages, stream=False).json()
    assert body["message"] == {"role": "assistant", "content": ANSWER}
    parts = lines(server.post("/api/chat", messages=messages))
    assert "".join(part["message"]["content"] for part in parts) == ANSWER  # type: ignore[index]
    assert parts[-1]["done_reason"] == "stop"


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
@pytest.mark.parametrize("think", [None, True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_thinking_model_never_leaks_its_reasoning(
    server: Served, endpoint: str, think: bool | None, stream: bool
) -> None:
    body: dict[str, object] = (
        {"prompt": LINE} if endpoint == "generate" else {"messages": [{"role": "user", "content": LINE}]}
    )
    body |= {"stream": stream} | ({} if think is None else {"think": think})
    response = server.post(f"/api/{endpoint}", thinks=True, **body)
    parts = lines(response) if stream else [response.json()]
    said = [part["message"] if endpoint == "chat" else part for part in parts]
    text = "".join(str(part.get("content", part.get("response", ""))) for part in said)  # type: ignore[attr-defined]
    thought = "".join(str(part.get("thinking") or "") for part in said)  # type: ignore[attr-defined]
    if think is False:  # its prompt ends in an empty think block, which this scripted model knows nothing of
        assert thought == ""
        assert "think>" not in text
    else:
        assert text.strip() == ANSWER
        assert thought.strip() == THOUGHT


def test_a_model_that_does_not_think_refuses_to(server: Served) -> None:
    answer = server.post("/api/generate", prompt=LINE, think=True)
    assert answer.status_code == 400
    assert answer.json() == {"error": f'"{server.plain}" does not support thinking'}
    assert server.post("/api/generate", prompt=LINE, think=False, stream=False).json()["response"] == ANSWER


def test_format_holds(server: Served) -> None:
    answer = server.post("/api/generate", prompt=LINE, stream=False, format=SCHEMA)
    assert answer.status_code == 200
    assert json.loads(answer.json()["response"])["级别"] == "提示"


def test_format_in_chat_lets_a_thinking_model_think_first(server: Served) -> None:
    messages = [{"role": "user", "content": LINE}]
    message = server.post("/api/chat", thinks=True, messages=messages, stream=False, format=SCHEMA).json()["message"]
    assert message["thinking"].strip() == THOUGHT
    assert json.loads(message["content"])["级别"] in ("提示", "警告", "危险")


def test_unknown_format(server: Served) -> None:
    answer = server.post("/api/generate", prompt=LINE, stream=False, format="xml")
    assert answer.status_code in (400, 500)
    assert "invalid format" in answer.json()["error"]


def test_options(server: Served) -> None:
    short = server.post("/api/generate", prompt=LINE, stream=False, options={"num_predict": 2}).json()
    assert (short["eval_count"], short["done_reason"]) == (2, "length")
    stopped = server.post("/api/generate", prompt=LINE, stream=False, options={"stop": ["油门"]}).json()
    assert "油门" not in stopped["response"]
    wrong = server.post("/api/generate", prompt=LINE, options={"temperature": "hot"})
    assert (wrong.status_code, wrong.json()) == (500, {"error": 'option "temperature" must be of type float32'})
    unknown = server.post("/api/generate", prompt=LINE, stream=False, options={"no_such": 1, "num_gpu": 0})
    assert unknown.status_code == 200


def test_keep_alive_loads_and_unloads(server: Served) -> None:
    assert server.post("/api/generate", keep_alive="5m").json()["done_reason"] == "load"
    assert server.post("/api/generate", keep_alive=0).json()["done_reason"] == "unload"
    assert server.post("/api/chat", messages=[], keep_alive=0).json()["done_reason"] == "unload"
    assert server.post("/api/generate", prompt=LINE, stream=False, keep_alive=-1).json()["response"] == ANSWER


def test_system_of_the_request_replaces_the_models(server: Served) -> None:
    rendered = server.post("/api/generate", prompt=LINE, system="你好", stream=False, _debug_render_only=True).json()
    assert rendered["_debug_info"]["rendered_template"] == Chat("你好").prompt(LINE)
    plain = server.post("/api/generate", prompt=LINE, stream=False, _debug_render_only=True).json()
    assert plain["_debug_info"]["rendered_template"] == Chat(DRIVING.system).prompt(LINE)


@pytest.mark.parametrize("system", [None, "你好", ""])
@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("thinks", [False, True])
def test_a_conversation_is_rendered_as_in_training(
    server: Served, thinks: bool, turns: int, system: str | None
) -> None:
    chat = Chat(DRIVING.system, "keep" if thinks else "strip")
    history: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for number in range(turns - 1):
        history += [{"role": "user", "content": f"问{number}"}, {"role": "assistant", "content": f"答{number}"}]
    for think in (True, False) if thinks else (False,):
        body = {"messages": [*history, {"role": "user", "content": LINE}], "think": think, "_debug_render_only": True}
        found = server.post("/api/chat", thinks=thinks, stream=False, truncate=False, **body).json()
        assert found["_debug_info"]["rendered_template"] == chat.prompt(LINE, history, think=think)


def test_turns_of_one_role_in_a_row_are_one(server: Served) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    found = server.post("/api/chat", messages=turns, stream=False, _debug_render_only=True).json()
    assert found["_debug_info"]["rendered_template"] == Chat(DRIVING.system).prompt("a\n\nb")


def test_raw(server: Served) -> None:
    prompt = Chat(DRIVING.system).prompt(LINE)
    assert server.post("/api/generate", prompt=prompt, raw=True, stream=False).json()["response"] == ANSWER


def test_unknown_model(server: Served) -> None:
    for path in ("/api/generate", "/api/chat", "/api/show"):
        body = {"model": "no-such-model", "prompt": "x", "messages": [{"role": "user", "content": "x"}]}
        answer = httpx.post(server.plain_url + path, json=body)
        assert (path, answer.status_code) == (path, 404)
        shown = ":latest" if path == "/api/show" else ""
        assert answer.json() == {"error": f"model 'no-such-model{shown}' not found"}


def test_bad_bodies(server: Served) -> None:
    empty = httpx.post(server.plain_url + "/api/generate")
    assert (empty.status_code, empty.json()) == (400, {"error": "missing request body"})
    for body in (b"{", b"[1]", b'{"model": 1}', b'{"model": "x", "stream": "yes"}'):
        answer = httpx.post(server.plain_url + "/api/generate", content=body)
        assert (body, answer.status_code) == (body, 400)
        assert isinstance(answer.json()["error"], str)
    assert httpx.get(server.plain_url + "/api/generate").status_code == 405
    assert httpx.get(server.plain_url + "/api/nothing").status_code == 404


def test_tags_show_ps_version(server: Served) -> None:
    assert httpx.get(server.plain_url + "/").text.startswith("Ollama is running")
    server.post("/api/generate", prompt=LINE, stream=False)
    entries = httpx.get(server.plain_url + "/api/tags").json()["models"]
    (entry,) = [entry for entry in entries if entry["name"] == f"{server.plain}:latest"]
    assert {"model", "modified_at", "size", "digest", "details"} <= entry.keys()
    assert entry["details"]["family"] == "qwen3"
    shown = server.post("/api/show").json()
    assert shown["template"] == modelfile.go_template(Chat(DRIVING.system))
    assert shown["system"] == DRIVING.system
    assert "num_predict                    64" in shown["parameters"].splitlines()
    assert shown["model_info"]["general.architecture"] == "qwen3"
    assert shown["capabilities"] == ["completion"]
    assert "thinking" in server.post("/api/show", thinks=True).json()["capabilities"]
    loaded = httpx.get(server.plain_url + "/api/ps").json()["models"]
    assert any(model["name"] == f"{server.plain}:latest" and model["context_length"] == 256 for model in loaded)
    assert httpx.get(server.plain_url + "/api/version").json()["version"]


def test_many_at_once(server: Served) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: server.post("/api/generate", prompt=LINE, stream=False).json(), range(64)))
    assert {answer["response"] for answer in answers} == {ANSWER}


def test_openai_chat_completions(server: Served) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": LINE}]}]
    body = server.post("/v1/chat/completions", messages=messages, temperature=0).json()
    assert body["choices"][0]["message"]["content"] == ANSWER
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    text = server.post("/v1/chat/completions", messages=messages, temperature=0, stream=True).text
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == ANSWER
    unknown = httpx.post(
        server.plain_url + "/v1/chat/completions", json={"model": "no-such-model", "messages": messages}
    )
    assert unknown.status_code == 404
    assert unknown.json()["error"]["type"] == "not_found_error"


def test_openai_thinking_is_reasoning(server: Served) -> None:
    messages = [{"role": "user", "content": LINE}]
    message = server.post("/v1/chat/completions", thinks=True, messages=messages, temperature=0).json()["choices"][0][
        "message"
    ]
    assert (message["reasoning"].strip(), message["content"].strip()) == (THOUGHT, ANSWER)


def test_the_official_python_client(server: Served) -> None:
    client = ollama.Client(host=server.plain_url)
    assert client.generate(server.plain, LINE).response == ANSWER
    assert "".join(part.response for part in client.generate(server.plain, LINE, stream=True)) == ANSWER
    message = client.chat(server.plain, [{"role": "user", "content": LINE}], format=SCHEMA).message
    assert isinstance(json.loads(message.content or ""), dict)
    assert any(model.model == f"{server.plain}:latest" for model in client.list().models)
    assert client.show(server.plain).capabilities == ["completion"]
    assert client.ps().models
    with pytest.raises(ollama.ResponseError) as caught:
        client.generate("no-such-model", "x")
    assert caught.value.status_code == 404
    thinking = ollama.Client(host=server.thinking_url).chat(
        server.thinking, [{"role": "user", "content": LINE}], think=True
    )
    assert (thinking.message.thinking or "").strip() == THOUGHT


def test_the_answer_is_an_instruction() -> None:
    assert DRIVING.read_answer(ANSWER).level == "提示"
