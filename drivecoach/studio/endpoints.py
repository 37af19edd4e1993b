"""How a tab's functions become routes: JSON in, checked; JSON out; every refusal with what helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drivecoach.errors import DrivecoachError, InputError
from drivecoach.web.safety import SAFETY

BODY = 8 << 20
"""Bytes of a request, uploads apart."""


class TooLarge(InputError):
    """More bytes than are taken."""


class Asked(BaseModel):
    """The body of a request; each of them names its own keys."""

    model_config = ConfigDict(extra="forbid", strict=True)


Body = TypeVar("Body", bound=Asked)


def get(path: str, answer: Callable[[Mapping[str, str]], object]) -> Route:
    """A route that reads; ``answer`` is given the parts of the path and the query, and runs in a thread."""

    async def handle(request: Request) -> Response:
        given = {**request.query_params, **request.path_params}
        return answered(await run_in_threadpool(answer, given))

    return Route(path, handle, methods=["GET"])


def post(path: str, kind: type[Body], answer: Callable[[Body, Mapping[str, str]], object]) -> Route:
    """A route that does something; ``answer`` is given the body as a ``kind``, and the parts of the path."""

    async def handle(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY:
                raise TooLarge(f"the request is larger than {BODY >> 20} MiB", hint="do it in smaller parts")
        try:
            asked = kind.model_validate_json(bytes(body) or b"{}")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the request"
            raise InputError(f"{where}: {first['msg']}", hint="reload the page") from None
        return answered(await run_in_threadpool(answer, asked, request.path_params))

    return Route(path, handle, methods=["POST"])


def answered(value: object, status: int = 200) -> Response:
    """``value`` as JSON, which no browser takes for a page or keeps."""
    return JSONResponse(to_jsonable_python(value), status, headers={**SAFETY, "cache-control": "no-store"})


async def refused(_: Request, error: Exception) -> Response:
    """What a page is told of a DrivecoachError."""
    assert isinstance(error, DrivecoachError)  # noqa: S101  # Starlette's type is wider than its promise
    return answered(told(error), 413 if isinstance(error, TooLarge) else 400)


def told(error: DrivecoachError) -> dict[str, object]:
    """An error as the page shows it: what is wrong, what helps, and each fault at its place."""
    faults = [{"where": fault.where, "found": fault.found, "allowed": fault.allowed} for fault in error.faults]
    return {"error": error.message, "hint": error.hint, "faults": faults}
