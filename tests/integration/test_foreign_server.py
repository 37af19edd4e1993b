"""What answers at an Ollama's address may be slow, hostile or anything else: every verb says so and ends."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivecoach import doctor
from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DrivecoachError, RuntimeFailure
from drivecoach.export import ollama
from drivecoach.export.deploy import Candidate, deploy
from drivecoach.export.ollama import OllamaHost
from drivecoach.export.proof import QUICK
from drivecoach.files import sha256
from drivecoach.runtime import open_runtime
from drivecoach.runtime.connection import LARGEST
from drivecoach.text import printable
from tests.integration.test_cli import ANSWER, SAFE
from tests.support.command import Result, Run
from tests.support.deploy_server import deploy_server
from tests.support.ollama_server import ollama_server, said
from tests.support.runs import make_run
from tests.support.scripted_model import write_scripted_gguf

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that reads each request's head and then does with the connection what ``talk`` does."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (block := connection.recv(65536)):
                    return
                head += block
            talk(connection)

    def accept() -> None:
        while not done.is_set():
            with suppress(OSError):
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        with suppress(OSError):
            socket.create_connection(listener.getsockname(), 1).close()
        thread.join()
        listener.close()


def replying(status: int, body: bytes, *headers: str) -> Talk:
    """The same answer to everything."""
    lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return lambda connection: connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("model") / "coach.gguf", ANSWER, chat=Chat(DRIVING.system))


@pytest.fixture
def verbs(run: Run, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Result]]:
    """``verbs(HOST)``: how doctor, deploy, rollback, ask and infer end with a server there."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(doctor, "_unsloth", lambda: doctor.Finding("unsloth", False, "not looked for", "install it"))
    make_run(tmp_path / "runs/one", gguf, SAFE[:2])
    Path("states.txt").write_text(SAFE[0] + "\n", encoding="utf-8")

    def called(host: str) -> list[Result]:
        looked = run("doctor", "--host", host)
        assert looked.code == 0
        failed = [
            run("deploy", "runs/one", "--host", host),
            run("deploy", "runs/one", "--host", host, "--rollback"),
            run("ask", SAFE[0], "--model", "ollama:x", "--host", host),
            run("infer", "states.txt", "-o", "out.jsonl", "--model", "ollama:x", "--host", host),
        ]
        for ended in failed:
            assert ended.code == 1 and "error:" in ended.err and "hint:" in ended.err
        (line,) = [line for line in looked.out.splitlines() if "Ollama: " in line]
        assert line.startswith("none")
        for ended in (looked, *failed):
            assert "Traceback" not in ended.err + ended.out
            assert "\x1b" not in ended.err + ended.out
        return [looked, *failed]

    return called


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b"",
        b"\xff\xfe",
        b"<html>",
        b'{"version": "\\ud800", "models": [{"name": "\\ud800"}], "model_info": {"drivecoach.domain": "\\ud800"}}',
        b'{"version": "0.0.1 \\u001b]0;owned", "models": [{"name": "x:previous", "digest": "\\u001b"}]}',
        b'{"version": {"a": 1}, "capabilities": 5, "model_info": []}',
        b'{"version": ' + b"[" * 100_000,
        b'{"version": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"version": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"version": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_an_answer_that_is_not_ollamas(verbs: Callable[[str], list[Result]], body: bytes) -> None:
    with talking(replying(200, body)) as host:
        verbs(host)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, json.dumps({"error": ESCAPE}).encode()),
        (500, ESCAPE.encode()),
        (404, b'{"error": "half a character: \\ud800"}'),
        (500, b'{"error": ' + b"[" * 100_000),
        (400, b"[1]"),
        (500, b'{"error": {"a": [1]}}'),
        (307, b"no Location"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_refusal_in_hostile_words(verbs: Callable[[str], list[Result]], status: int, body: bytes) -> None:
    with talking(replying(status, body)) as host:
        verbs(host)


def test_a_redirect_is_named_and_not_followed(verbs: Callable[[str], list[Result]]) -> None:
    asked: list[object] = []
    with talking(lambda connection: asked.append(connection)) as elsewhere:
        for status in (301, 302, 307, 308):
            with talking(replying(status, b"", f"Location: {elsewhere}/api/version")) as host:
                for ended in verbs(host):
                    assert elsewhere in ended.out + ended.err and "not followed" in ended.out + ended.err
    assert asked == []


def test_a_redirect_of_the_upload_is_an_error(gguf: Path) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")

    with talking(talk) as url, pytest.raises(RuntimeFailure, match="not followed"):
        OllamaHost(url).create("x", gguf, template="", system="", parameters={})


@pytest.mark.parametrize("packed", [True, False])
def test_an_answer_of_any_size_is_not_swallowed(verbs: Callable[[str], list[Result]], packed: bool) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    sent: list[int] = []

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n")
        sent.append(0)
        for _ in range(300):
            connection.sendall(b" " * (1 << 20))
            sent[-1] += 1 << 20

    with talking(replying(200, bomb, "Content-Encoding: gzip") if packed else endless) as host:
        for ended in verbs(host):
            assert "which no Ollama does" in ended.out + ended.err
    assert all(size <= 3 * LARGEST for size in sent), "the connection is closed soon after the limit"


@pytest.mark.parametrize(
    "host",
    ["http://[bad", "127.0.0.1:99999999", "127.0.0.1:abc", "ftp://127.0.0.1", "\udcff", ESCAPE],
)
def test_an_address_that_cannot_be(
    verbs: Callable[[str], list[Result]], run: Run, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for ended in verbs(host):
        assert "no address of an Ollama" in ended.out + ended.err
    monkeypatch.setenv("OLLAMA_HOST", host)
    ended = run("ask", SAFE[0], "--model", "ollama:x")
    assert ended.code == 1 and "no address of an Ollama" in ended.err and "OLLAMA_HOST" in ended.err


def dripping(connection: socket.socket, head: bytes) -> None:
    """A byte now and then, for ever: each is soon enough for a timeout that counts from the last byte."""
    connection.sendall(head)
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 x\r\nA: ", b"HTTP/1.1 200 x\r\n\r\n"], ids=["head", "body"])
def test_a_server_that_drips_has_only_the_time_for_the_whole(head: bytes) -> None:
    with talking(lambda connection: dripping(connection, head)) as url:
        began = time.monotonic()
        with pytest.raises(RuntimeFailure, match="too slow"):
            OllamaHost(url, seconds=0.4).version()
        with pytest.raises(RuntimeFailure, match=r"within 0\.4 s"):
            open_runtime("ollama:x", host=url, timeout=0.4)
        assert time.monotonic() - began < 15, "of the 30 s that it would drip twice"


def test_an_upload_that_is_broken_off_or_never_taken_ends(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large.gguf"
    large.write_bytes(gguf.read_bytes() + bytes(24 << 20))  # more than fits into the buffers on the way
    seen = itertools.count()

    def closing(connection: socket.socket) -> None:
        if next(seen) % 2 == 0:  # HEAD
            connection.sendall(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def stalling(connection: socket.socket) -> None:
        closing(connection)
        time.sleep(5)

    def create(url: str) -> None:
        OllamaHost(url).create("x", large, template="", system="", parameters={})

    with talking(closing) as url, pytest.raises(RuntimeFailure, match="broke off"):
        create(url)
    seen = itertools.count()
    monkeypatch.setattr(ollama, "_SECONDS", 0.5)
    monkeypatch.setattr(ollama, "_UPLOAD_RATE", 1 << 40)
    with talking(stalling) as url, pytest.raises(RuntimeFailure, match="too slow in /api/blobs"):
        create(url)


def test_terminal_escapes_and_half_characters_in_an_answer(run: Run) -> None:
    for text in (ESCAPE, "\ud800", ANSWER.replace("松开", ESCAPE), ANSWER.replace("松开", "\ud800")):
        with ollama_server(coach=lambda _, text=text: (200, json.dumps(said(text)[1]).encode())) as server:
            Path("states.txt").write_text(SAFE[0] + "\n", encoding="utf-8")
            asked = run("ask", SAFE[0], "--model", "ollama:coach", "--host", server.url)
            assert asked.code == 1 and "\x1b" not in asked.out + asked.err
            host = ("--model", "ollama:coach", "--host", server.url)
            inferred = run("infer", "states.txt", "-o", "out.jsonl", *host)
            assert inferred.code == 1 and "\x1b" not in inferred.out + inferred.err
            assert json.loads(Path("out.jsonl").read_text(encoding="utf-8"))["status"] == "invalid"
        for path in Path().glob("out.jsonl*"):
            path.unlink()


def test_a_free_text_may_hold_anything_but_shows_only_text(run: Run) -> None:
    with ollama_server(coach=lambda _: (200, json.dumps(said(f"a{ESCAPE}\ud800\n\u3000b")[1]).encode())) as server:
        server.metadata = {"drivecoach.domain": "text"}
        asked = run("ask", "x", "--model", "ollama:coach", "--host", server.url)
        assert asked == Result(0, f"a{printable(ESCAPE)}?\n\u3000b\n", "")
        Path("x.txt").write_text("x\n")
        assert run("infer", "x.txt", "-o", "out.jsonl", "--model", "ollama:coach", "--host", server.url).code == 0
        assert json.loads(Path("out.jsonl").read_text(encoding="utf-8"))["answer"] == f"a{ESCAPE}?\n\u3000b"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["version", "models", "name", "digest", "template", "parameters", "response", "error"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)


@given(answer=JSON, at=st.integers(0, 7), status=st.sampled_from([200, 200, 400, 500]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_at_any_time_is_an_error_that_leaves_what_was_there(
    gguf: Path, answer: Any, at: int, status: int
) -> None:
    chat = Chat(DRIVING.system)
    export = ExportConfig(num_ctx=256, num_predict=64)
    with deploy_server(chat) as server:
        server.models["goDrive:latest"] = {"files": {}}
        before = server.digest("goDrive")
        server.answers[f"sha256:{sha256(gguf)}"] = "not what the file answers"
        honest, asked = server.reply, itertools.count()
        server.reply = lambda method, path, content: (  # type: ignore[method-assign]
            (status, answer) if next(asked) == at and method != "HEAD" else honest(method, path, content)
        )
        host = OllamaHost(server.url)
        with pytest.raises(DrivecoachError) as caught:
            deploy(host, "goDrive", Candidate(gguf, chat, export, SAFE[:1]), QUICK)
        host.close()
        assert caught.value.hint
        assert server.digest("goDrive") == before
