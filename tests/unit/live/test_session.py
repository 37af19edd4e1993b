"""A session inside an event loop: bursts, slow and failing models, readers that are behind, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drivecoach import Coach
from drivecoach.domain import Domain
from drivecoach.errors import RecipeError, RuntimeFailure
from drivecoach.infer import Engine, Outcome, Question
from drivecoach.live import End, Event, LiveSession, Settings, Trouble
from drivecoach.runtime.rules import Rules
from tests.support.lamps import LAMPS, Lamp

ENGINE = Engine(Rules(LAMPS).generate, LAMPS)


async def ask(text: str, value: Any) -> Outcome[Any]:
    return ENGINE.settle(value, Question(text))


async def read(live: LiveSession, enough: Callable[[Event], bool], after: int = 0) -> list[Event]:
    found = []
    async with asyncio.timeout(20):
        async for event in live.events(after):
            found.append(event)
            if enough(event):
                break
    return found


def says(text: str) -> Callable[[Event], bool]:
    return lambda event: event.kind == "say" and event.speech == text


def test_what_is_put_in_is_said_by_its_time_alone() -> None:
    async def main() -> list[Event]:
        async with LiveSession(LAMPS, ask, Settings(stable=0.05, narrow=0.001, pause=0.05)) as live:
            live.put(Lamp(shows="e"))
            await read(live, says("stop at once"))
            live.put({"shows": "a"})  # nothing comes after it
            return await read(live, says("go on"))

    events = [event for event in asyncio.run(main()) if event.kind == "say"]
    assert [event.speech for event in events] == ["stop at once", "go on"]
    assert events[1].time - events[0].time >= 0.05


def test_a_burst_is_told_and_held_by_its_last_state_alone() -> None:
    asked = []

    async def slow(text: str, value: Any) -> Outcome[Any]:
        asked.append(text)
        await asyncio.sleep(0.05)
        return await ask(text, value)

    async def main() -> tuple[list[Event], int]:
        async with LiveSession(LAMPS, slow) as live:
            for number in range(10_000):
                live.put("shows:" + "abcd"[number % 4])
            live.put("shows:e")
            return await read(live, says("stop at once")), len(live.kept(0))

    events, kept = asyncio.run(main())
    assert asked == ["shows:a", "shows:e"]
    assert [(event.reason, event.skipped) for event in events if event.kind == "trouble"] == [(Trouble.LATE, 10_000)]
    assert kept < 10


def test_a_reader_that_is_behind_is_told_how_much_it_missed() -> None:
    async def main() -> tuple[list[Event], LiveSession]:
        live = LiveSession(LAMPS, ask)
        for _ in range(1000):
            live.put("nothing")
        live.close()
        return await read(live, lambda event: event.kind == "end"), live

    events, live = asyncio.run(main())
    assert (events[0].reason, events[0].skipped, events[0].number) == (Trouble.MISSED, 745, 745)
    assert [event.number for event in events[1:]] == list(range(746, 1002))
    assert live.put("shows:e") == [], "nothing is taken after the end"


def test_a_model_that_fails_is_told_and_asked_again_with_the_next_state() -> None:
    failures = [RuntimeFailure("nobody answers", hint="start it")]

    async def failing(text: str, value: Any) -> Outcome[Any]:
        if failures:
            raise failures.pop()
        return await ask(text, value)

    async def main() -> list[Event]:
        async with LiveSession(LAMPS, failing) as live:
            live.put("shows:e")
            await read(live, lambda event: event.reason == Trouble.FAILED)
            live.put("shows:e")
            return await read(live, says("stop at once"))

    events = asyncio.run(main())
    assert [event.detail for event in events if event.reason == Trouble.FAILED] == ["nobody answers"]


def test_the_end_reaches_everybody_who_reads() -> None:
    async def main() -> list[list[Event]]:
        live = LiveSession(LAMPS, ask)
        readers = [asyncio.create_task(read(live, lambda _: False)) for _ in range(3)]
        await asyncio.sleep(0.01)
        live.put("shows:e")
        await asyncio.sleep(0.05)
        live.close(End.IDLE)
        return await asyncio.gather(*readers)

    for events in asyncio.run(main()):
        assert [event.kind for event in events] == ["say", "end"] and events[-1].reason == End.IDLE


def test_settings_change_while_it_goes_on() -> None:
    async def main() -> list[Event]:
        async with LiveSession(LAMPS, ask, Settings(voice="essential", stable=0)) as live:
            live.put("shows:c")
            await read(live, lambda event: event.kind == "silent")
            live.set(Settings(stable=0))
            return await read(live, says("too fast"))

    assert asyncio.run(main())[-1].speech == "too fast"


def test_a_coach_has_sessions_of_its_domain() -> None:
    async def main() -> list[Event]:
        with Coach("rules", domain=LAMPS, guard="strict") as coach:
            async with coach.live(stable=0) as live:
                live.put(Lamp(shows="c"))
                return await read(live, says("too fast"))

    assert asyncio.run(main())[-1].source == "rules"
    with Coach("rules", domain=LAMPS) as coach, pytest.raises(RecipeError, match="no settings"):
        coach.live(loudness=3)


def test_a_domain_that_does_not_say_what_is_spoken_has_none() -> None:
    class Mute(type(LAMPS)):  # type: ignore[misc]
        spoken = Domain.spoken

    with pytest.raises(RecipeError, match="does not say which text"):
        LiveSession(Mute("mute", Lamp, LAMPS.answer.model), ask)
