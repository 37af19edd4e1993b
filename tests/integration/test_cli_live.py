"""`drivecoach live`: a file or a pipe in, decisions out; drives scored; what is wrong is told and nothing ends."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest

from drivecoach.domains.driving import DRIVING
from tests.support.command import Run, refused

ROOT = Path(__file__).parents[2]
DRIVE = ROOT / "datasets/drives/door-open.jsonl"
STATES = [json.loads(line)["state"] for line in DRIVE.read_text(encoding="utf-8").splitlines()]
MOVING = next(line for line in STATES if "停车！" in DRIVING.teach(DRIVING.read_input(line)).speech)
RULES = ("--model", "rules")


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


def test_a_drive_as_lines_for_people_and_for_machines(run: Run) -> None:
    shown = run("live", DRIVE, *RULES, "--speed", "max")
    assert shown.code == 0 and "SAY     危险 停车！车门没关，停稳把门关好  (interrupts)" in shown.out
    assert "[the state has not stood long enough]" in shown.out
    told = [json.loads(line) for line in run("live", DRIVE, *RULES, "--speed", "max", "--json").out.splitlines()]
    assert [event["number"] for event in told] == list(range(1, len(told) + 1))
    assert len(told) == len(shown.out.splitlines())
    assert all(event["answer"]["话术"] == event["speech"] for event in told if event["kind"] == "say")


def test_plain_lines_from_a_pipe_are_a_tenth_of_a_second_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\ufeff" + "\n".join([MOVING] * 50) + "\n\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    ended = run("live", *RULES, "--json", "--set", "danger_rest=1")
    says = [event["time"] for event in map(json.loads, ended.out.splitlines()) if event["kind"] == "say"]
    assert says == [0.0, 3.8]


def test_broken_lines_are_told_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    file = write(
        tmp_path / "s.jsonl", "{", b"\xff\xfe", "[" * 100_000, "x" * 3_000_000, '{"time": NaN, "state": 3}', "null",
        '{"time": -1, "state": {}}', json.dumps({"time": 5, "state": MOVING}), json.dumps({"time": 1, "state": MOVING}),
        "\x1b[31m",
    )  # fmt: skip
    ended = run("live", file, *RULES, "--speed", "max")
    assert ended.code == 0 and ended.err == ""
    assert ended.out.count("no state could be read") == 8
    assert ended.out.count("the clock of the states was set back") == 1
    assert ended.out.count("SAY     危险") == 1 and "\x1b" not in ended.out
    assert max(map(len, ended.out.splitlines())) < 700


def test_ten_thousand_states_at_once(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "s.jsonl", *(json.dumps({"time": 1, "state": MOVING}) for _ in range(10_000)))
    assert run("live", file, *RULES, "--speed", "max").out.count("SAY") == 1


def test_speed_and_voice(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "s.jsonl", *(json.dumps({"time": 100 + n, "state": STATES[0]}) for n in range(3)))
    start = time.monotonic()
    assert "SAY" in run("live", file, *RULES, "--speed", "4").out
    assert time.monotonic() - start >= 0.5  # two seconds, four times as fast
    assert "SAY" not in run("live", file, *RULES, "--speed", "max", "--voice", "essential").out


def test_drives_are_scored(run: Run, tmp_path: Path) -> None:
    ended = run("live", "--score", DRIVE, ROOT / "datasets/drives/crossing.jsonl", *RULES, "--json")
    door, crossing, all = json.loads(ended.out)
    assert ended.code == 0
    assert (door["drive"], door["dangers"], door["missed"], door["danger_delay"]) == ("door-open", 1, 0, 0.0)
    assert all["said"] == door["said"] + crossing["said"] and all["drive"] == "all"
    alone = run("live", "--score", ROOT / "datasets/drives/crossing.jsonl", *RULES).out
    assert "| crossing |" in alone and "| all |" not in alone


def test_a_missed_danger_is_a_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.live import score

    real = score.score_drives
    missed = {"missed": 1}
    monkeypatch.setattr(score, "score_drives", lambda *given: [one.model_copy(update=missed) for one in real(*given)])
    assert run("live", "--score", DRIVE, *RULES).code == 1


def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path) -> None:
    refused(run("live", tmp_path / "none.jsonl", *RULES), "none.jsonl")
    refused(run("live", "--score", write(tmp_path / "empty.jsonl", "oops"), *RULES), "holds no state")
    refused(run("live", DRIVE, *RULES, "--set", "loud=1"), "loud", "danger_rest")
    refused(run("live", DRIVE, "--model", "rules", "--domain", "text"), "no teacher")
    for words in (["--speed", "0"], ["--speed", "fast"], ["--set", "rest"], ["--guard", "maybe"], [DRIVE]):
        assert run("live", DRIVE, *RULES, *words).code == 2, words
