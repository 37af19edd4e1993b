"""Several servers as one: the freest that is up gets the next request, failures that pass are asked again."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from drivecoach.batch.level import Level
from drivecoach.chat import Message
from drivecoach.domain import JsonObject
from drivecoach.errors import DrivecoachError, InputError, RuntimeFailure
from drivecoach.runtime import Again, Batched, Busy, Completion, Down, Runtime

TRIES = 10
"""How often one row is asked for before it is given up."""
PATIENCE = 120.0
"""Seconds without any answer from any server before the batch stops; a rerun goes on from there."""
_FIRST_WAIT, _BUSY_WAIT, _LONGEST_WAIT = 0.05, 1.0, 5.0

Open = Callable[[], Runtime]
T = TypeVar("T")


class GivenUp(RuntimeFailure):
    """One row had only failures that pass, too many of them."""


class Work:
    """What one caller asks for, from one thread or many: it is stopped as a whole, and nobody else's with it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """What stopped it; every ``generate`` for it raises this from then on."""
        self.trouble_since: float | None = None
        """When the first failure came after which it got no answer."""


class _Host:
    def __init__(self, open_runtime: Open) -> None:
        self.open = open_runtime
        self.opening = threading.Lock()
        self.runtime: Runtime | None = None
        self.level = Level()
        self.in_flight = 0
        self.falls = 0
        self.up_at = 0.0
        """When it may be asked again after it was down."""


class Hosts:
    """Safe to use from many threads. Every runtime must serve the same model."""

    def __init__(self, opens: Sequence[Open], *, patience: float = PATIENCE) -> None:
        self._hosts = [_Host(open_runtime) for open_runtime in opens]
        self._changed = threading.Condition()
        self._patience = patience
        self._process = os.getpid()
        self._closed = False
        self.retries = 0
        self.in_flight_most = 0
        self.together = 1
        """How many inputs one call should have at most: more than one once a runtime is open that gains by it."""

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
        work: Work | None = None,
    ) -> Completion:
        """The answer of one server or another; see `Runtime.generate`.

        Raises GivenUp after TRIES failures that pass, and RuntimeFailure, which stops all of ``work``, when a failure
        is permanent or no answer has come for ``patience`` seconds.
        """
        return self._ask(
            lambda runtime: runtime.generate(user, history, think=think, seed=seed, schema=schema), work or Work()
        )

    def generate_all(
        self, questions: Sequence[tuple[str, Sequence[Message], bool]], work: Work
    ) -> list[Completion | InputError]:
        """The answers of a runtime that takes ``together`` inputs in one call; see `Batched.generate_all`."""

        def ask(runtime: Runtime) -> list[Completion | InputError]:
            assert isinstance(runtime, Batched)  # noqa: S101  # or `together` were 1
            return runtime.generate_all(questions)

        return self._ask(ask, work)

    def _ask(self, ask: Callable[[Runtime], T], work: Work) -> T:
        """What ``ask`` gets from the freest server, asked again elsewhere after a failure that passes."""
        self._check_process()
        tries = 0
        last: _Host | None = None
        while True:
            host = self._take(last, work)
            try:
                if host.runtime is None:
                    self._open(host)
                assert host.runtime is not None  # noqa: S101  # _open sets it or raises
                answer = ask(host.runtime)
            except Again as error:
                failure: Again = error
            except DrivecoachError as error:
                self._give(host)
                if isinstance(error, RuntimeFailure):
                    self.stop(work, error)
                raise
            except BaseException:
                self._give(host)
                raise
            else:
                self._answered(host, work)
                return answer
            last = host
            tries += not isinstance(failure, Down | Busy)
            self._failed(host, failure, work)
            if tries >= TRIES:
                raise GivenUp(f"{failure.message} ({tries} times)", hint=failure.hint) from failure
            self._wait(_BUSY_WAIT if isinstance(failure, Busy) else _FIRST_WAIT * 2**tries, work)

    @property
    def metadata(self) -> Mapping[str, object]:
        """What the model says of itself, by the first server that answers; raises RuntimeFailure when none does."""
        self._check_process()
        failure: Down | None = None
        for host in self._hosts:
            try:
                self._open(host)
            except Down as error:
                failure = error
                continue
            assert host.runtime is not None  # noqa: S101  # _open sets it or raises
            return host.runtime.metadata
        assert failure is not None  # noqa: S101  # there is at least one host
        raise failure

    def stop(self, work: Work, error: BaseException) -> None:
        """End a piece of work for every thread that takes part in it."""
        with self._changed:
            work.error = work.error or error
            self._changed.notify_all()

    def close(self) -> None:
        """Drop every connection; whoever asks from now on is told so. In a forked child they stay the parent's."""
        self._closed = True
        if os.getpid() != self._process:
            return
        for host in self._hosts:
            with host.opening:
                if host.runtime is not None:
                    host.runtime.close()

    def _check_process(self) -> None:
        """Before any lock: one that another thread held at the moment of a fork stays locked in the child."""
        if os.getpid() != self._process:
            raise RuntimeFailure(
                f"this model was opened by the process {self._process}; its forked child cannot use it",
                hint="start children by multiprocessing's 'spawn', or fork before a model is opened",
            )

    def _take(self, last: _Host | None, work: Work) -> _Host:
        """Wait for a server that is up and has room; rather another one than the ``last``."""
        with self._changed:
            while True:
                if self._closed:
                    work.error = work.error or _was_closed()
                if work.error is not None:
                    raise work.error
                now = time.monotonic()
                free = [host for host in self._hosts if host.up_at <= now and host.in_flight < host.level.limit]
                if free:
                    host = min(free, key=lambda host: (host is last, host.in_flight / host.level.limit))
                    host.in_flight += 1
                    self.in_flight_most = max(self.in_flight_most, sum(h.in_flight for h in self._hosts))
                    return host
                self._changed.wait(0.05)

    def _open(self, host: _Host) -> None:
        """Open a server's runtime once, however many threads want it: an embedded one is a model in memory."""
        with host.opening:
            if host.runtime is not None:
                return
            if self._closed:
                raise _was_closed()
            if host.up_at > time.monotonic():
                raise Down("the server is still down", hint="start it")
            runtime = host.open()
            with self._changed:
                host.runtime = runtime
                if len(self._hosts) == 1 and isinstance(runtime, Batched):
                    self.together = runtime.together
                if runtime.slots > 1:  # an embedded engine knows its own best; a server's is found out
                    host.level = Level(runtime.slots, runtime.slots)

    def _answered(self, host: _Host, work: Work) -> None:
        with self._changed:
            host.in_flight -= 1
            host.falls = 0
            host.level.done()
            work.trouble_since = None
            self._changed.notify()

    def _failed(self, host: _Host, failure: Again, work: Work) -> None:
        with self._changed:
            host.in_flight -= 1
            self.retries += 1
            now = time.monotonic()
            if isinstance(failure, Busy):
                host.level.busy()
            if isinstance(failure, Down) and host.up_at <= now:
                host.falls += 1
                host.up_at = now + min(2.0, 0.1 * 2**host.falls) * random.uniform(0.5, 1)  # noqa: S311
            work.trouble_since = work.trouble_since or now
            if now - work.trouble_since > self._patience:
                work.error = work.error or RuntimeFailure(
                    f"no server has answered for {self._patience:g} s: {failure.message}",
                    hint="restart it, then run the same command again: what was answered is kept",
                )
            self._changed.notify_all()

    def _give(self, host: _Host) -> None:
        with self._changed:
            host.in_flight -= 1
            self._changed.notify()

    def _wait(self, longest: float, work: Work) -> None:
        """Back off by a random time, or until the work is stopped."""
        seconds = random.uniform(0.25, 1) * min(longest, _LONGEST_WAIT)  # noqa: S311
        end = time.monotonic() + seconds
        with self._changed:
            while work.error is None and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)


def _was_closed() -> RuntimeFailure:
    return RuntimeFailure("this model was closed", hint="open it again, or ask before it is closed")
