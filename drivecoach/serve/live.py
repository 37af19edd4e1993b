"""``/live/{session}``: states in, what to say out as server-sent events; sessions, readers, memory are bounded."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from drivecoach.errors import RecipeError, RuntimeFailure
from drivecoach.infer import Outcome
from drivecoach.live import REFUSED, End, Event, LiveSession, read_settings
from drivecoach.live.replay import record_of
from drivecoach.serve.coach import Count, as_json, problem
from drivecoach.serve.current import Current
from drivecoach.serve.events import Readers
from drivecoach.serve.given import read_body, state_text
from drivecoach.serve.limits import Limits
from drivecoach.serve.wire import WireError

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass
class Kept:
    """A session, and when it ends for want of states."""

    live: LiveSession
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    """Tells it from an earlier session of the same name."""
    idle: asyncio.TimerHandle | None = None

    def written(self, event: Event) -> str:
        """A server-sent event; ``age``: how long ago it happened, for what waited on the way is not to be said."""
        age = round(max(0.0, self.live.now - event.time), 3)
        data = json.dumps({**event.to_json(), "age": age}, ensure_ascii=False)
        return f"id: {self.mark}-{event.number}\nevent: {event.kind}\ndata: {data}\n\n"

    def after(self, request: Request, start: int) -> int:
        """The number of the last event that a client has; ``start`` where it says nothing."""
        last = request.headers.get("last-event-id", request.query_params.get("after", ""))
        if not last:
            return start
        mark, _, number = last.rpartition("-")  # of an earlier session, nothing is left but this one's beginning
        if mark != self.mark or not re.fullmatch("[0-9]{1,18}", number):
            return 0
        return min(int(number), self.live.number)

    async def events(self, after: int) -> AsyncGenerator[str, None]:
        """The events after number ``after``, then each as it comes, until the session ends."""
        async for event in self.live.events(after):
            yield self.written(event)


class LiveApi:
    """The sessions of one server."""

    def __init__(self, current: Current, limits: Limits, count: Count) -> None:
        self.current = current
        self.limits = limits
        self.count = count
        self.sessions: dict[str, Kept] = {}
        self.readers = Readers(limits)
        self.stopping = False

    def routes(self) -> list[Route]:
        """The session itself, its states, its events."""
        return [
            Route("/live/{session}", self.session, methods=["POST", "DELETE"]),
            Route("/live/{session}/state", self.state, methods=["POST"]),
            Route("/live/{session}/events", self.events, methods=["GET"]),
        ]

    async def session(self, request: Request) -> Response:
        """POST: begin a session, or change its settings. DELETE: end it."""
        name = _name(request)
        if request.method == "DELETE":
            if name not in self.sessions:
                raise WireError(404, f"there is no session {name}")
            self.end(name, End.CLOSED)
            return as_json({"session": name, "ended": True})
        body = await request.body()
        given = read_body(body, "application/json") if body.strip() else {}
        if not isinstance(given, dict):
            raise WireError(400, 'settings are a JSON object, such as {"voice": "essential"}')
        try:
            settings = read_settings(given)
        except RecipeError as error:
            return as_json(problem(error), 422)
        kept = self.kept(name)
        kept.live.set(settings)
        return as_json({"session": name, "settings": settings.model_dump()})

    async def state(self, request: Request) -> Response:
        """One state, or a list of them in their order, each alone or with its time."""
        name = _name(request)
        given = read_body(await request.body(), request.headers.get("content-type", ""))
        states = given if isinstance(given, list) else [given]
        if len(states) > self.limits.states:
            raise WireError(413, f"{len(states)} states in one request; {self.limits.states} are allowed")
        kept = self.kept(name)
        domain = self.current.served.domain
        told: list[Event] = []
        for one in states:
            record = record_of(one, domain)
            told += kept.live.put(record.state, record.time)
        troubles = [event for event in told if event.kind == "trouble"]
        taken = len(states) - sum(event.reason in REFUSED for event in troubles)
        body = {"session": name, "taken": taken, "troubles": [event.to_json() for event in troubles]}
        return as_json(body, 202 if taken or not states else 422)

    async def events(self, request: Request) -> Response:
        """The events from now on, or those after ``Last-Event-ID``; ``0`` stands for the first that is kept."""
        kept = self.kept(_name(request))
        return self.readers.stream(kept.events(kept.after(request, kept.live.number)))

    def close(self) -> None:
        """The server stops: every reader gets the last event, and no session begins any more."""
        self.stopping = True
        for name in list(self.sessions):
            self.end(name, End.STOPPED)

    def kept(self, name: str) -> Kept:
        """The session of that name, begun where there is none; its time without states begins anew."""
        loop = asyncio.get_running_loop()
        kept = self.sessions.get(name)
        if kept is None:
            if self.stopping:
                raise WireError(503, "the server stops")
            if len(self.sessions) >= self.limits.sessions:
                raise WireError(503, f"there are {len(self.sessions)} live sessions; no more are allowed")
            domain = self.current.served.domain
            try:
                live = LiveSession(domain, self.ask, text_of=partial(state_text, domain=domain))
            except RecipeError as error:
                raise WireError(501, f"{error.message}: {error.hint}") from None
            kept = self.sessions[name] = Kept(live)
        if kept.idle is not None:
            kept.idle.cancel()
        kept.idle = loop.call_later(self.limits.idle_seconds, self.end, name, End.IDLE)
        return kept

    def end(self, name: str, reason: End) -> None:
        """End the session of that name, which is there."""
        kept = self.sessions.pop(name)
        if kept.idle is not None:
            kept.idle.cancel()
        kept.live.close(reason)

    async def ask(self, text: str, value: Any) -> Outcome[Any]:
        """What is served answers, behind its guard, when its turn has come. Raises RuntimeFailure."""
        served = self.current.served
        try:
            outcome = await served.queue.work(lambda left: served.answer(text, value, left), _never_leaves)
        except WireError as error:
            raise RuntimeFailure(error.message, hint="send fewer states, or start more servers") from None
        self.count(outcome)
        return outcome


def _name(request: Request) -> str:
    name = str(request.path_params["session"])
    if not NAME.fullmatch(name):
        raise WireError(400, "a session's name is made of letters, digits, _ and -, 64 at most")
    return name


async def _never_leaves() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("never set")
