"""States of a file or a pipe as they come, one a line, and what a session tells of them on the file's own clock."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError
from drivecoach.infer import Outcome
from drivecoach.live.event import Event
from drivecoach.live.settings import SETTINGS, Settings
from drivecoach.live.stream import LATEST, Stream

STEP = 0.1
"""Seconds between the states of a file that gives no times."""


@dataclass(frozen=True)
class Record:
    """One state as it was sent: a text or a mapping, and its own time, if it has one."""

    state: Any
    time: object = None


def read_record(line: str, domain: AnyDomain) -> Record:
    """``{"time": seconds, "state": …}``, or a state alone: as the domain's line, or as a JSON object of its keys."""
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return Record(line)  # the domain's reader says what is wrong with it
        if isinstance(value, dict):
            return record_of(value, domain)
    return Record(line)


def record_of(given: Any, domain: AnyDomain) -> Record:
    """A record out of a JSON value; a domain whose own inputs have a key ``state`` needs ``time`` beside it."""
    if isinstance(given, dict) and (
        given.keys() == {"time", "state"} or (given.keys() == {"state"} and "state" not in domain.input.node.fields)
    ):
        return Record(given["state"], given.get("time"))
    return Record(given)


def on_clock(records: Iterable[Record], settings: Settings) -> Iterator[tuple[Record, float]]:
    """Each record, and when it comes on the clock of its file, which never goes back."""
    now, last, first = 0.0, 0.0, True
    for record in records:
        time = record.time
        if isinstance(time, int | float) and not isinstance(time, bool) and 0 <= time <= LATEST:
            step = time if first else max(0.0, time - last)
            if step or last - time > settings.disorder:  # else it comes late, and is left out
                last = float(time)
        else:
            step = 0.0 if first else STEP
            last += step
        first = False
        now += step
        yield record, now


def replay(
    domain: AnyDomain,
    records: Iterable[Record],
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings = SETTINGS,
    *,
    until: Callable[[float], object] = lambda now: None,
    delayed: bool = False,
) -> Iterator[Event]:
    """What a session tells of the records, on their own clock, numbered.

    ``until`` waits until that clock shows a time, for whoever wants to see it happen. ``delayed``: an answer comes as
    much later on that clock as it took; else at once, so that the same records give the same events everywhere.
    """
    stream, number, now = Stream(domain, settings), 0, 0.0
    coming: tuple[float, Outcome[Any] | DrivecoachError] | None = None
    """When the answer to what was asked is there, and the answer."""

    def put_question() -> None:
        nonlocal coming
        if (question := stream.question) is not None:
            stream.ask()
            try:
                found: Outcome[Any] | DrivecoachError = ask(*question)
            except DrivecoachError as error:
                found = error
            seconds = found.seconds if delayed and isinstance(found, Outcome) else 0.0
            coming = (now + seconds, found)

    def pass_time(end: float) -> Iterator[Event]:
        """Everything that is due until ``end``, in its order."""
        nonlocal now, coming
        while True:
            due = stream.due if coming is None else min(coming[0], stream.due or coming[0])
            if due is None or due > end:
                break
            until(due)
            now = max(now, due)
            if coming is not None and coming[0] <= now:
                (_, found), coming = coming, None
                yield from stream.answered(found, now)
            else:
                yield from stream.advance(now)
            put_question()

    def tell(events: Iterable[Event]) -> Iterator[Event]:
        nonlocal number
        for event in events:
            number += 1
            yield replace(event, number=number)

    for record, end in on_clock(records, settings):
        # What comes at the very moment at which something is due comes first: it may have become untrue.
        yield from tell(pass_time(math.nextafter(end, -math.inf)))
        until(end)
        now = end
        yield from tell(stream.receive(record.state, now, record.time))
        put_question()
        yield from tell(pass_time(now))
    # The last state stays true until it expires; that the file ends is no lost connection.
    yield from tell(pass_time(now + settings.expires))
