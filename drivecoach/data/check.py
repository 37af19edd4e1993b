"""Checking pairs: every malformed, unknown, duplicate or conflicting row of a file, with its number.

The rows are read twice: first to note on disk which of them hold one input, then to judge each in its order. So the
memory does not grow with the file.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from drivecoach.chat import Message
from drivecoach.chat.family import ANY_CONTROL
from drivecoach.chat.template import refuse_control_tokens, split
from drivecoach.config import SourceConfig
from drivecoach.data.columns import Columns
from drivecoach.data.formats import TABLE, Example, Malformed, read_example, renamed
from drivecoach.data.record import Row
from drivecoach.data.sources import open_source
from drivecoach.domain import AnyDomain
from drivecoach.errors import Fault, InputError
from drivecoach.progress import Task, progress
from drivecoach.text import digest, escaped


@dataclass(frozen=True)
class Pair:
    """One accepted training pair: the canonical input and the output with its reasoning."""

    row: int
    input: str
    output: str
    history: Sequence[Message] = ()
    """The turns before the input, a system message of the row's own first."""
    source: str = ""
    """Which of several sources the row is from."""

    @property
    def key(self) -> str:
        """What makes two pairs the same question: the input and all that stands before it."""
        if not self.history:
            return self.input
        return json.dumps([[turn["role"], turn["content"]] for turn in self.history], ensure_ascii=False) + self.input

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"{self.source} row {self.row}".strip()

    def to_json(self) -> dict[str, object]:
        """The pair as JSONL keeps it; what is empty is left out."""
        return {name: value for name, value in vars(self).items() if value != "" and value != ()}


@dataclass(frozen=True)
class Refusal:
    """One row that was not accepted, and why."""

    row: int
    kind: str
    """``malformed``, ``input``, ``output``, ``duplicate`` or ``conflict``."""
    reason: str
    value: object
    source: str = ""
    fields: tuple[str, ...] = ()
    """The fields of the row that are at fault, where that is known."""

    def to_json(self) -> dict[str, object]:
        """The row of a rejects file: number, kind, reason, and the row as it was."""
        named = {"source": self.source} if self.source else {}
        return {**named, "row": self.row, "kind": self.kind, "reason": self.reason, "value": self.value}


@dataclass(frozen=True)
class Accepted:
    """One row that was accepted."""

    pair: Pair
    labels: dict[str, str]
    """What statistics count."""
    warning: Refusal | None
    """Set where the answer breaks an invariant of the domain."""


@dataclass
class Report:
    """What a check found. ``warnings`` are rows that were accepted although they break an invariant."""

    pairs: list[Pair] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """For every label of the domain (feature, level, …) how many accepted pairs have each value."""


@dataclass(frozen=True)
class _Read:
    """A row that is well formed on its own: parsed, but not yet compared with the others."""

    pair: Pair
    state: Any
    answer: Any
    canonical: str
    """The answer's one text: two answers are the same when these are."""
    value: object


def check(path: Path, domain: AnyDomain) -> Report:
    """Read every row of the file ``path`` and sort it into accepted, refused and warned; see `scan`."""
    report = Report()
    for verdict in scan([SourceConfig(path=str(path))], domain):
        if isinstance(verdict, Refusal):
            report.refusals.append(verdict)
            continue
        report.pairs.append(verdict.pair)
        if verdict.warning:
            report.warnings.append(verdict.warning)
        for label, value in verdict.labels.items():
            report.counts.setdefault(label, Counter())[value] += 1
    return report


def scan(
    sources: Sequence[SourceConfig], domain: AnyDomain, control: re.Pattern[str] = ANY_CONTROL
) -> Iterator[Accepted | Refusal]:
    """Judge every row of ``sources``, in order, in memory that does not grow with them.

    A conflict is one input with different answers; since nothing says which is right, all its rows are refused.
    A duplicate is one input with the same answer again; the first row stays. ``control`` is what the model to be
    trained reads as control tokens. Raises DataError when a file is no data file at all.
    """
    with (
        TemporaryDirectory(prefix="drivecoach-") as folder,
        _Repeats(Path(folder) / "rows.sqlite") as repeats,
        progress("data", unit="row") as task,
    ):
        repeats.note(read for read in _reads(sources, domain, control, task) if isinstance(read, _Read))
        found = repeats.find()
        position, repeat = -1, next(found, None)
        task.begin(0, task.done)  # the rows are known now, and read once more
        for read in _reads(sources, domain, control, task):
            if isinstance(read, Refusal):
                yield read
                continue
            position += 1
            if repeat is None or repeat[0] != position:
                yield _accept(read, domain)
                continue
            _, kind, reason = repeat
            repeat = next(found, None)
            if kind == "first":
                yield _accept(read, domain)
            else:
                yield Refusal(read.pair.row, kind, reason, read.value, read.pair.source)


class _Repeats:
    """Which rows hold one input, noted on disk."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY, input BLOB, answer BLOB, place TEXT)")

    def __enter__(self) -> _Repeats:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def note(self, reads: Iterable[_Read]) -> None:
        """Keep a digest of every row's input and answer."""
        self._file.executemany(
            "INSERT INTO seen VALUES (?, ?, ?, ?)",
            (
                (position, digest(read.pair.key), digest(read.canonical), _short_place(read.pair))
                for position, read in enumerate(reads)
            ),
        )
        self._file.execute("CREATE INDEX by_input ON seen (input)")

    def find(self) -> Iterator[tuple[int, str, str]]:
        """The position, kind and reason of every row whose input stands more than once, in order of position."""
        with closing(
            self._file.execute(
                """
                WITH many AS (
                    SELECT input, MIN(position) AS first, COUNT(DISTINCT answer) AS answers,
                           SUBSTR(GROUP_CONCAT(place, ', '), 1, 120) AS places
                    FROM (SELECT * FROM seen ORDER BY input, position)
                    GROUP BY input HAVING COUNT(*) > 1
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


def _reads(
    sources: Sequence[SourceConfig], domain: AnyDomain, control: re.Pattern[str], task: Task
) -> Iterator[_Read | Refusal]:
    table = Columns(domain)
    for source in sources:
        name = source.label if len(sources) > 1 else ""
        for row in open_source(source, table):
            task.advance()
            yield _read(row, source, name, table, control)


def _read(row: Row, source: SourceConfig, name: str, table: Columns, control: re.Pattern[str]) -> _Read | Refusal:
    domain = table.domain
    try:
        if row.problem:
            raise Malformed(row.problem)
        example = example_of(row.value, source, table)
    except Malformed as error:
        return Refusal(row.number, "malformed", str(error), row.value, name)
    kind = "input"
    try:
        for turn in example.history:
            refuse_control_tokens(turn["role"], turn["content"], control)
        refuse_control_tokens("input", example.input, control)
        state = domain.read_input(example.input)
        kind = "output"
        parts = split(example.output)
        refuse_control_tokens("output", parts.thinking + parts.text, control)
        answer = domain.read_answer(parts.text)
    except InputError as error:
        fields = tuple(dict.fromkeys(re.split(r"[.[]", fault.where)[0] for fault in error.faults))
        return Refusal(row.number, kind, _one_line(error), row.value, name, fields)
    pair = Pair(row.number, domain.write_input(state), example.output, example.history, name)
    return _Read(pair, state, answer, domain.write_answer(answer), row.value)


def example_of(value: object, source: SourceConfig, table: Columns) -> Example:
    """The record ``value`` of ``source``, in whatever form it is written. Raises Malformed for what has none."""
    if isinstance(value, dict) and (source.format == TABLE or (source.format == "auto" and not table.is_plain)):
        row = renamed(value, source.columns)
        if source.format == TABLE or table.fit(row):
            return table.example(row)
    return read_example(value, source.format, source.columns)


def _accept(read: _Read, domain: AnyDomain) -> Accepted:
    broken = "; ".join(str(item) for item in domain.violations(read.state, read.answer))
    pair = read.pair
    warning = Refusal(pair.row, "invariant", broken, read.value, pair.source) if broken else None
    return Accepted(pair, domain.describe(read.state, read.answer), warning)


def json_line(value: object) -> str:
    """One line of JSONL; half a surrogate pair, which UTF-8 cannot hold, stays the escape that it was in JSON."""
    return escaped(json.dumps(value, ensure_ascii=False, default=str)) + "\n"


def _short_place(pair: Pair) -> str:
    return f"{pair.source} {pair.row}".strip()


def _one_line(error: InputError) -> str:
    faults: list[Fault | str] = [*error.faults] or [error.message]
    return "; ".join(str(fault) for fault in faults)
