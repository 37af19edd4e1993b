"""One car's live session inside an event loop: states are put in, events come out, as many readers as there are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError
from drivecoach.infer import Outcome
from drivecoach.live.event import End, Event, Trouble
from drivecoach.live.settings import SETTINGS, Settings
from drivecoach.live.stream import Stream

KEPT = 256
"""Events that a session keeps for readers that are behind."""

Ask = Callable[[str, Any], Awaitable[Outcome[Any]]]
"""Gets a state as text and as value, gives the outcome; raises DrivecoachError where there is none."""


class LiveSession:
    """Asks the model when the state has changed, and tells what to say when the time has come.

    ``put`` never waits. However fast states come, and whether events are read or not, it holds the newest state, one
    question, and the last `KEPT` events. Leave it, or `close` it: what waits for events then ends.
    """

    def __init__(
        self,
        domain: AnyDomain,
        ask: Ask,
        settings: Settings = SETTINGS,
        *,
        text_of: Callable[[Any], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = Stream(domain, settings, text_of)
        self._ask = ask
        self._clock = clock
        self._began = clock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self.number = 0
        """How many events there were."""
        self._more = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return self._clock() - self._began

    @property
    def settings(self) -> Settings:
        """Those that it goes by."""
        return self._stream.settings

    def set(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._stream.settings = settings
        self._tell(self._stream.advance(self.now))

    def put(self, state: Any, time: object = None) -> list[Event]:
        """A state came: a text, a mapping or a model of the domain; ``time``: the sender's own, in seconds.

        What is told at once comes back; it is among the events too. After the end, nothing is taken.
        """
        if self.ended:
            return []
        return self._tell(self._stream.receive(state, self.now, time))

    def kept(self, after: int) -> list[Event]:
        """The events after number ``after`` that are there; of those no longer kept, one says how many there were."""
        found = [event for event in self._kept if event.number > after]
        if found and (lost := found[0].number - after - 1) > 0:
            found.insert(0, Event("trouble", found[0].time, found[0].number - 1, str(Trouble.MISSED), skipped=lost))
        return found

    async def more(self, after: int) -> None:
        """Returns when there is an event after number ``after``, or the session has ended."""
        while self.number <= after and not self.ended:
            await self._more.wait()

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """The events after number ``after``, then each as it comes, until the session ends."""
        while True:
            found = self.kept(after)
            for event in found:
                after = event.number
                yield event
            if not found:
                if self.ended:
                    return
                await self.more(after)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.events()

    def close(self, reason: End = End.CLOSED) -> None:
        """End it: the readers get the last event and end too."""
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        self._tell([Event("end", round(self.now, 3), reason=str(reason))])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, events: list[Event]) -> list[Event]:
        """Number and keep the events, wake the readers, and see to what comes next."""
        told = []
        for event in events:
            self.number += 1
            told.append(replace(event, number=self.number))
        self._kept.extend(told)
        if told:
            self._more.set()
            self._more = asyncio.Event()
        if not self.ended:
            self._go_on()
        return told

    def _go_on(self) -> None:
        if (question := self._stream.question) is not None:
            self._stream.ask()
            self._asking = asyncio.get_running_loop().create_task(self._answer(*question))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._stream.due) is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self.now), self._advance)

    def _advance(self) -> None:
        self._timer = None
        self._tell(self._stream.advance(self.now))

    async def _answer(self, text: str, value: Any) -> None:
        try:
            found: Outcome[Any] | DrivecoachError = await self._ask(text, value)
        except DrivecoachError as error:
            found = error
        if not self.ended:
            self._tell(self._stream.answered(found, self.now))
