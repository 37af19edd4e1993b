"""``POST /coach``: a state in, a checked instruction out, or many; what is no state is a 422 with every fault."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError, InputError, RuntimeFailure
from drivecoach.infer import Outcome, flat
from drivecoach.serve.current import Current
from drivecoach.serve.given import read_body, shown_state, state_text
from drivecoach.serve.limits import Limits
from drivecoach.serve.wire import WireError
from drivecoach.text import escaped

Count = Callable[[Outcome[Any]], None]
"""Is told every outcome, for the metrics."""


class CoachApi:
    """The guarded endpoint on the model that is served now."""

    def __init__(self, current: Current, limits: Limits, count: Count) -> None:
        self.current = current
        self.limits = limits
        self.count = count

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("/coach", self.coach, methods=["POST"])]

    async def coach(self, request: Request) -> Response:
        """One state, or a list of them: each of a list has its own outcome, good or bad."""
        asked = read_body(await request.body(), request.headers.get("content-type", ""))
        if not isinstance(asked, list):
            return await self._one(asked, request.receive)
        if not asked:
            raise WireError(400, f"no state in the request; from 1 to {self.limits.states} are allowed")
        if len(asked) > self.limits.states:
            raise WireError(413, f"{len(asked)} states in one request; {self.limits.states} are allowed")
        turns = asyncio.Semaphore(self.current.served.runtime.slots)  # the rest of the queue is for others

        async def row(number: int, given: object) -> dict[str, Any]:
            async with turns:
                return {**await self._row(given, request.receive), "row": number}

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(row(number, given)) for number, given in enumerate(asked, start=1)]
        return as_json({"outcomes": [task.result() for task in tasks]})

    async def _one(self, given: object, receive: Receive) -> Response:
        try:
            return as_json(await self._answer(given, receive))
        except InputError as error:
            return as_json(problem(error), 422)
        except RuntimeFailure as error:
            return as_json(problem(error), 502)

    async def _row(self, given: object, receive: Receive) -> dict[str, Any]:
        """What became of one of many; nothing that goes wrong with it touches the others."""
        domain = self.current.served.domain
        try:
            return await self._answer(given, receive)
        except InputError as error:
            failed: Outcome[Any] = Outcome(1, shown_state(given), "failed", reason=f"input: {flat(error)}")
            self.count(failed)
            return {**_body(failed, domain), "faults": problem(error)["faults"]}
        except (RuntimeFailure, WireError) as error:
            failed = Outcome(1, shown_state(given), "failed", reason=error.message)
            self.count(failed)
            return _body(failed, domain)

    async def _answer(self, given: object, receive: Receive) -> dict[str, Any]:
        """Raises InputError for what is no state, RuntimeFailure or WireError where there is no answer."""
        start = time.perf_counter()
        served = self.current.served
        value = served.domain.read_input(state_text(given, served.domain))
        text = served.domain.write_input(value)
        outcome = await served.queue.work(lambda left: served.answer(text, value, left), receive)
        outcome = replace(outcome, seconds=time.perf_counter() - start)
        self.count(outcome)
        return _body(outcome, served.domain)


def as_json(body: object, status: int = 200) -> Response:
    return Response(escaped(json.dumps(body, ensure_ascii=False)), status, media_type="application/json")


def _body(outcome: Outcome[Any], domain: AnyDomain) -> dict[str, Any]:
    row = outcome.to_json(domain)
    del row["row"]
    return {**row, "violations": [{"id": broken.id, "text": broken.text} for broken in outcome.violations]}


def problem(error: DrivecoachError) -> dict[str, Any]:
    return {"error": error.message, "hint": error.hint, "faults": [vars(fault) for fault in error.faults]}
