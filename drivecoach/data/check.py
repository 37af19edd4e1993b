"""Checking pairs: every malformed, unknown, duplicate or conflicting row of a file, with its number.

The rows are read twice: first to note on disk which of them hold one input, then to judge each in its order. So the
memory does not grow with the file. Where the pairs themselves are not asked for, `survey` reads a large file once.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
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
from drivecoach.data.repeats import Repeats
from drivecoach.data.sources import open_source
from drivecoach.domain import AnyDomain
from drivecoach.errors import Fault, InputError
from drivecoach.progress import Task, progress
from drivecoach.text import digest, escaped

INVARIANT = "invariant"
"""The kind of a warning: the answer breaks an invariant of the domain."""
_KEPT = 8192
"""Of inputs and answers that were read: files repeat them. Free text is not kept."""
_TOLD = 64
"""Rows between two reports of progress."""


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
        return _key(self.input, self.history)

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
    state: Any
    answer: Any
    """The input and the answer as the domain reads them."""
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


@dataclass(slots=True)
class Read:
    """A row that is well formed on its own: parsed, but not yet compared with the others."""

    row: int
    input: str
    output: str
    history: tuple[Message, ...]
    source: str
    state: Any
    answer: Any
    said: bytes
    """A digest of the answer's one text: two answers are the same when these are."""
    value: object

    @property
    def key(self) -> bytes:
        """A digest of what makes two rows the same question."""
        return digest(_key(self.input, self.history))

    def warning(self, domain: AnyDomain) -> Refusal | None:
        """What is said of an answer that breaks an invariant."""
        broken = domain.violations(self.state, self.answer)
        if not broken:
            return None
        return Refusal(self.row, INVARIANT, "; ".join(map(str, broken)), self.value, self.source)


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
        for label, value in domain.describe(verdict.state, verdict.answer).items():
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
        Repeats(Path(folder) / "rows.sqlite") as repeats,
        progress("data", unit="row") as task,
    ):
        reads = (read for read in _reads(sources, domain, control, task) if isinstance(read, Read))
        repeats.note((place, read.key, read.said, _place(read)) for place, read in enumerate(reads))
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
                yield Refusal(read.row, kind, reason, read.value, read.source)


def _reads(
    sources: Sequence[SourceConfig], domain: AnyDomain, control: re.Pattern[str], task: Task
) -> Iterator[Read | Refusal]:
    table = Columns(domain)
    for source in sources:
        judge = Judge(source, source.label if len(sources) > 1 else "", table, control)
        count = 0
        for count, row in enumerate(open_source(source, table), start=1):
            if not count % _TOLD:
                task.advance(_TOLD)
            yield judge(row)
        task.advance(count % _TOLD)


class Judge:
    """Reads rows of one source, each on its own. Texts that it met lately are not read again."""

    def __init__(self, source: SourceConfig, name: str, table: Columns, control: re.Pattern[str]) -> None:
        self._source, self._name, self._table, self._control = source, name, table, control
        self.domain = domain = table.domain
        keep = lru_cache(maxsize=_KEPT)
        self._input = self._read_input if domain.input.node.kind == "text" else keep(self._read_input)
        self._answer = self._read_answer if domain.answer.node.kind == "text" else keep(self._read_answer)

    def __call__(self, row: Row) -> Read | Refusal:
        """The row as it was read, or every fault that it has on its own."""
        number, value, problem = row
        try:
            if problem:
                raise Malformed(problem)
            text, output, history = example_of(value, self._source, self._table)
        except Malformed as error:
            return Refusal(number, "malformed", str(error), value, self._name)
        kind = "input"
        try:
            for turn in history:
                refuse_control_tokens(turn["role"], turn["content"], self._control)
            state, canonical = self._input(text)
            kind = "output"
            parts = split(output)
            refuse_control_tokens("output", parts.thinking + parts.text, self._control)
            answer, said = self._answer(parts.text)
        except InputError as error:
            fields = tuple(dict.fromkeys(re.split(r"[.[]", fault.where)[0] for fault in error.faults))
            return Refusal(number, kind, _one_line(error), value, self._name, fields)
        return Read(number, canonical, output, history, self._name, state, answer, said, value)

    def _read_input(self, text: str) -> tuple[Any, str]:
        refuse_control_tokens("input", text, self._control)
        state = self.domain.read_input(text)
        return state, self.domain.write_input(state)

    def _read_answer(self, text: str) -> tuple[Any, bytes]:
        answer = self.domain.read_answer(text)
        return answer, digest(self.domain.write_answer(answer))


def example_of(value: object, source: SourceConfig, table: Columns) -> Example:
    """The record ``value`` of ``source``, in whatever form it is written. Raises Malformed for what has none."""
    if isinstance(value, dict) and (source.format == TABLE or (source.format == "auto" and not table.is_plain)):
        row = renamed(value, source.columns) if source.columns else value
        if source.format == TABLE or table.fit(row):
            return table.example(row)
    return read_example(value, source.format, source.columns)


def _accept(read: Read, domain: AnyDomain) -> Accepted:
    pair = Pair(read.row, read.input, read.output, read.history, read.source)
    return Accepted(pair, read.state, read.answer, read.warning(domain))


def json_line(value: object) -> str:
    """One line of JSONL; half a surrogate pair, which UTF-8 cannot hold, stays the escape that it was in JSON."""
    return escaped(json.dumps(value, ensure_ascii=False, default=str)) + "\n"


def _key(text: str, history: Sequence[Message]) -> str:
    """What makes two pairs the same question: the input and all that stands before it."""
    if not history:
        return text
    turns = ", ".join(f'["{turn["role"]}", {encode_basestring(turn["content"])}]' for turn in history)
    return f"[{turns}]{text}"  # as JSON writes it, in a fraction of the time


def _place(read: Read) -> str | int:
    return f"{read.source} {read.row}" if read.source else read.row


def _one_line(error: InputError) -> str:
    faults: list[Fault | str] = [*error.faults] or [error.message]
    return "; ".join(str(fault) for fault in faults)
