"""Progress without a terminal: lines of one form, now and then, also while a single step takes long."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach import progress as module
from drivecoach.progress import duration, progress


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are not held back for a second."""
    monkeypatch.setattr(module, "_SHORTEST", 0.0)


def test_a_line_each_twentieth_with_facts_and_time_left(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", unit="step") as task:
        task.begin(100, 1100)
        for step in range(101, 1101):
            task.update(step, loss="0.114", exact="93.1%") if step == 150 else task.update(step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 18, "a twentieth of the whole is 55 steps"
    assert re.fullmatch(r"train: step 155/1100, loss 0\.114, exact 93\.1%, \d+ s left", lines[0]), lines[0]
    assert lines[-1].startswith("train: step 1090/1100, ")


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("data", 100, unit="row") as task:
        for _ in range(100):
            task.advance()
    assert capsys.readouterr() == ("", "")


def test_one_long_step_is_not_silent(
    at_once: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LINE_SECONDS", 0.05)
    said, limit = "", time.monotonic() + 60
    with progress("export: merge"):
        while not said and time.monotonic() < limit:
            time.sleep(0.01)
            said = capsys.readouterr().err
    said += capsys.readouterr().err
    assert said and all(re.fullmatch(r"export: merge: \d+ s so far", line) for line in said.splitlines())
    time.sleep(0.15)
    assert capsys.readouterr().err == "", "nothing is said once the work has ended"


def test_on_a_terminal_there_is_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress("train", 2, unit="step") as task:
        task.update(2, loss="0.5")
    shown = screen.getvalue()
    assert "2/2" in shown and "loss 0.5" in shown and shown.endswith("\x1b[2K")


def test_what_is_not_to_be_shown_is_not(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", 2, shown=False) as task:
        task.update(2)
    assert capsys.readouterr() == ("", "")


@given(st.floats(0, 1e7))
def test_a_duration_is_about_right(seconds: float) -> None:
    number, unit = duration(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600}[unit]
    assert abs(float(number) * size - seconds) <= size / 2 + 1e-6
