"""The append-only journal of answers: what a killed run had answered is never asked again.

SQLite, since it survives being killed at any moment, tells a full disk from a torn row, finds an answer among
millions without holding them in memory, and refuses a second writer. Rows are only ever inserted.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any, Self

from drivecoach.errors import StorageError


class Journal:
    """Answers by input, in the file beside an output; ``path`` None keeps them in memory for one run.

    ``belongs``: what must be the same for an answer to be used again (model, domain, guard).
    Raises StorageError when another process holds it, when it belongs to other settings, or when the disk is full.
    """

    def __init__(self, path: Path | None, belongs: dict[str, Any]) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, timeout=0, check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
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
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error
        if found is not None and found[0] != wanted:
            self.close()
            raise StorageError(
                f"{path} holds answers of other settings: {found[0]}, now {wanted}",
                hint=f"choose another output, or ask everything anew: rm {path}",
            )

    def get(self, text: str) -> dict[str, Any] | None:
        """The outcome that was written for an input."""
        with self._lock:
            try:
                row = self._db.execute("SELECT outcome FROM answers WHERE key = ?", (_key(text),)).fetchone()
            except sqlite3.Error as error:
                raise self._failure(error) from error
        return None if row is None else json.loads(row[0])

    def put(self, text: str, outcome: dict[str, Any]) -> None:
        """Write an outcome; it is safe against a kill when this returns."""
        value = json.dumps(outcome, ensure_ascii=False)
        with self._lock:
            try:
                self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (_key(text), value))
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def count(self) -> int:
        """How many answers are in it."""
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, error: Exception) -> StorageError:
        text = str(error)
        if "locked" in text:
            return StorageError(
                f"another process is writing {self._path}", hint="wait for it, or choose another output"
            )
        if "not a database" in text or "malformed" in text:
            return StorageError(f"{self._path} is no journal: {text}", hint=f"move it away: mv {self._path} elsewhere")
        return StorageError(
            f"could not write {self._path}: {text}",
            hint="free disk space, then run the same command again: what was answered is kept",
        )


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
