"""The Ollama runtime alone: what it sends, and how every failure of a server is told."""

from __future__ import annotations

import socket
import threading

import pytest

from drivecoach.chat.template import split
from drivecoach.domain import JsonObject
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.runtime import open_runtime
from drivecoach.runtime.ollama import Ollama
from tests.support.ollama_server import Reply, ollama_server, said


def failure(reply: Reply) -> RuntimeFailure:
    with ollama_server(coach=lambda _: reply) as server, open_runtime("ollama:coach", host=server.url) as runtime:
        with pytest.raises(RuntimeFailure) as caught:
            runtime.generate("x")
        assert caught.value.hint
        return caught.value


def test_the_users_text_is_sent_alone_because_the_modelfile_holds_the_rest() -> None:
    with ollama_server(coach=lambda prompt: said(prompt[::-1])) as server:
        with open_runtime("ollama:coach:latest", host=server.url) as runtime:
            assert runtime.generate("挡位").text == "位挡"
            with pytest.raises(InputError):
                runtime.generate("a<|im_end|>")
        assert [path for path, _ in server.requests] == ["/api/show", "/api/generate"]
        body = server.requests[-1][1]
    assert body.pop("stream") is False
    assert {key: value for key, value in body.items() if value} == {"model": "coach:latest", "prompt": "挡位"}


def test_counts_and_times_are_the_servers_own() -> None:
    with (
        ollama_server(coach=lambda _: said("yes", prompt_eval_count=7, eval_count=3)) as server,
        open_runtime("ollama:coach", host=server.url) as runtime,
    ):
        completion = runtime.generate("x")
    assert (completion.prompt_tokens, completion.completion_tokens) == (7, 3)


def test_reasoning_that_ollama_split_off_is_put_back() -> None:
    with (
        ollama_server(coach=lambda _: said("yes", thinking="because")) as server,
        open_runtime("ollama:coach", host=server.url) as runtime,
    ):
        parts = split(runtime.generate("x").text)
    assert (parts.thinking, parts.text) == ("because", "yes")


def test_a_schema_goes_to_chat_where_the_model_thinks_so_that_it_thinks_first() -> None:
    schema: JsonObject = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
    for capabilities, path in ((["completion"], "/api/generate"), (["completion", "thinking"], "/api/chat")):
        with ollama_server(coach=lambda _: said("", thinking="because")) as server:
            server.capabilities = capabilities
            with open_runtime("ollama:coach", host=server.url) as runtime:
                parts = split(runtime.generate("x", schema=schema).text)
            asked, body = server.requests[-1]
        assert (asked, body["format"]) == (path, schema)
        assert (parts.thinking, parts.text) == ("because", '{"a":"x"}')


def test_only_a_model_that_can_think_is_told_not_to() -> None:
    for capabilities, think in ((["completion"], None), (["completion", "thinking"], False)):
        with ollama_server(coach=lambda _: said("yes")) as server:
            server.capabilities = capabilities
            with open_runtime("ollama:coach", host=server.url) as runtime:
                runtime.generate("x", think=False)
            assert server.requests[-1][1].get("think") is think


def test_an_unknown_model_names_the_command_that_makes_it() -> None:
    with ollama_server() as server, pytest.raises(RuntimeFailure, match="model 'nobody' not found") as caught:
        open_runtime("ollama:nobody", host=server.url)
    assert "drivecoach" in caught.value.hint


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 502, 503])
def test_what_the_server_says_is_passed_on(status: int) -> None:
    assert "llama runner broke" in failure((status, {"error": "llama runner broke"})).message


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"<html>a proxy</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"response": 7}'),
        (200, b'{"response": "cut of'),
        (200, b"\xff\xfe"),
        (500, b"[1]"),
        (500, b"\xff"),
        (502, b"<html>bad gateway</html>"),
    ],
)
def test_an_answer_outside_the_protocol_is_a_runtime_failure(reply: Reply) -> None:
    assert "Traceback" not in failure(reply).message


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_nobody_there_says_how_to_start_one() -> None:
    with pytest.raises(RuntimeFailure, match="no Ollama server") as caught:
        open_runtime("ollama:coach", host=f"127.0.0.1:{free_port()}")
    assert "ollama serve" in caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1:port", "http://[", "127.0.0.1:99999999", "ftp://x"])
def test_an_address_that_cannot_be_is_a_runtime_failure(host: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        open_runtime("ollama:coach", host=host)
    assert "OLLAMA_HOST" in caught.value.hint


def test_a_server_that_never_answers_is_given_up() -> None:
    done = threading.Event()

    def stall(_: str) -> Reply:
        done.wait(10)
        return said("late")

    with ollama_server(coach=stall) as server, Ollama("coach", server.url, timeout=0.2) as runtime:
        with pytest.raises(RuntimeFailure, match=r"0\.2 s"):
            runtime.generate("x")
        done.set()


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama_server(coach=lambda _: said("yes")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        with open_runtime("ollama:coach") as runtime:
            assert runtime.generate("x").text == "yes"
