"""``/cockpit``: the server steps the car, coaches it like any client's, bounds the cars, replays files of states."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.drives import DRIVES
from drivecoach.live import read_record, replay
from drivecoach.runtime.rules import Rules
from drivecoach.serve.current import Served
from drivecoach.serve.limits import Limits
from tests.support.lamps import LAMPS
from tests.support.serving import serving

HANDS = {"gear": "空挡", "handbrake": True, "belt": False, "door_open": False}


@contextmanager
def server(domain: Any = DRIVING, settings: dict[str, Any] | None = None, **limits: Any) -> Iterator[httpx.Client]:
    chosen = Limits(**limits)
    served = Served(Rules(domain), domain, "strict", chosen)
    with serving(served, limits=chosen, **settings or {}) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with server(drive_seconds=1.5, body_bytes=60_000) as found:
        yield found


def begin(client: httpx.Client, **choice: Any) -> str:
    answer = client.post("/cockpit/drives", json=choice or {"course": "起步"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["drive"])


def steer(client: httpx.Client, drive: str, **hands: Any) -> httpx.Response:
    return client.post(f"/cockpit/drives/{drive}", json=HANDS | hands)


def events(client: httpx.Client, drive: str, until: str) -> list[tuple[str, dict[str, Any]]]:
    """Everything that a page is told until an event of that kind."""
    found: list[tuple[str, dict[str, Any]]] = []
    with client.stream("GET", f"/cockpit/drives/{drive}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                found.append((kind, json.loads(value)))
                if kind == until:
                    break
    return found


def sessions(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("drivecoach_live_sessions ")).split()[1])


def test_the_server_steps_the_car_and_its_coach_speaks(client: httpx.Client) -> None:
    drive = begin(client)
    steer(client, drive, ignition="start", belt=True)
    told = events(client, drive, "say")
    say = told[-1][1]
    assert (say["speech"], say["source"], say["why"]["rule"]) == ("离合踩到底，挂1挡", "rules", "D01")
    states = [value["state"] for kind, value in told if kind == "state"]
    assert "发动机:熄火" in states[0] and "发动机:打火" in states[-1]
    assert [value for kind, value in told if kind == "shown"][-1]["rpm"] == 800


def test_a_key_that_was_turned_counts_however_soon_the_hand_is_off_it(client: httpx.Client) -> None:
    drive = begin(client)
    steer(client, drive, ignition="start")
    steer(client, drive)
    assert any(value.get("running") for kind, value in events(client, drive, "say") if kind == "shown")


@pytest.mark.parametrize(
    ("hands", "where"),
    [
        ({"gear": "D挡"}, "gear"),
        ({"gear": "9挡"}, "gear"),
        ({"clutch": 1.5}, "clutch"),
        ({"clutch": "NaN"}, "clutch"),
        ({"wings": 1}, "wings"),
        ({"ignition": "fire"}, "ignition"),
    ],
)
def test_hands_that_no_driver_has_are_refused_by_name(client: httpx.Client, hands: dict[str, Any], where: str) -> None:
    answer = steer(client, begin(client), **hands)
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, where)


@pytest.mark.parametrize(
    "body", ["", "[", "[1]", "7", '{"gear": "空挡"}', '{"clutch": NaN}', "\udcff".encode("utf-8", "surrogatepass")]
)
def test_a_broken_message_is_refused_and_the_drive_goes_on(client: httpx.Client, body: str | bytes) -> None:
    drive = begin(client)
    assert client.post(f"/cockpit/drives/{drive}", content=body).status_code in (400, 422)
    assert steer(client, drive).status_code == 200


@pytest.mark.parametrize(
    "choice",
    [
        {"course": "月球"},
        {"vehicle": "自动挡", "course": "坡道定点停车和起步"},
        {"vehicle": "自动挡", "site": "科目二", "item": "坡道定点停车和起步"},
        {"site": "科目二", "item": "会车"},
        {"course": "起步", "item": "起步"},
        {"vehicle": "手动挡"},
    ],
)
def test_what_cannot_be_driven_is_not_begun(client: httpx.Client, choice: dict[str, Any]) -> None:
    answer = client.post("/cockpit/drives", json=choice)
    assert answer.status_code == 422 and "drive" not in answer.json() and answer.json()["error"] == "no such drive"
    assert answer.json()["faults"] and "Value error" not in answer.text


def test_a_drive_ends_when_its_page_leaves_or_is_not_heard() -> None:
    with server(drive_seconds=0.4) as client:
        left, silent = begin(client), begin(client)
        assert sessions(client) == 2
        assert client.delete(f"/cockpit/drives/{left}").status_code == 200
        assert client.delete(f"/cockpit/drives/{left}").status_code in (200, 404), "twice is no fault"
        kinds = events(client, silent, "end")
        assert kinds[-1][1]["reason"] == "no state came for too long"
        time.sleep(0.1)
        assert sessions(client) == 0
        assert [steer(client, one).status_code for one in (left, silent)] == [404, 404]


def test_cars_are_bounded_as_sessions_are() -> None:
    with server(sessions=2) as client:
        first = [begin(client), begin(client)]
        refused = client.post("/cockpit/drives", json={"course": "起步"})
        assert (refused.status_code, "no more are allowed" in refused.text) == (503, True)
        client.delete(f"/cockpit/drives/{first[0]}")
        time.sleep(0.2)
        begin(client)


def test_a_recorded_drive_is_its_file_and_is_coached_as_the_command_line_does(client: httpx.Client) -> None:
    text = client.get("/cockpit/recorded/stalls").text
    assert text == DRIVES["stalls"].written()
    found = client.post("/cockpit/replay?voice=chatty", content=text).json()
    served = Served(Rules(DRIVING), DRIVING, "strict", Limits())
    from drivecoach.live import read_settings

    records = [read_record(line, DRIVING) for line in text.splitlines()]
    right = replay(
        DRIVING,
        records,
        lambda text, value: served.answer(text, value, lambda: False),
        read_settings({"voice": "chatty"}),
    )
    said = [(event.time, event.speech) for event in right if event.kind == "say"]
    assert [(event["time"], event["speech"]) for event in found["events"] if event["kind"] == "say"] == said
    assert found["states"] == len(records)
    assert client.get("/cockpit/recorded/../../etc").status_code == 404
    assert client.get("/cockpit/recorded/none").status_code == 404


def test_a_file_with_broken_lines_is_played_and_each_is_told(client: httpx.Client) -> None:
    lines = DRIVES["door-open"].written().splitlines()
    found = client.post("/cockpit/replay", content="\n".join([lines[0], "{", "\x00<b>x</b>", *lines[1:9]])).json()
    troubles = [event for event in found["events"] if event["kind"] == "trouble"]
    assert [event["reason"] for event in troubles] == ["no state could be read"] * 2
    assert any(event["kind"] == "say" for event in found["events"])


def test_a_file_that_is_too_large_or_empty_or_has_no_such_voice_is_refused(client: httpx.Client) -> None:
    assert client.post("/cockpit/replay", content="x" * 70_000).status_code == 413
    many = client.post("/cockpit/replay", content="x\n" * 6000)
    assert (many.status_code, "6000 lines" in many.text) == (413, True)
    assert client.post("/cockpit/replay", content=" \n").status_code == 400
    assert client.post("/cockpit/replay?voice=loud", content="x").status_code == 422


def test_a_domain_without_a_simulator_says_so() -> None:
    with server(LAMPS) as client:
        page = client.get("/cockpit")
        assert (page.status_code, LAMPS.name in page.text, "没有驾驶舱" in page.text) == (404, True, True)
        assert client.post("/cockpit/drives", json={}).status_code == 404


def test_the_page_runs_no_code_but_its_own_files(client: httpx.Client) -> None:
    page = client.get("/cockpit")
    assert page.status_code == 200 and page.headers["content-security-policy"].startswith("default-src 'self'")
    assert client.get("/cockpit/static/cockpit.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/cockpit/static/../cockpit.py").status_code == 404


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://evil.example", None, 403),
        ("null", None, 403),
        ("http://localhost:1", None, 403),
        ("http://evil.example", "evil.example", 403),
        (None, "evil.example", 403),
        ("same", None, 201),
    ],
)
def test_pages_of_others_cannot_drive(client: httpx.Client, origin: str | None, host: str | None, status: int) -> None:
    own = str(client.base_url).rstrip("/")
    headers = {} if origin is None else {"origin": own if origin == "same" else origin}
    headers |= {"host": host} if host else {}
    assert client.post("/cockpit/drives", json={"course": "起步"}, headers=headers).status_code == status


def test_a_rebound_name_is_no_page_of_ours_even_where_any_host_may_ask() -> None:
    with server(settings={"any_host": True}) as client:
        evil = {"origin": "http://evil.example", "host": "evil.example"}
        assert client.post("/cockpit/drives", json={"course": "起步"}, headers=evil).status_code == 403
        own = {"origin": "http://192.168.1.7:11434", "host": "192.168.1.7:11434"}
        assert client.post("/cockpit/drives", json={"course": "起步"}, headers=own).status_code == 201


def test_there_is_no_websocket_to_hijack(client: httpx.Client) -> None:
    asked = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "eA==",
    }
    assert client.get("/cockpit", headers=asked).status_code == 200
    assert client.get("/cockpit", headers={**asked, "origin": "http://evil.example"}).status_code == 403
