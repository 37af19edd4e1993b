"""The ASGI application: the routes, and the middleware around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from drivecoach import __version__
from drivecoach.serve import openai
from drivecoach.serve.api import Api
from drivecoach.serve.coach import CoachApi
from drivecoach.serve.cockpit import CockpitApi
from drivecoach.serve.current import Current
from drivecoach.serve.limits import LIMITS, Limits
from drivecoach.serve.live import LiveApi
from drivecoach.serve.metrics import Metrics, Watch
from drivecoach.serve.middleware import Body, Key, LocalHost, Origin
from drivecoach.serve.openapi import describe
from drivecoach.serve.wire import WireError


def make_app(
    current: Current,
    *,
    key: str | None = None,
    origins: Sequence[str] = (),
    any_host: bool = False,
    limits: Limits = LIMITS,
) -> Starlette:
    """The application on what is served; it closes that when it stops.

    ``key``: every request but a probe must carry it as a bearer token. ``origins``: web pages that may ask; none by
    default. ``any_host``: answer to any Host header; otherwise only to names of this machine, against DNS rebinding.
    """
    metrics = Metrics(current)
    api = Api(current, f"{__version__}-drivecoach")
    live = LiveApi(current, limits, metrics.count)
    metrics.watch_live(lambda: len(live.sessions), lambda: live.readers.count)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        live.close()
        current.close()

    async def described(_: Request) -> Response:
        return JSONResponse(describe(current.served.domain, limits, __version__))

    routes: list[BaseRoute] = [
        *CoachApi(current, limits, metrics.count).routes(),
        *live.routes(),
        *CockpitApi(current, live, limits).routes(),
        Route("/openapi.json", described, methods=["GET"]),
        *metrics.routes(),
        *api.routes(),
        *openai.routes(api),
    ]
    # The outermost first. A browser's preflight carries no key; whoever has none learns nothing else.
    middleware = [
        Middleware(
            Watch, metrics=metrics, paths=frozenset(route.path for route in routes if isinstance(route, Route | Mount))
        )
    ]
    if origins:
        cors = Middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["*"])
        middleware.append(cors)
    if key:
        middleware.append(Middleware(Key, key=key))
    if not any_host:
        middleware.append(Middleware(LocalHost))
    middleware += [Middleware(Origin, origins=origins), Middleware(Body, limits=limits)]
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={WireError: _refused, HTTPException: _no_route},
        lifespan=lifespan,
    )
    app.state.stopping = live.close
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, WireError)  # noqa: S101  # Starlette's type is wider than its promise
    body = openai.error_body(error) if request.url.path.startswith("/v1/") else {"error": error.message}
    return JSONResponse(body, error.status)


async def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    texts = {404: "404 page not found", 405: "405 method not allowed"}
    return PlainTextResponse(texts.get(error.status_code, error.detail), error.status_code, headers=error.headers)
