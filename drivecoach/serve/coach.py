"""``POST /coach``: a state in, a checked instruction out, or many; what is no state is a 422 with every fault."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Never

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError, Fault, InputError, RuntimeFailure
from drivecoach.infer import Outcome, flat
from drivecoach.serve.current import Current
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
        asked = _asked(await request.body(), request.headers.get("content-type", ""))
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
        return _json({"outcomes": [task.result() for task in tasks]})

    async def _one(self, given: object, receive: Receive) -> Response:
        try:
            return _json(await self._answer(given, receive))
        except InputError as error:
            return _json(_problem(error), 422)
        except RuntimeFailure as error:
            return _json(_problem(error), 502)

    async def _row(self, given: object, receive: Receive) -> dict[str, Any]:
        """What became of one of many; nothing that goes wrong with it touches the others."""
        domain = self.current.served.domain
        try:
            return await self._answer(given, receive)
        except InputError as error:
            failed: Outcome[Any] = Outcome(1, _shown(given), "failed", reason=f"input: {flat(error)}")
            self.count(failed)
            return {**_body(failed, domain), "faults": _problem(error)["faults"]}
        except (RuntimeFailure, WireError) as error:
            failed = Outcome(1, _shown(given), "failed", reason=error.message)
            self.count(failed)
            return _body(failed, domain)

    async def _answer(self, given: object, receive: Receive) -> dict[str, Any]:
        """Raises InputError for what is no state, RuntimeFailure or WireError where there is no answer."""
        start = time.perf_counter()
        served = self.current.served
        value = served.domain.read_input(_text(given, served.domain))
        text = served.domain.write_input(value)
        outcome = await served.queue.work(lambda left: served.answer(text, value, left), receive)
        outcome = replace(outcome, seconds=time.perf_counter() - start)
        self.count(outcome)
        return _body(outcome, served.domain)


def _asked(body: bytes, content_type: str) -> object:
    """What was sent: JSON, or a line, which no JSON is. Raises WireError 400 for what is neither."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WireError(400, "the body is not UTF-8") from None
    if not text.strip():
        raise WireError(400, 'the body is empty; send a state: a JSON object, "feature:value; …", or a list of these')
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/plain" or (kind != "application/json" and text.lstrip()[0] not in '{["'):
        return text  # curl -d "$LINE" says that it is a form
    try:
        return json.loads(text, object_pairs_hook=_Record, parse_constant=_no_constant)
    except RecursionError:
        raise WireError(400, "the body is no JSON: nested too deep") from None
    except ValueError as error:
        raise WireError(400, f"the body is no JSON: {error}; a bare line is text/plain") from None


class _Record(dict[str, Any]):
    """A JSON object that remembers which keys it gave twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        keys = [key for key, _ in pairs]
        self.twice = [key for key in self if keys.count(key) > 1] if len(keys) > len(self) else []


def _text(given: object, domain: AnyDomain) -> str:
    """The text of one state as it was sent: a line, an object by names, or either under ``input``."""
    if isinstance(given, _Record) and given.twice:
        faults = [Fault(key[:60], "given twice", "once") for key in given.twice]
        raise InputError("keys are given twice", hint="give each key once", faults=faults)
    if isinstance(given, _Record) and given.keys() == {"input"} and "input" not in domain.input.node.fields:
        return _text(given["input"], domain) if not isinstance(given["input"], list) else _refuse(given, domain)
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and domain.input.node.kind != "text":
        return json.dumps(given, ensure_ascii=False)
    return _refuse(given, domain)


def _refuse(given: object, domain: AnyDomain) -> Never:
    fault = Fault(domain.input.title, _shown(given), domain.input.node.allowed)
    raise InputError(
        f"not a valid {domain.input.title}", hint='give a line, an object, or {"input": …}', faults=[fault]
    )


def _no_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON value")


def _shown(given: object) -> str:
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return text[:200]


def _json(body: object, status: int = 200) -> Response:
    return Response(escaped(json.dumps(body, ensure_ascii=False)), status, media_type="application/json")


def _body(outcome: Outcome[Any], domain: AnyDomain) -> dict[str, Any]:
    row = outcome.to_json(domain)
    del row["row"]
    return {**row, "violations": [{"id": broken.id, "text": broken.text} for broken in outcome.violations]}


def _problem(error: DrivecoachError) -> dict[str, Any]:
    return {"error": error.message, "hint": error.hint, "faults": [vars(fault) for fault in error.faults]}
