"""The command line in the test's own process: the fixture `run`, how a command ended, what every refusal looks like."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivecoach.cli import main


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line as the console script calls it, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def called(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["drivecoach", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            main()
        return Result(int(ending.value.code or 0), *capsys.readouterr())

    return called


def refused(result: Result, *said: str) -> None:
    """Exit 1, the fault and its hint on stderr, no traceback."""
    assert result.code == 1 and "error:" in result.err and "hint:" in result.err, result
    assert result.err.split("hint:")[1].strip() and "Traceback" not in result.err
    for text in said:
        assert text in result.err, (text, result.err)
