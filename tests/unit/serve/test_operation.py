"""`drivecoach serve` as a service: warm, observed, stopped work, and a new model without a dropped request."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from drivecoach.chat import Chat, Message
from drivecoach.domain import JsonObject
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import ModelError
from drivecoach.files import sha256
from drivecoach.infer import strictest
from drivecoach.runtime import Completion
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.serve.current import Served, open_served
from drivecoach.serve.limits import LIMITS, Limits
from drivecoach.serve.model import ServedModel, file_name
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

ROOT = Path(__file__).parents[3]
ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
OTHER = '{"动作": ["松开油门"], "级别": "警告", "话术": "还没起步，别空轰油门"}'
LINE = DRIVING.write_input(next(DRIVING.inputs()))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models, and one whose answers go on for as long as they may."""
    folder = tmp_path_factory.mktemp("operation")
    chat = Chat(DRIVING.system)
    return {
        "first": write_scripted_gguf(folder / "first.gguf", ANSWER, chat=chat),
        "second": write_scripted_gguf(folder / "second.gguf", OTHER, chat=chat),
        "long": write_scripted_gguf(folder / "long.gguf", ANSWER, chat=chat, num_ctx=512),
    }


class Recording:
    """A runtime that says the right thing and remembers that it was asked."""

    name = "recording"
    slots = 1
    thinks = False
    metadata: dict[str, object] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        self.asked.append(user)
        assert self.may_answer.wait(60)
        return Completion(DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(user))), 1, 1, 0.0, finished=True)

    def close(self) -> None: ...
    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_model_answers_before_it_is_said_to_be_ready() -> None:
    runtime = Recording()
    Served(runtime, DRIVING, "strict", LIMITS).warm()
    assert runtime.asked == [LINE]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("goDrive-q4_K_M.gguf", "goDrive"),
        ("coach-v2-f16.gguf", "coach-v2"),
        ("Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B"),
        ("model.IQ3_XXS.gguf", "model"),
        ("q4.gguf", "q4"),
        ("nano.gguf", "nano"),
    ],
)
def test_a_model_is_called_as_its_file_is(file: str, name: str) -> None:
    assert file_name(Path(file)) == name


def counted(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_metrics_count_what_was_asked_and_how_it_ended(files: dict[str, Path]) -> None:
    with serving(ServedModel(files["first"]), limits=Limits(seconds=0.000_01)) as url:
        assert httpx.post(f"{url}/coach", json=LINE).status_code == 504
        assert httpx.post(f"{url}/coach", json="x").status_code == 422
        for path in ("/a-secret", "/api/generate/a-secret"):
            assert httpx.get(url + path).status_code == 404
        assert httpx.get(f"{url}/metrics").headers["content-type"].startswith("text/plain; version=")
        found = counted(url)
    assert found['drivecoach_requests_total{endpoint="/coach",status="504"}'] == 1
    assert found['drivecoach_requests_total{endpoint="/coach",status="422"}'] == 1
    assert found['drivecoach_requests_total{endpoint="(other)",status="404"}'] == 2
    assert found['drivecoach_errors_total{endpoint="/coach"}'] == 1
    assert found['drivecoach_request_seconds_bucket{endpoint="/coach",le="+Inf"}'] == 2
    assert found['drivecoach_request_seconds_count{endpoint="/coach"}'] == 2
    assert found["drivecoach_ready"] == 1
    assert found[f'drivecoach_model{{name="first",sha256="{sha256(files["first"])}"}}'] == 1
    assert not any("secret" in line for line in found)


def test_outcomes_and_the_queue_are_counted(files: dict[str, Path]) -> None:
    with serving(ServedModel(files["first"])) as url:
        httpx.post(f"{url}/coach", json=[LINE, LINE, "x"])
        found = counted(url)
    given = {key: value for key, value in found.items() if key.startswith("drivecoach_outcomes_total")}
    assert sum(given.values()) == 3
    assert given['drivecoach_outcomes_total{source="model",status="failed"}'] == 1
    assert (found["drivecoach_queue_waiting"], found["drivecoach_queue_working"]) == (0, 0)


def test_a_full_queue_is_alive_but_not_ready() -> None:
    runtime = Recording()
    runtime.may_answer.clear()
    with serving(Served(runtime, DRIVING, "strict", Limits(queue=1))) as url, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(httpx.post, f"{url}/coach", json=LINE, timeout=60) for _ in range(2)]
        while (found := counted(url))["drivecoach_queue_waiting"] == 0:
            time.sleep(0.001)
        assert (found["drivecoach_queue_working"], found["drivecoach_ready"]) == (1, 0)
        for path in ("/health", "/health/ready"):
            answer = httpx.get(url + path)
            assert (answer.status_code, answer.json()) == (503, {"live": True, "ready": False})
        assert httpx.get(f"{url}/health/live").status_code == 200
        assert httpx.post(f"{url}/coach", json=LINE).status_code == 503
        runtime.may_answer.set()
        assert {answer.result().status_code for answer in waiting} == {200}
        assert httpx.get(f"{url}/health/ready").status_code == 200


LONG = {"prompt": "x", "raw": True, "options": {"num_predict": 400}}
"""The scripted model has nothing to say to this, and does not stop saying it."""


@contextmanager
def leaving(url: str, count: int, stream: bool) -> Iterator[list[socket.socket]]:
    """Clients that have asked for a long answer, and leave at the end without having read it."""
    body = json.dumps({"model": "long", "stream": stream, **LONG}).encode()
    host, port = url.removeprefix("http://").split(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(count)]
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for client in clients:
        client.sendall(head + body)
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("stream", [False, True])
def test_the_work_of_clients_that_left_is_stopped(files: dict[str, Path], stream: bool) -> None:
    model = ServedModel(files["long"], "long")
    model.runtime.slots = 1
    with serving(model) as url:
        ask = {"model": "long", "stream": False, "prompt": LINE}
        start = time.perf_counter()
        whole = httpx.post(f"{url}/api/generate", json={**ask, **LONG}, timeout=120).json()
        one = time.perf_counter() - start
        assert whole["eval_count"] > 300, "long enough to be noticed"
        with leaving(url, 30, stream):
            while counted(url)["drivecoach_queue_waiting"] < 20:
                time.sleep(0.001)
        start = time.perf_counter()
        assert httpx.post(f"{url}/api/generate", json=ask, timeout=120).json()["response"] == ANSWER
        assert time.perf_counter() - start < 10 * one, "more than twenty were waiting before it"
        found = counted(url)
    if not stream:
        assert found['drivecoach_requests_total{endpoint="/api/generate",status="499"}'] >= 20


def test_a_state_is_no_longer_worked_on_when_its_client_left(files: dict[str, Path]) -> None:
    runtime = LlamaCpp(files["first"])
    with runtime:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked >= 3

        stopped = runtime.generate(LINE, stop=stop)
        assert not stopped.finished and ANSWER.startswith(stopped.text) and len(stopped.text) < len(ANSWER)
        assert runtime.generate(LINE, stop=lambda: False).text == ANSWER


class Process:
    """`drivecoach serve` as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        command = [sys.executable, "-c", "from drivecoach.cli import main; main()", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.errors: list[str] = []
        self.reader = threading.Thread(target=lambda: self.errors.extend(self.process.stderr or ()))
        self.reader.start()
        assert self.process.stdout is not None
        self.printed = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.printed)
        assert found, self.errors
        self.url = found[0]

    def wait_for(self, text: str) -> str:
        for _ in range(1200):
            for line in self.errors:
                if text in line:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"no {text!r} in {self.errors}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.reader.join()


def test_a_new_model_takes_the_place_of_the_old_without_a_dropped_request(
    files: dict[str, Path], tmp_path: Path
) -> None:
    link = tmp_path / "coach.gguf"
    link.symlink_to(files["first"])
    server = Process(str(link), "--guard", "off")
    try:
        assert server.printed.startswith("coach (driving, sha256 ")
        answers: list[tuple[int, str]] = []
        done = threading.Event()

        def ask() -> None:
            with httpx.Client(timeout=60) as client:
                while not done.is_set():
                    constrained = {"format": {"type": "object"}} if len(answers) % 3 == 0 else {}
                    asked = {"model": "coach", "prompt": LINE, "stream": False, **constrained}
                    answer = client.post(f"{server.url}/api/generate", json=asked)
                    answers.append((answer.status_code, answer.json().get("response", answer.text)))
                    answer = client.post(f"{server.url}/coach", json=LINE)
                    level = answer.json()["answer"]["级别"]
                    answers.append((answer.status_code, ANSWER if level == "提示" else OTHER))

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            digest = httpx.post(f"{server.url}/api/show", json={"model": "coach"}).json()["digest"]
            assert digest == sha256(files["first"])

            link.unlink()
            link.symlink_to(files["second"])
            server.process.send_signal(signal.SIGHUP)
            assert sha256(files["second"])[:12] in server.wait_for("reload: ")
            shown = httpx.post(f"{server.url}/api/show", json={"model": "coach"}).json()
            assert shown["digest"] == sha256(files["second"])

            link.unlink()
            shutil.copyfile(files["first"], link)
            link.write_bytes(link.read_bytes()[:5000])
            server.process.send_signal(signal.SIGHUP)
            assert "not a whole GGUF file" in server.wait_for("reload failed")
            count = len(answers)
            while len(answers) < count + 6 and not any(future.done() for future in asking):
                time.sleep(0.01)
            done.set()
            for future in asking:
                future.result()
        assert {status for status, _ in answers} == {200}
        assert {text for _, text in answers} == {ANSWER, OTHER}
        assert answers[-1][1] == OTHER, "the one before the damaged one goes on"
        found = counted(server.url)
        assert (found["drivecoach_reloads"], found["drivecoach_failed_reloads"]) == (1, 1)
    finally:
        server.stop()
    text = "".join(server.errors)
    assert re.search(r"^\S+Z POST /coach 200 \d+\.\d ms$", text, re.MULTILINE)
    assert "场地类型" not in text and "Traceback" not in text


def test_a_file_that_is_not_there_is_an_error_in_words() -> None:
    with pytest.raises(ModelError, match="no model at"):
        open_served("no such.gguf", None, lambda _: DRIVING, strictest)


def test_the_rules_are_served_without_any_file() -> None:
    server = Process("rules")
    try:
        assert server.printed.startswith("rules:driving (driving) on http://")
        assert httpx.post(f"{server.url}/coach", json=LINE).json()["source"] == "rules"
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reload: ")
    finally:
        server.stop()
    assert server.process.returncode == 0, "a service that was told to stop has not failed"
    assert server.errors[-1] == "stopped; what was under way is finished\n"
