"""What is known of a running server: ``/health`` for who starts and balances it, ``/metrics`` for Prometheus, a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drivecoach.infer import Outcome
from drivecoach.serve.cockpit import STEER
from drivecoach.serve.current import Current

REQUESTS = logging.getLogger("drivecoach.requests")
disable_created_metrics()  # a second line for every count, of no use here
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one server, and the endpoints that show them."""

    def __init__(self, current: Current) -> None:
        self.current = current
        self.registry = here = CollectorRegistry()
        by, said = ["endpoint"], "From a request's head to the end of its answer."
        self.requests = Counter("drivecoach_requests", "Requests answered.", [*by, "status"], registry=here)
        self.errors = Counter("drivecoach_errors", "Requests with a status of 500 or more.", by, registry=here)
        self.seconds = Histogram("drivecoach_request_seconds", said, by, buckets=_SECONDS, registry=here)
        outcome = ["status", "source"]
        self.outcomes = Counter("drivecoach_outcomes", "States answered by /coach.", outcome, registry=here)
        self.replaced = Counter("drivecoach_guard_replacements", "Answers that the guard replaced.", registry=here)
        for name, text, value in (
            ("drivecoach_queue_waiting", "Requests that wait.", lambda: current.served.queue.waiting),
            ("drivecoach_queue_working", "Requests that are worked on.", lambda: current.served.queue.working),
            ("drivecoach_ready", "1 while requests are taken.", lambda: self.is_ready),
            ("drivecoach_reloads", "Models put in another's place.", lambda: current.reloads),
            ("drivecoach_failed_reloads", "Models that could not be.", lambda: current.failed_reloads),
        ):
            Gauge(name, text, registry=here).set_function(value)
        self.model = Gauge("drivecoach_model", "1 for the model that is served.", ["name", "sha256"], registry=here)

    def watch_live(self, sessions: Callable[[], float], readers: Callable[[], float]) -> None:
        """Show how many live sessions there are, and how many clients read their events."""
        Gauge("drivecoach_live_sessions", "Live sessions.", registry=self.registry).set_function(sessions)
        Gauge("drivecoach_live_readers", "Clients that read events.", registry=self.registry).set_function(readers)

    @property
    def is_ready(self) -> bool:
        """Whether another request would be taken: not while the server stops, nor while its queue is full."""
        return self.current.ready and self.current.served.queue.has_room

    def routes(self) -> list[Route]:
        """``/health``, ``/health/live``, ``/health/ready``, ``/metrics``."""
        return [
            Route("/health", self.health, methods=["GET", "HEAD"]),
            Route("/health/live", self.live, methods=["GET", "HEAD"]),
            Route("/health/ready", self.health, methods=["GET", "HEAD"]),
            Route("/metrics", self.shown, methods=["GET", "HEAD"]),
        ]

    async def live(self, _: Request) -> Response:
        """Whether the process answers at all."""
        return JSONResponse({"live": True})

    async def health(self, _: Request) -> Response:
        """Whether it takes requests; a 503 where it does not."""
        return JSONResponse({"live": True, "ready": self.is_ready}, 200 if self.is_ready else 503)

    async def shown(self, _: Request) -> Response:
        """Everything that was counted, in Prometheus' text form."""
        served = self.current.served
        self.model.clear()
        self.model.labels(served.name, served.model.digest if served.model else "").set(1)
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def count(self, outcome: Outcome[Any]) -> None:
        """One more outcome of /coach."""
        self.outcomes.labels(outcome.status, outcome.source).inc()
        if outcome.reason.startswith("replaced: "):
            self.replaced.inc()


class Watch:
    """Counts every request, and writes a line of it to the log: no text of the client's, not even an unknown path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 499  # as for a client that leaves without an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            status = 500
            raise
        finally:
            seconds = time.perf_counter() - start
            route = scope.get("route")  # by its pattern: the name of a session is a text of the client's
            path = getattr(route, "path", scope["path"])
            path = path if path in self.paths else "(other)"
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(seconds)
            if status >= 500:
                self.metrics.errors.labels(path).inc()
            often = path == STEER and status < 400  # a page that drives says so many times a second
            level = logging.DEBUG if often else logging.INFO
            REQUESTS.log(level, "%s %s %s %.1f ms", method, path, status, seconds * 1000)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
