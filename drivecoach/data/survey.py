"""Checking a large JSONL file on all cores: every row is read once, in chunks; what comes out is what `scan` finds.

The accepted pairs are counted and not kept, so that what passes between the processes is small: digests, by which rows
are compared, and the rows that are refused.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from typing import TypeAlias

from drivecoach.chat.family import ANY_CONTROL
from drivecoach.config import SourceConfig
from drivecoach.data.check import Accepted, Judge, Pair, Read, Refusal, scan
from drivecoach.data.columns import Columns
from drivecoach.data.read import json_row, numbered
from drivecoach.data.record import check_file, check_utf8, reading
from drivecoach.data.repeats import Repeats
from drivecoach.data.tables import TABLES
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.progress import progress

_LEAST = 16 << 20
"""Bytes of a file that is worth the start of processes (and that is no single JSON object, see `read`)."""
_CHUNK = 4 << 20
_MOST = 6
"""Processes: comparing the rows takes a sixth of the time that reading them does, and one process does it."""
_HEAD = 1 << 16

_Place: TypeAlias = tuple[int, int]
"""Where a chunk begins and ends in the file."""


@dataclass
class _Chunk:
    """What is known of the rows of a chunk on their own; rows are numbered from its first line."""

    lines: int = 0
    rows: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """Of every row that is well formed: its number, digests of its input and of its answer."""
    said: list[Refusal] = field(default_factory=list)
    """Refused rows and warnings, in the order of the rows; their value is the line that is still to be parsed."""


def survey(
    source: SourceConfig, domain: AnyDomain, keep: Callable[[Pair], object] | None = None
) -> Iterator[Refusal | int]:
    """What `scan` finds in one source, but of the accepted rows only how many there are; ``keep`` is given their pairs.

    In the order of the rows: those refused and warnings (of the kind ``invariant``); before them, now and then, a
    number of accepted rows. Raises DataError when the file is no data file at all.
    """
    path = Path(source.path)
    if keep or source.source != "local" or not _is_large_jsonl(path):
        for verdict in scan([source], domain):
            if isinstance(verdict, Accepted):
                if keep:
                    keep(verdict.pair)
                yield 1
                if verdict.warning:
                    yield verdict.warning
            else:
                yield verdict
        return
    with ExitStack() as stack:
        stack.enter_context(reading(path))
        judge = Judge(source, "", Columns(domain), ANY_CONTROL)
        chunks = stack.enter_context(_judged(path, judge))
        folder = stack.enter_context(TemporaryDirectory(prefix="drivecoach-"))
        repeats = stack.enter_context(Repeats(Path(folder) / "rows.sqlite"))
        spool = stack.enter_context(TemporaryFile(prefix="drivecoach-"))
        task = stack.enter_context(progress("data", unit="row"))
        first, places = 1, list[tuple[_Place, int, int, int]]()
        for place, chunk in chunks:
            repeats.note((first + number, key, said, first + number) for number, key, said in chunk.rows)
            pickle.dump([replace(said, row=first + said.row) for said in chunk.said], spool)
            places.append((place, first, len(chunk.rows), first + chunk.lines))
            task.advance(len(chunk.rows))
            first += chunk.lines
        spool.seek(0)
        found = repeats.find()
        repeat = next(found, None)
        for place, first, rows, end in places:
            others = dict[int, tuple[str, str]]()
            while repeat is not None and repeat[0] < end:
                position, kind, reason = repeat
                if kind != "first":
                    others[position] = kind, reason
                repeat = next(found, None)
            said: list[Refusal] = pickle.load(spool)  # noqa: S301  # written above
            own = [replace(one, value=_value(one.value)) for one in said if one.row not in others]
            yield rows - len(others)
            if others:
                own = sorted([*own, *_refused(path, place, first, others)], key=lambda one: one.row)
            yield from own


def _is_large_jsonl(path: Path) -> bool:
    """Whether a file is read line by line, and large; all others are for `scan`."""
    check_file(path)
    if path.suffix.lower() in TABLES or path.stat().st_size <= _LEAST:
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        head = stream.read(_HEAD).lstrip()
    return head[:1] not in ("", "[")


def _refused(path: Path, place: _Place, first: int, others: Mapping[int, tuple[str, str]]) -> Iterator[Refusal]:
    """The rows of a chunk that are refused because of other rows."""
    for number, line in enumerate(_open(path, place), start=first):
        if number in others:
            yield Refusal(number, *others[number], _value(line.rstrip("\r\n")))


def _value(line: object) -> object:
    return json_row(0, str(line)).value


def _open(path: Path, place: _Place) -> io.StringIO:
    start, end = place
    with path.open("rb") as stream:
        stream.seek(start)
        return io.StringIO(stream.read(end - start).decode("utf-8" if start else "utf-8-sig"), newline="")


def _judge(path: Path, place: _Place, judge: Judge) -> _Chunk:
    lines = list(_open(path, place))
    chunk = _Chunk(len(lines))
    for number, line in numbered(lines, 0):
        read = judge(json_row(number, line))
        if isinstance(read, Read):
            chunk.rows.append((number, read.key, read.said))
        if said := read if isinstance(read, Refusal) else read.warning(judge.domain):
            chunk.said.append(replace(said, value=line))
    return chunk


def _places(path: Path) -> Iterator[_Place]:
    """The file in chunks of whole lines."""
    start = 0
    size = path.stat().st_size
    with path.open("rb") as stream:
        while start < size:
            stream.seek(start + _CHUNK)
            stream.readline()
            end = min(stream.tell(), size)
            yield start, end
            start = end


@contextmanager
def _judged(path: Path, judge: Judge) -> Iterator[Iterator[tuple[_Place, _Chunk]]]:
    """Every chunk in its order, judged by one process a core where a process can be forked.

    A domain that a person wrote in a file cannot be sent to another process: after a fork it is there.
    """
    cores = min(_MOST, len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1
    if cores == 1:
        yield _sound(path, ((place, _judge(path, place, judge)) for place in _places(path)))
        return
    pool = ProcessPoolExecutor(cores, get_context("fork"), _begin, (path, judge))
    try:
        places = _places(path)
        ahead = deque((place, pool.submit(_judge_here, place)) for place in islice(places, cores + 2))
        yield _sound(path, _in_order(pool, places, ahead))
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, places: Iterator[_Place], ahead: deque[tuple[_Place, Future[_Chunk]]]
) -> Iterator[tuple[_Place, _Chunk]]:
    """The chunks of ``ahead`` and of the other ``places``, of which only a few are under way at a time."""
    while ahead:
        place, future = ahead.popleft()
        yield place, future.result()
        if following := next(places, None):
            ahead.append((following, pool.submit(_judge_here, following)))


def _sound(path: Path, chunks: Iterator[tuple[_Place, _Chunk]]) -> Iterator[tuple[_Place, _Chunk]]:
    try:
        yield from chunks
    except UnicodeDecodeError:
        check_utf8(path)  # says where, in the whole file
        raise
    except BrokenProcessPool:
        raise DataError(
            f"a process that read {path} was killed", hint="free memory, then run the same command again"
        ) from None


_here: tuple[Path, Judge]
"""In a process of its own: what it was forked to do."""


def _begin(path: Path, judge: Judge) -> None:
    global _here
    _here = path, judge
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _judge_here(place: _Place) -> _Chunk:
    path, judge = _here
    return _judge(path, place, judge)
