"""Whole streams, of any kind and with answers that come at any time: what holds for everything that is told."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from drivecoach.infer import Engine, Outcome, Question
from drivecoach.live import Event, Reason, Record, Settings, Trouble, read_record, replay
from drivecoach.runtime.rules import Rules
from tests.support.lamps import CALLS, LAMPS

ENGINE = Engine(Rules(LAMPS).generate, LAMPS)
# Longer than any step, so that nothing expires unless a test wants it to.
SETTINGS = Settings(expires=100)


def told(records: list[Record], settings: Settings = SETTINGS, delays: random.Random | None = None) -> list[Event]:
    def ask(text: str, value: object) -> Outcome[object]:
        outcome = ENGINE.settle(value, Question(text))
        return replace(outcome, seconds=delays.choice((0.0, 0.02, 0.3, 2.0)) if delays else 0.0)

    return list(replay(LAMPS, records, ask, settings, delayed=delays is not None))


@dataclass(frozen=True)
class Spoken:
    """A sentence with when it really began and ended."""

    event: Event
    began: float
    ended: float


def spoken(events: list[Event]) -> list[Spoken]:
    says = [event for event in events if event.kind == "say"]
    found = []
    for place, event in enumerate(says):
        ended = event.time + event.seconds
        if place + 1 < len(says) and says[place + 1].interrupts:
            ended = min(ended, says[place + 1].time)
        found.append(Spoken(event, event.time, ended))
    return found


def states(steps: list[tuple[int, str]]) -> list[Record]:
    """Records out of (tenths of a second since the last one, what the lamp shows)."""
    records, time = [], 0
    for tenths, shows in steps:
        time += tenths
        records.append(Record({"shows": shows}, time / 10))
    return records


STEPS = st.lists(st.tuples(st.integers(1, 40), st.sampled_from(sorted(CALLS))), min_size=1, max_size=40)
VOICES = st.sampled_from(["essential", "normal", "chatty"])
CLOSE = 0.011
"""Times are told in milliseconds, lengths in hundredths of a second."""


@settings(max_examples=50)
@given(STEPS, VOICES, st.integers(0, 1000), st.booleans())
def test_one_voice_nothing_untrue_no_sentence_within_its_rest(
    steps: list[tuple[int, str]], voice: str, seed: int, late: bool
) -> None:
    chosen = SETTINGS.model_copy(update={"voice": voice})
    records = states(steps)
    events = told(records, chosen, random.Random(seed) if late else None)
    said = spoken(events)
    shown = {record.time: record.state["shows"] for record in records}
    for place, one in enumerate(said):
        assert place == 0 or one.began >= said[place - 1].ended - CLOSE, "two voices at once"
        newest = shown[max(time for time in shown if time <= one.began + 0.0005)]
        assert CALLS[newest] == (one.event.level, one.event.speech), "what is said is true when it is said"
        danger = one.event.level == "danger"
        rest = chosen.danger_rest if danger else chosen.rest
        before = [other for other in said[:place] if other.event.speech == one.event.speech]
        assert not before or one.began >= before[-1].ended + rest - CLOSE, "a sentence within its rest"
        if not danger:
            assert place == 0 or one.began >= said[place - 1].ended + chosen.pause - CLOSE
            assert not one.event.interrupts
            since = max(
                (now.time for before, now in zip([None, *records], records, strict=False)
                 if now.time <= one.began + 0.0005 and (before is None or before.state != now.state)),
            )  # fmt: skip
            assert one.began >= since + chosen.stable - CLOSE
        assert danger or voice != "essential"


@settings(max_examples=50)
@given(STEPS, VOICES)
def test_a_danger_is_never_silent_for_longer_than_its_rest(steps: list[tuple[int, str]], voice: str) -> None:
    chosen = SETTINGS.model_copy(update={"voice": voice})
    records = [*states(steps), Record({"shows": "a"}, sum(tenths for tenths, _ in steps) / 10 + 20)]
    said = spoken(told(records, chosen))
    for record, following in pairwise(records):
        level, speech = CALLS[record.state["shows"]]
        moment = record.time
        while level == "danger" and moment < following.time:
            heard = [
                one for one in said if one.event.speech == speech and one.began <= moment + CLOSE
                and moment <= one.ended + chosen.danger_rest + CLOSE
            ]  # fmt: skip
            assert heard, f"{speech} is silent at {moment} s"
            moment += 0.25


LINES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(['{"shows": "a"}', '{"shows": "e"}', "shows:c", '{"time": 1e300, "state": {"shows": "a"}}']),
    st.builds('{{"time": {}, "state": {{"shows": "e"}}}}'.format, st.one_of(st.floats(), st.integers())),
    st.builds('{{"time": {}, "state": "shows:{}"}}'.format, st.floats(-5, 50), st.sampled_from(sorted(CALLS))),
)


@settings(max_examples=50)
@given(st.lists(LINES, max_size=40))
def test_any_lines_give_events_and_time_never_goes_back(lines: list[str]) -> None:
    events = told([read_record(line, LAMPS) for line in lines])
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert all(before.time <= after.time for before, after in pairwise(events))


def test_what_is_wrong_on_the_way_in_is_told_and_the_rest_goes_on() -> None:
    records = [
        Record({"shows": "a"}, 10.0),
        Record({"shows": "z"}, 10.1),
        Record({"shows": "e"}, 9.8),  # out of order
        Record({"shows": "a"}, 2.0),  # set back
        Record({"shows": "a"}, 1.7e12),  # milliseconds
        Record({"shows": "e"}, 2.1),
    ]
    events = told(records)
    troubles = [(event.reason, event.detail) for event in events if event.kind == "trouble"]
    assert [reason for reason, _ in troubles] == [
        Trouble.BROKEN, Trouble.DISORDER, Trouble.CLOCK, Trouble.BROKEN
    ]  # fmt: skip
    assert "shows" in troubles[0][1] and "from 10.1 s to 2 s" in troubles[2][1] and "time" in troubles[3][1]
    assert next(event.time for event in events if event.speech == "stop at once") == 10.2


def test_an_answer_that_comes_after_a_newer_state_is_dropped() -> None:
    def slow(text: str, value: object) -> Outcome[object]:
        return replace(ENGINE.settle(value, Question(text)), seconds=0.25)

    records = [Record({"shows": shows}, number / 10) for number, shows in enumerate("eabbbbbbbbbb")]
    events = list(replay(LAMPS, records, slow, SETTINGS, delayed=True))
    late = [event for event in events if event.reason == Trouble.LATE]
    assert [(event.time, event.skipped) for event in late] == [(0.25, 2)]
    assert [event.speech for event in events if event.kind == "say"] == [CALLS["b"][1]], "never what was asked first"


def test_the_model_is_asked_only_when_the_state_changes() -> None:
    asked = []

    def ask(text: str, value: object) -> Outcome[object]:
        asked.append(text)
        return ENGINE.settle(value, Question(text))

    list(replay(LAMPS, [Record({"shows": shows}, n / 10) for n, shows in enumerate("aaaaabbbbaaaa")], ask))
    assert asked == ["shows:a", "shows:b", "shows:a"]


def test_an_event_holds_what_is_shown_and_why() -> None:
    say = told([Record("shows:e", 0.0)])[0]
    shown = say.to_json()
    assert shown["answer"] == {"level": "danger", "text": "stop at once"}
    assert shown["why"] == {"rule": "rule e", "reason": "the table says so", "read": {"shows": "e"}}
    assert (shown["state"], shown["source"], shown["status"]) == ("shows:e", "rules", "valid")
    assert "skipped" not in shown and "reason" not in shown


def test_a_stream_that_stops_is_told_once_and_nothing_more_is_said() -> None:
    events = told([Record("shows:e", 0.0), Record("oops", 30.0), Record("oops", 60.0)], Settings())
    assert [event.reason for event in events if event.kind == "silent"][-1] == Reason.EXPIRED
    assert [event.time for event in events if event.kind == "say"] == [0.0]
