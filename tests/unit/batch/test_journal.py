"""The journal: what stands in it is used again, what cannot be read in it is said and left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from drivecoach.batch.journal import Journal
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import StorageError
from drivecoach.infer import Outcome
from tests.support.driving import lines

(LINE,) = lines(1)
ANSWER = DRIVING.teach(DRIVING.read_input(LINE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that holds one answer."""
    found = tmp_path / "o.jsonl.journal"
    with Journal(found, DRIVING, {"model": "m"}) as journal:
        journal.put([(LINE, Outcome(1, LINE, "valid", ANSWER))])
    return found


def changed(path: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(path) as database:
        database.execute(statement, values)
    database.close()


def test_an_answer_comes_back(path: Path) -> None:
    with Journal(path, DRIVING, {"model": "m"}) as journal:
        assert journal.count() == 1
        found = journal.get(LINE)
        assert found is not None and found.answer == ANSWER
        assert journal.get("another") is None


@pytest.mark.parametrize(
    "row",
    [
        "no json", "", "null", "[]", "7", "{}", "[" * 100_000, b"\xff\xfe", 7,
        '{"input": "x", "status": "fine", "answer": null, "violations": [], "thinking": "", "reason": "", '
        '"source": "", "seconds": 0}',
        '{"input": "x", "status": "valid", "answer": {"动作": "走"}, "violations": [], "thinking": "", "reason": "", '
        '"source": "", "seconds": 0}',
    ],
)  # fmt: skip
def test_a_row_that_is_no_answer_is_an_error_that_says_which_file(path: Path, row: object) -> None:
    changed(path, "UPDATE answers SET outcome = ?", row)
    with Journal(path, DRIVING, {"model": "m"}) as journal, pytest.raises(StorageError) as caught:
        journal.get(LINE)
    assert "is no journal" in caught.value.message
    assert str(path) in caught.value.message and f"mv {path}" in caught.value.hint


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE answers RENAME COLUMN outcome TO other", "ALTER TABLE answers RENAME TO letters"],
)
def test_another_database_is_left_as_it_is(path: Path, statement: str) -> None:
    changed(path, statement)
    before = path.read_bytes()
    with pytest.raises(StorageError) as caught, Journal(path, DRIVING, {"model": "m"}) as journal:
        journal.get(LINE)
    assert "is no journal" in caught.value.message
    assert "disk space" not in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 500])
def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o.jsonl.journal"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is no journal"):
        Journal(path, DRIVING, {})
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="could not write") as caught:
        Journal(tmp_path / "file/o.journal", DRIVING, {})
    assert "a file stands where a folder is wanted" in caught.value.hint
    (tmp_path / "o.journal").mkdir()
    with pytest.raises(StorageError) as caught:
        Journal(tmp_path / "o.journal", DRIVING, {})
    assert "disk space" not in caught.value.hint
