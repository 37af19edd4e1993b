"""Tables at 80 columns: lines are broken between words, and nothing is cut away."""

from __future__ import annotations

import pytest

from drivecoach.cli import show


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def cells(shown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]


def test_words_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    value = "answer 99.87%, 动作 99.87%, 级别 99.87%, 话术 99.87%, safe 100.00%, valid by schema 100.00%"
    name = "refused rows that were written to"
    show.table("t", {name: value})
    shown = capsys.readouterr().out
    rows = cells(shown)
    assert len(rows) == 2 and max(map(len, shown.splitlines())) <= 80
    assert [" ".join(part for part in column if part) for column in zip(*rows, strict=True)] == [name, value]


@pytest.mark.parametrize("word", ["/a/long/path" * 12, "车" * 100])
def test_a_word_longer_than_its_column_is_folded_not_cut(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.table("t", {"written to": word, "[bold]": "[/red]"})
    rows = cells(capsys.readouterr().out)
    assert "".join(row[1] for row in rows[:-1]) == word
    assert rows[-1] == ["[bold]", "[/red]"], "brackets are no markup"
