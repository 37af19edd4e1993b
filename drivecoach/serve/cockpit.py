"""``/cockpit``: a page to drive in. The server steps the simulated thing and tells its coach what the sensors say."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from drivecoach.domain import Cockpit, Driven
from drivecoach.errors import InputError
from drivecoach.live import End
from drivecoach.serve.coach import as_json, problem
from drivecoach.serve.current import Current
from drivecoach.serve.given import read_body
from drivecoach.serve.limits import Limits
from drivecoach.serve.live import Kept, LiveApi
from drivecoach.serve.replay import replayed
from drivecoach.serve.wire import WireError
from drivecoach.web import STATIC, Files, Pages

STEER = "/cockpit/drives/{drive}"
_AGAIN = 0.99
"""Seconds after which a state is told again though nothing has changed; less than a whole one, for floats."""
_CAUGHT_UP = 0.25
"""Seconds of the simulation that are caught up after the event loop was held up; the rest is lost time."""
_LEFT = 4.0
"""Seconds after which a drive ends whose page has ceased to listen; a page says something every two seconds."""
_NOTES = 256
"""States that are kept for a page that was cut off."""


class _Drive:
    """One simulated thing, its coach's session, and what a page has not yet heard of it."""

    def __init__(self, driven: Driven, kept: Kept) -> None:
        self.driven = driven
        self.kept = kept
        self.ends = math.inf
        """When it ends, on the event loop's clock, if its page says nothing more."""
        self.shown = driven.shown
        self.notes: deque[dict[str, Any]] = deque(maxlen=_NOTES)
        self._more = asyncio.Event()

    def step(self, *, note: bool) -> None:
        """Time passes; with ``note`` the sensors are read, and told to the coach where they say something new."""
        self.driven.step()
        self.shown = self.driven.shown
        if note:
            state, time, last = self.driven.state, self.driven.time, self.notes[-1] if self.notes else None
            if last is None or last["state"] != state or time - last["time"] >= _AGAIN:
                self.notes.append({"time": time, "state": state})
                self.kept.live.put(state, time)
        self.wake()

    def wake(self) -> None:
        """There is something new."""
        self._more.set()
        self._more = asyncio.Event()

    async def events(self, after: int) -> AsyncGenerator[str, None]:
        """What instruments and sensors say, and what the coach tells after its event number ``after``."""
        try:
            async for pieces in self._told(after):
                yield pieces
        finally:  # a page that lives listens anew, and says something
            self.ends = min(self.ends, asyncio.get_running_loop().time() + _LEFT)

    async def _told(self, after: int) -> AsyncGenerator[str, None]:
        live, shown, noted = self.kept.live, None, -1.0
        while True:
            pieces = []
            if self.shown != shown:
                shown = self.shown
                pieces.append(_event("shown", {**shown, "time": self.driven.time}))
            for note in self.notes:
                if note["time"] > noted:
                    noted = note["time"]
                    pieces.append(_event("state", note))
            for event in live.kept(after):
                after = event.number
                pieces.append(self.kept.written(event))
            if pieces:
                yield "".join(pieces)
            elif live.ended:
                return
            else:
                await self._more.wait()


class CockpitApi:
    """The drives of one server; each is a live session like any other, and counts as one."""

    def __init__(self, current: Current, live: LiveApi, limits: Limits) -> None:
        self.current = current
        self.live = live
        self.limits = limits
        self.drives: dict[str, _Drive] = {}
        self._running: set[asyncio.Task[None]] = set()
        cockpit = current.served.domain.cockpit
        self._files = [Mount("/cockpit/static", Files(cockpit.package))] if cockpit else []
        self._pages = Pages(cockpit.package if cockpit else "drivecoach.web")
        self._replays = asyncio.Semaphore(limits.replays)

    def routes(self) -> list[BaseRoute]:
        """The page with its files, drives, and recorded ones."""
        return [
            Mount(STATIC, Files("drivecoach.web")),
            Route("/cockpit", self.page, methods=["GET"]),
            *self._files,
            Route("/cockpit/drives", self.begin, methods=["POST"]),
            Route(STEER, self.steer, methods=["POST", "DELETE"]),
            Route(f"{STEER}/events", self.events, methods=["GET"]),
            Route("/cockpit/recorded/{name}", self.recorded, methods=["GET"]),
            Route("/cockpit/replay", self.replay, methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """The page to sit in."""
        served = self.current.served
        cockpit = served.domain.cockpit
        if cockpit is None:
            said = f"The domain {served.domain.name} has no simulator to drive in. It answers at /coach and /live."
            zh = f"领域 {served.domain.name} 没有可驾驶的模拟器。可使用 /coach 与 /live。"
            texts = {"title": "No cockpit", "said": said, "title_zh": "没有驾驶舱", "said_zh": zh}
            return self._pages.answer("message.html.jinja", status=404, texts=texts)
        data = {
            **cockpit.data(),
            "model": served.name,
            "guard": served.guard,
            "recorded": cockpit.recorded(),
        }
        return self._pages.answer("cockpit.html.jinja", data)

    async def begin(self, request: Request) -> Response:
        """A new drive: what it is, as the domain wants it chosen."""
        given = read_body(await request.body(), "application/json")
        try:
            driven = self._cockpit().begin(given)
        except InputError as error:
            return as_json(problem(error), 422)
        name = f"drive-{secrets.token_urlsafe(12)}"
        drive = self.drives[name] = _Drive(driven, self.live.kept(name))
        self._hear(drive)
        task = asyncio.ensure_future(self._run(name, drive))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return as_json({"drive": name, "shown": drive.shown}, 201)

    async def steer(self, request: Request) -> Response:
        """POST: what hands and feet do from now on. DELETE: the person leaves."""
        name, drive = self._drive(request)
        if request.method == "DELETE":
            if name in self.live.sessions:  # else it has just ended
                self.live.end(name, End.CLOSED)
            return as_json({"drive": name, "ended": True})
        self._hear(drive)
        try:
            drive.driven.steer(read_body(await request.body(), "application/json"))
        except InputError as error:
            return as_json(problem(error), 422)
        return as_json({"time": drive.driven.time})

    async def events(self, request: Request) -> Response:
        """``shown`` (instruments), ``state`` (what the coach is told), and the events of the live session."""
        _, drive = self._drive(request)
        return self.live.readers.stream(drive.events(drive.kept.after(request, 0)))

    async def recorded(self, request: Request) -> Response:
        """A recorded drive, a state a line."""
        cockpit, name = self._cockpit(), str(request.path_params["name"])
        if name not in cockpit.recorded():
            raise WireError(404, f"no such drive; there are {', '.join(cockpit.recorded())}")
        text = await asyncio.to_thread(cockpit.record, name)
        return PlainTextResponse(text, media_type="application/x-ndjson")

    async def replay(self, request: Request) -> Response:
        """A file of states in; all that the coach tells of them out, on the file's own clock."""
        if self._replays.locked():
            raise WireError(503, "too many drives are being replayed; try again in a moment")
        async with self._replays:
            return await replayed(request, self.live, self.limits)

    async def _run(self, name: str, drive: _Drive) -> None:
        """Let time pass until the page leaves, or is not heard for too long."""
        cockpit, loop, live = self._cockpit(), asyncio.get_running_loop(), drive.kept.live
        due, steps = loop.time(), 0
        try:
            while not live.ended and loop.time() < drive.ends:
                note = steps % cockpit.noted == 0
                if note and self.live.sessions.get(name) is drive.kept:
                    self.live.kept(name)  # its time without states begins anew
                drive.step(note=note)
                steps += 1
                due = max(due + cockpit.seconds, loop.time() - _CAUGHT_UP)
                await asyncio.sleep(max(0.0, due - loop.time()))
        finally:
            del self.drives[name]
            if self.live.sessions.get(name) is drive.kept:
                self.live.end(name, End.IDLE)
            drive.wake()

    def _hear(self, drive: _Drive) -> None:
        drive.ends = asyncio.get_running_loop().time() + self.limits.drive_seconds

    def _cockpit(self) -> Cockpit:
        domain = self.current.served.domain
        if domain.cockpit is None:
            raise WireError(404, f"the domain {domain.name} has no simulator to drive in")
        return domain.cockpit

    def _drive(self, request: Request) -> tuple[str, _Drive]:
        name = str(request.path_params["drive"])
        if name not in self.drives:
            raise WireError(404, "there is no such drive; it has ended")
        return name, self.drives[name]


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
