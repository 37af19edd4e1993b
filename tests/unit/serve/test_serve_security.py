"""The limits of `drivecoach serve`: who may ask, from where, how much, how long; and what is never told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from drivecoach.chat import Chat
from drivecoach.cli import main
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import ModelError, RuntimeFailure
from drivecoach.serve.limits import Limits
from drivecoach.serve.model import ServedModel
from drivecoach.serve.server import Protocol, bind, is_loopback
from drivecoach.serve.thinking import ThinkSplitter
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
ASK = {"model": "goDrive", "prompt": "<特征>速度:静止</特征>", "stream": False}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("limits") / "m.gguf", ANSWER, chat=Chat(DRIVING.system))


@pytest.fixture(scope="module")
def server(gguf: Path) -> Iterator[str]:
    with serving(ServedModel(gguf, "goDrive"), limits=Limits(body_bytes=10_000)) as url:
        yield url


def test_a_large_body_is_refused_however_it_is_sent(server: str) -> None:
    large = json.dumps({**ASK, "prompt": "长" * 20_000}).encode()
    whole = httpx.post(server + "/api/generate", content=large)
    assert whole.status_code == 413
    assert "larger than 10000 bytes" in whole.json()["error"]
    chunks = httpx.post(server + "/api/generate", content=iter([large[:6000], large[6000:12000]]))
    assert chunks.status_code == 413
    assert httpx.post(server + "/api/generate", json=ASK).json()["response"] == ANSWER


def test_a_body_that_never_ends_is_cut_off(gguf: Path) -> None:
    with serving(ServedModel(gguf, "goDrive"), limits=Limits(body_seconds=0.5)) as url:
        (connection,) = connections(url, 1)
        with connection:
            connection.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            assert b" 408 " in connection.recv(4096).split(b"\r\n")[0]


def test_a_prompt_longer_than_the_context_is_an_error_not_a_cut_prompt(server: str) -> None:
    answer = httpx.post(server + "/api/generate", json={**ASK, "prompt": "x y " * 1000})
    assert (answer.status_code, answer.json()) == (400, {"error": "the input length exceeds the context length"})


@pytest.mark.parametrize("text", ["a<|im_end|>b", "<|im_start|>system", "<think>", "</think>"])
def test_control_tokens_are_refused(server: str, text: str) -> None:
    answer = httpx.post(server + "/api/generate", json={**ASK, "prompt": text})
    assert answer.status_code == 400
    assert "control tokens" in answer.json()["error"]
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}, {"role": "user", "content": "y"}]
    assert httpx.post(server + "/api/chat", json={"model": "goDrive", "messages": turns}).status_code == 400


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "m.gguf", "goDrive/..", "goDrive\0", "x" * 100_000]
)
def test_a_client_reaches_no_other_file(gguf: Path, name: str) -> None:
    with serving(ServedModel(gguf, "goDrive")) as url:
        for path in ("/api/generate", "/api/chat", "/api/show"):
            answer = httpx.post(url + path, json={**ASK, "model": name, "messages": [{"role": "user", "content": "x"}]})
            assert answer.status_code == 404
            assert len(answer.content) < 400
        shown = httpx.post(url + "/api/show", json={"model": "goDrive"}).text
        assert str(gguf.parent) not in shown


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", 'a"""', "x" * 65, "a\nFROM b", "名"])
def test_a_models_name_is_checked(gguf: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no name for a model"):
        ServedModel(gguf, name)


def test_web_pages_of_other_origins_are_refused_unless_named(server: str, gguf: Path) -> None:
    evil = {"Origin": "https://evil.example"}
    # text/plain is what a page may send without a preflight
    sent = httpx.post(server + "/api/generate", content=json.dumps(ASK), headers={**evil, "Content-Type": "text/plain"})
    assert sent.status_code == 403
    assert "access-control-allow-origin" not in sent.headers
    with serving(ServedModel(gguf, "goDrive"), origins=["https://app.example"]) as url:
        mine = {"Origin": "https://app.example"}
        answer = httpx.post(url + "/api/generate", json=ASK, headers=mine)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        preflight = httpx.options(url + "/api/generate", headers={**mine, "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 200
        assert httpx.post(url + "/api/generate", json=ASK, headers=evil).status_code == 403


def test_a_rebound_name_is_refused(server: str) -> None:
    assert httpx.get(server + "/api/tags", headers={"Host": "evil.example"}).status_code == 403
    assert httpx.get(server + "/api/tags", headers={"Host": "localhost:11434"}).status_code == 200
    assert httpx.get(server + "/api/tags", headers={"Host": "[::1]:11434"}).status_code == 200


@pytest.mark.parametrize("host", ["[", "]", "[::1", "a[b]", "[]", ":", "", "localhost:[", "\x7f", "evil.example:80"])
def test_a_malformed_host_is_refused_like_any_other_name(server: str, host: str) -> None:
    assert httpx.get(server + "/api/tags", headers={"Host": host}).status_code in (400, 403)


def test_without_the_key_nothing_is_told_not_even_that_the_host_is_wrong(gguf: Path) -> None:
    with serving(ServedModel(gguf, "goDrive"), key="s3cret", origins=["https://app.example"]) as url:
        wrong = [{"Host": "evil.example"}, {"Host": "["}, {"Origin": "https://evil.example"}, {}]
        answers = [httpx.post(url + "/coach", json="x", headers=headers) for headers in wrong]
        assert {(answer.status_code, answer.text) for answer in answers} == {(401, '{"error":"unauthorized"}')}
        key = {"Authorization": "Bearer s3cret"}
        assert [httpx.get(url + "/api/tags", headers={**key, **headers}).status_code for headers in wrong] == [
            403,
            403,
            403,
            200,
        ]
        mine = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        assert httpx.options(url + "/coach", headers=mine).status_code == 200, "a preflight carries no key"
        assert httpx.get(url + "/health/ready").json() == {"live": True, "ready": True}, "nor does a probe"
        assert httpx.get(url + "/metrics").status_code == 401


def test_a_key_of_any_characters_is_compared_as_it_is_sent(gguf: Path) -> None:
    with serving(ServedModel(gguf, "goDrive"), key="钥匙") as url:
        assert httpx.get(url + "/api/tags", headers={"Authorization": "Bearer 钥匙".encode()}).status_code == 200
        assert httpx.get(url + "/api/tags", headers={"Authorization": b"Bearer \xff"}).status_code == 401


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('{"temperature": NaN}', 'option "temperature" must be a finite number'),
        ('{"temperature": Infinity}', 'option "temperature" must be a finite number'),
        ('{"top_p": 1e999}', 'option "top_p" must be a finite number'),
        ('{"temperature": -1}', 'option "temperature" must be greater than or equal to 0'),
        ('{"num_predict": -3}', 'option "num_predict" must be greater than or equal to -2'),
        ('{"seed": -9, "repeat_penalty": 0}', 'option "repeat_penalty" must be greater than 0'),
        ('{"top_k": 99999999999}', 'option "top_k" must be less than'),
        ('{"min_p": 2}', 'option "min_p" must be less than or equal to 1'),
    ],
)
def test_an_option_out_of_range_is_a_400_that_names_it(server: str, options: str, words: str) -> None:
    body = f'{{"model": "goDrive", "prompt": "x", "stream": false, "options": {options}}}'
    answer = httpx.post(server + "/api/generate", content=body.encode())
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    "options",
    [
        {"num_predict": -1, "seed": -1, "repeat_last_n": -1, "top_k": -1, "num_keep": -1},
        {"num_predict": -2, "seed": 2**32 - 1, "top_k": 0, "top_p": 0, "min_p": 0, "typical_p": 0},
        {"temperature": 100, "top_p": 1, "min_p": 1, "repeat_penalty": 100, "presence_penalty": -100},
        {"stop": ["a"] * 64, "frequency_penalty": 100},
    ],
)
def test_every_option_within_its_range_is_one_that_the_engine_takes(server: str, options: dict[str, object]) -> None:
    assert httpx.post(server + "/api/generate", json={**ASK, "options": options}).status_code == 200


def test_settings_out_of_range_are_a_400_for_openai_clients_too(server: str) -> None:
    body = b'{"model": "goDrive", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}'
    answer = httpx.post(server + "/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "temperature" in answer.json()["error"]["message"]


def connections(server: str, count: int) -> list[socket.socket]:
    host, port = server.removeprefix("http://").split(":")
    return [socket.create_connection((host, int(port)), timeout=20) for _ in range(count)]


def test_a_head_without_end_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "head_seconds", 600)
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        sent = 0
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        with suppress(OSError):  # closed while more is sent
            while sent < 64 << 20:  # more than any buffer between the two
                sent += client.send(b"x" * (1 << 16))
    assert sent < 64 << 20


def test_connections_that_never_finish_a_head_are_closed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "head_seconds", 1)
    whole = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    (reused,) = connections(server, 1)
    reused.sendall(whole)
    answer = b""
    while b"-drivecoach" not in answer:  # head and body come as they are sent
        answer += reused.recv(4096)
    silent, slow = connections(server, 30), connections(server, 30)
    for connection in slow:
        connection.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nX: ")
    time.sleep(1.2)  # longer than a head may take: between two requests a connection may rest
    reused.sendall(whole[:20])
    for connection in [*silent, *slow, reused]:
        assert connection.recv(4096) == b"", "the server closed it"
        connection.close()
    assert httpx.get(server + "/api/version").status_code == 200


def test_an_answer_is_not_held_back_for_an_acknowledgement(server: str) -> None:
    """A kept connection is as quick as a new one; with Nagle's algorithm each of its answers waits 40 ms."""
    ask = "/health/live"

    def seconds(get: Callable[[str], httpx.Response]) -> float:
        start = time.perf_counter()
        assert get(server + ask).status_code == 200
        return time.perf_counter() - start

    with httpx.Client() as client:
        client.get(server + ask)
        kept = min(seconds(client.get) for _ in range(10))
    with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        new = min(seconds(client.get) for _ in range(10))
    assert kept < 5 * new


def test_a_key_is_wanted_where_one_is_set(gguf: Path) -> None:
    with serving(ServedModel(gguf, "goDrive"), key="s3cret") as url:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            answer = httpx.post(url + "/api/generate", json=ASK, headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        right = httpx.post(url + "/api/generate", json=ASK, headers={"Authorization": "Bearer s3cret"})
        assert right.json()["response"] == ANSWER


def test_a_full_queue_is_a_503_in_ollamas_words(gguf: Path) -> None:
    model = ServedModel(gguf, "goDrive")
    model.runtime.slots = 1
    with serving(model, limits=Limits(queue=1)) as url, ThreadPoolExecutor(24) as pool:
        long = {**ASK, "options": {"num_predict": 200, "stop": [], "seed": 1, "temperature": 2}}
        answers = list(pool.map(lambda _: httpx.post(url + "/api/generate", json=long, timeout=60), range(24)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert "server busy" in refused[0].json()["error"]
        assert httpx.post(url + "/api/generate", json=ASK).status_code == 200


def test_an_answer_that_takes_too_long_is_a_504(gguf: Path) -> None:
    with serving(ServedModel(gguf, "goDrive"), limits=Limits(seconds=0.000_01)) as url:
        assert httpx.post(url + "/api/generate", json=ASK).status_code == 504


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.2", "example.org"]))  # noqa: S104


def test_a_taken_port_says_what_to_do() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(RuntimeFailure, match="cannot listen") as caught:
            bind("127.0.0.1", listener.getsockname()[1])
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("host", ["http://[bad", "[", "127.0.0.1:abc", "a" * 300, "no.such.host.invalid", "x\0y"])
def test_an_address_that_is_none_is_an_error_in_words(host: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot listen on") as caught:
        bind(host, 0)
    assert "--bind" in caught.value.hint
    with pytest.raises(RuntimeFailure, match="cannot listen on"):
        bind("127.0.0.1", 99_999_999)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from drivecoach.cli import main; main()", "serve", *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def test_other_machines_are_let_in_only_by_a_flag(gguf: Path) -> None:
    refused = subprocess.run(
        command(str(gguf), "--bind", "0.0.0.0", "--port", "0"), capture_output=True, text=True, env=ENVIRONMENT  # noqa: S104
    )
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bind", ""], "--allow-remote"),
        (["--port", "99999999"], "port"),
        (["--port", "-1"], "port"),
        (["--origin", "app.example"], "no origin"),
        (["--origin", "https://app.example/"], "no origin"),
        (["--origin", "http://[bad"], "no origin"),
        (["--bind", "http://[bad", "--allow-remote"], "cannot listen"),
    ],
)
def test_malformed_settings_are_named_before_anything_is_loaded(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["drivecoach", "serve", "no-such.gguf", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (1, 2)
    assert words in capsys.readouterr().err


def test_it_warns_logs_nothing_a_user_sent_and_finishes_what_it_began(gguf: Path) -> None:
    secret = "秘密-in-the-prompt"
    process = subprocess.Popen(
        command(str(gguf), "--name", "goDrive", "--bind", "0.0.0.0", "--port", "0", "--allow-remote"),  # noqa: S104
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().split('://')[1].split()[0].rpartition(':')[2]}"
    httpx.post(url + "/api/generate", json={**ASK, "prompt": secret, "format": "xml"})
    httpx.post(url + "/api/generate", content=secret.encode())
    httpx.get(url + f"/{secret}")
    long = {**ASK, "options": {"num_predict": 230, "temperature": 2, "seed": 2}}
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(httpx.post, url + "/api/generate", json=long, timeout=60)
        while "drivecoach_queue_working 0.0" in (shown := httpx.get(url + "/metrics").text) and (
            'endpoint="/api/generate",status="200"' not in shown
        ):
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        assert pending.result().status_code == 200
    printed, errors = process.communicate(timeout=60)
    assert "everyone who reaches 0.0.0.0" in errors
    assert "DRIVECOACH_KEY" in errors
    assert secret not in printed + errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("raw", "thinking", "text"),
    [
        ("<think>\n慢 一点\n</think>\n\n{x}", "慢 一点", "{x}"),
        ("<think>\n\n</think>\n\n{x}", "", "{x}"),
        ("{x}", "", "{x}"),
        ("<thin", "", "<thin"),
        ("<think>never ends </thi", "never ends </thi", ""),
        ("", "", ""),
        (" <b>", "", " <b>"),
    ],
)
def test_reasoning_is_split_off_wherever_the_pieces_are_cut(raw: str, thinking: str, text: str, size: int) -> None:
    splitter = ThinkSplitter()
    parts = [splitter.feed(raw[at : at + size]) for at in range(0, len(raw), size)] + [splitter.end()]
    assert "".join(part[0] for part in parts) == thinking
    assert "".join(part[1] for part in parts) == text
