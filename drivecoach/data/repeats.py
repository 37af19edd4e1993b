"""Which rows of a file hold one input: their digests noted on disk, so that memory does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path


class Repeats:
    """Which rows hold one input, noted on disk."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._file = sqlite3.connect(path)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY, input BLOB, answer BLOB, place)")

    def __enter__(self) -> Repeats:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, rows: Iterable[tuple[int, bytes, bytes, str | int]]) -> None:
        """Keep of every row its position, digests of its input and of its answer, and where messages say it stands."""
        self._file.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", rows)

    def find(self) -> Iterator[tuple[int, str, str]]:
        """The position, kind and reason of every row whose input stands more than once, in order of position."""
        self._file.execute("CREATE INDEX by_input ON seen (input)")
        with closing(
            self._file.execute(
                """
                WITH twice AS (SELECT input FROM seen GROUP BY input HAVING COUNT(*) > 1),
                many AS (
                    SELECT input, MIN(position) AS first, COUNT(DISTINCT answer) AS answers,
                           SUBSTR(GROUP_CONCAT(place, ', '), 1, 120) AS places
                    FROM (SELECT seen.* FROM twice JOIN seen USING (input) ORDER BY seen.input, seen.position)
                    GROUP BY input
                )
                SELECT seen.position, many.first, many.answers, many.places, head.place
                FROM many JOIN seen USING (input) JOIN seen AS head ON head.position = many.first
                ORDER BY seen.position
                """
            )
        ) as found:
            for position, first, answers, places, head in found:
                if answers > 1:
                    yield position, "conflict", f"one input, different answers in rows {places}"
                elif position == first:
                    yield position, "first", ""
                else:
                    yield position, "duplicate", f"the same pair as row {head}"
