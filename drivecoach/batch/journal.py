"""The append-only journal of answers: what a killed run had answered is never asked again.

SQLite, since it survives being killed at any moment, tells a full disk from a torn row, finds an answer among
millions without holding them in memory, and refuses a second writer. Rows are only ever inserted.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Self

from pydantic import BaseModel, JsonValue

from drivecoach.domain import Domain, Violation
from drivecoach.errors import InputError, StorageError, first_line
from drivecoach.files import cannot_write
from drivecoach.infer import Answer, Input, Outcome, Status
from drivecoach.text import digest

_OTHER_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('settings', 'answers')"


class _Kept(BaseModel):
    """An outcome as the journal holds it."""

    input: str
    status: Status
    answer: JsonValue
    violations: list[tuple[str, str]]
    thinking: str
    reason: str
    source: str
    seconds: float


class Journal(Generic[Input, Answer]):
    """Outcomes by question, in the file beside an output; ``path`` None keeps them in memory for one run.

    ``belongs``: what must be the same for an answer to be used again (model, domain, guard).
    Raises StorageError when another process holds it, when it belongs to other settings, or when the disk is full.
    """

    def __init__(self, path: Path | None, domain: Domain[Input, Answer], belongs: Mapping[str, JsonValue]) -> None:
        self._path = path
        self._domain = domain
        self._lock = threading.Lock()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, timeout=0, check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            if other := self._db.execute(_OTHER_TABLES).fetchone():
                self._db.close()
                raise self._foreign(f"it is a database with a table {other[0]}")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA cache_size=-16384")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("CREATE TABLE IF NOT EXISTS settings (belongs TEXT NOT NULL)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID"
            )
            wanted = json.dumps(belongs, sort_keys=True)
            if self._db.execute("SELECT 1 FROM answers").fetchone() is None:  # a run that never got an answer
                self._db.execute("DELETE FROM settings")
            found = self._db.execute("SELECT belongs FROM settings").fetchone()
            if found is None:
                self._db.execute("INSERT INTO settings VALUES (?)", (wanted,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from error
        if found is not None and found[0] != wanted:
            self.close()
            raise StorageError(
                f"{path} holds answers of other settings: {found[0]}, now {wanted}",
                hint=f"choose another output, or ask everything anew: rm {path}",
            )

    def get(self, key: str) -> Outcome[Answer] | None:
        """The outcome that was written for a question."""
        row = self._execute("SELECT outcome FROM answers WHERE key = ?", digest(key))
        if row is None:
            return None
        try:
            kept = _Kept.model_validate_json(row[0])
            answer = None if kept.answer is None else self._domain.answer.parse(kept.answer)
        except (ValueError, InputError) as error:
            raise self._foreign(f"a row is no answer ({first_line(error)})") from error
        return Outcome(
            row=0,
            input=kept.input,
            status=kept.status,
            answer=answer,
            violations=tuple(Violation(id, text) for id, text in kept.violations),
            thinking=kept.thinking,
            reason=kept.reason,
            source=kept.source,
            seconds=kept.seconds,
        )

    def put(self, outcomes: Iterable[tuple[str, Outcome[Answer]]]) -> None:
        """Write outcomes, each with its question; they are safe against a kill when this returns."""
        rows = [(digest(key), self._text(outcome)) for key, outcome in outcomes]
        if not rows:
            return
        with self._lock:
            try:
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise self._failure(error) from error

    def _text(self, outcome: Outcome[Answer]) -> str:
        return _Kept(
            input=outcome.input,
            status=outcome.status,
            answer=None if outcome.answer is None else self._domain.answer.dump(outcome.answer),
            violations=[(violation.id, violation.text) for violation in outcome.violations],
            thinking=outcome.thinking,
            reason=outcome.reason,
            source=outcome.source,
            seconds=outcome.seconds,
        ).model_dump_json()

    def count(self) -> int:
        """How many answers are in it."""
        return int(self._execute("SELECT count(*) FROM answers")[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, statement: str, *values: bytes | str) -> Any:
        """Run a statement, one thread at a time; its first row, if it has one."""
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchone()
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _foreign(self, why: str) -> StorageError:
        return StorageError(f"{self._path} is no journal: {why}", hint=f"move it away: mv {self._path} elsewhere")

    def _failure(self, error: sqlite3.Error) -> StorageError:
        text = str(error)
        if "locked" in text:
            return StorageError(
                f"another process is writing {self._path}", hint="wait for it, or choose another output"
            )
        if "full" in text or "disk I/O" in text:
            hint = "free disk space, then run the same command again: what was answered is kept"
        elif "unable to open" in text or "readonly" in text:
            hint = "choose an output in a folder you may write to"
        else:
            return self._foreign(text)
        return StorageError(f"could not write {self._path}: {text}", hint=hint)
