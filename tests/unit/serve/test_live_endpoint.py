"""``/live/{session}`` over HTTP: states in, events out, resumed, bounded; nobody's silence or flood grows anything."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from drivecoach.domain import Domain
from drivecoach.runtime.rules import Rules
from drivecoach.serve.current import Served
from drivecoach.serve.limits import Limits
from tests.support.lamps import LAMPS, Lamp
from tests.support.serving import serving

CLIENT = httpx.Client(timeout=20)


@contextmanager
def server(**limits: Any) -> Iterator[str]:
    chosen = Limits(**limits)
    with serving(Served(Rules(LAMPS), LAMPS, "strict", chosen), limits=chosen) as url:
        yield url


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as found:
        yield found


def events(url: str, session: str, last: str | None = "0", until: str = "say") -> list[dict[str, Any]]:
    """The events of a session until one of that kind, each with its ``id``."""
    headers = {} if last is None else {"Last-Event-ID": last}
    found: list[dict[str, Any]] = []
    with CLIENT.stream("GET", f"{url}/live/{session}/events", headers=headers) as stream:
        assert stream.status_code == 200 and stream.headers["content-type"].startswith("text/event-stream")
        id = kind = ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id = value
            elif name == "event":
                kind = value
            elif name == "data":
                found.append({**json.loads(value), "id": id})
                assert found[-1]["kind"] == kind
                if kind == until:
                    break
    return found


def post(url: str, session: str, states: Any) -> httpx.Response:
    return CLIENT.post(f"{url}/live/{session}/state", json=states)


def test_a_state_in_any_form_and_what_to_say_out(url: str) -> None:
    forms: dict[str, Any] = {"m": {"shows": "e"}, "t": {"time": 3.5, "state": "shows:e"}, "i": {"input": "shows:e"}}
    for session, state in forms.items():
        answer = post(url, session, state)
        assert (answer.status_code, answer.json()) == (202, {"session": session, "taken": 1, "troubles": []})
        (say,) = events(url, session)
        assert (say["speech"], say["answer"]["level"], say["why"]["rule"]) == ("stop at once", "danger", "rule e")
        assert 0 <= say["age"] < 5
    assert CLIENT.post(f"{url}/live/l/state", content="shows:e").status_code == 202


def test_events_go_on_after_the_last_one_that_was_read(url: str) -> None:
    post(url, "resumed", ["oops", "oh", "shows:e"])
    all = events(url, "resumed")
    assert [event["kind"] for event in all] == ["trouble", "trouble", "say"]
    assert events(url, "resumed", last=all[0]["id"]) == [
        {**event, "age": pytest.approx(event["age"], abs=9)} for event in all[1:]
    ]
    assert len(events(url, "resumed", last="another-1")) == 3, "of another session nothing was read here"
    mark, _ = all[0]["id"].split("-")
    assert len(events(url, "resumed", last=f"{mark}-{'9' * 5000}")) == 3, "no event has such a number"


def test_who_comes_new_hears_nothing_old(url: str) -> None:
    post(url, "new", "shows:e")
    events(url, "new")
    heard: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: heard.extend(events(url, "new", last=None, until="trouble")))
    reader.start()
    while reader.is_alive():
        post(url, "new", "oops")
        reader.join(0.1)
    assert [event["kind"] for event in heard] == ["trouble"]


def test_what_is_no_state_is_refused_with_its_faults(url: str) -> None:
    answer = post(url, "bad", {"shows": "z"})
    assert answer.status_code == 422 and answer.json()["taken"] == 0
    assert "shows" in answer.json()["troubles"][0]["detail"]
    some = post(url, "bad", [{"shows": "z"}, {"shows": "a"}, {"time": "x", "state": {"shows": "a"}}])
    assert (some.status_code, some.json()["taken"], len(some.json()["troubles"])) == (202, 1, 2)
    assert post(url, "bad", ["shows:a"] * 257).status_code == 413
    assert CLIENT.post(f"{url}/live/bad/state", content=b"\xff").status_code == 400
    assert post(url, "no.name", "shows:a").status_code == 400
    assert post(url, "x" * 65, "shows:a").status_code == 400


def test_settings_of_a_session(url: str) -> None:
    set = CLIENT.post(f"{url}/live/quiet", json={"voice": "essential"})
    assert set.json()["settings"]["voice"] == "essential"
    post(url, "quiet", "shows:c")
    (silent,) = events(url, "quiet", until="silent")
    assert "mild" in silent["reason"]
    wrong = CLIENT.post(f"{url}/live/quiet", json={"loud": 1})
    assert wrong.status_code == 422 and wrong.json()["faults"][0]["where"] == "loud"
    assert CLIENT.post(f"{url}/live/quiet", json=[1]).status_code == 400


def test_a_session_is_ended_and_its_readers_with_it(url: str) -> None:
    post(url, "over", "shows:e")
    ending = threading.Timer(0.3, lambda: CLIENT.delete(f"{url}/live/over"))
    ending.start()
    assert events(url, "over", until="end")[-1]["reason"] == "it was closed"
    assert CLIENT.delete(f"{url}/live/over").status_code == 404


def test_sessions_are_counted_and_idle_ones_end() -> None:
    with server(sessions=2, idle_seconds=1.5) as url:
        post(url, "a", "shows:e")
        post(url, "b", "shows:e")
        refused = post(url, "c", "shows:e")
        assert refused.status_code == 503 and "2 live sessions" in refused.json()["error"]
        assert events(url, "a", until="end")[-1]["reason"] == "no state came for too long"
        limit = time.monotonic() + 30
        while (status := post(url, "c", "shows:e").status_code) == 503 and time.monotonic() < limit:
            time.sleep(0.05)
        assert status == 202, "the other one has ended too"


def test_a_client_that_never_reads_is_let_go_and_grows_nothing() -> None:
    with server(readers=1, read_seconds=0.5) as url:
        place = urlsplit(url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((place.hostname, place.port))
            deaf.sendall(f"GET /live/deaf/events HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
            while "drivecoach_live_readers 1.0" not in CLIENT.get(f"{url}/metrics").text:
                time.sleep(0.05)
            assert CLIENT.get(f"{url}/live/deaf/events").status_code == 503, "readers are counted"
            deadline = time.monotonic() + 30  # the buffers of both sockets are full long before
            while "drivecoach_live_readers 0.0" not in CLIENT.get(f"{url}/metrics").text:
                assert time.monotonic() < deadline, "it still counts as a reader"
                post(url, "deaf", ["停" * 500] * 256)
        post(url, "deaf", "shows:e")
        told = events(url, "deaf")
        assert len(told) <= 258 and told[0]["skipped"] > 1000 and told[-1]["speech"] == "stop at once"


def test_a_domain_without_a_sentence_to_say_has_no_live_sessions() -> None:
    class Mute(type(LAMPS)):  # type: ignore[misc]
        spoken = Domain.spoken

    mute = Mute("mute", Lamp, LAMPS.answer.model)
    with serving(Served(Rules(mute), mute, "strict", Limits())) as url:
        answer = post(url, "a", "shows:e")
        assert answer.status_code == 501 and "spoken" in answer.json()["error"]


def test_what_is_counted_holds_no_name_of_a_session(url: str) -> None:
    post(url, "secret", "shows:e")
    metrics = CLIENT.get(f"{url}/metrics").text
    assert 'endpoint="/live/{session}/state"' in metrics and "secret" not in metrics
