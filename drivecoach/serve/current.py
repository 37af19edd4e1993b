"""What is served now: a model with its domain, guard and queue, and how another takes its place while it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError, ModelError, first_line
from drivecoach.infer import Engine, Guard, Outcome, Question
from drivecoach.runtime import Runtime, address, open_runtime
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.serve.limits import LIMITS, Limits
from drivecoach.serve.model import ServedModel
from drivecoach.serve.work import Left, WorkQueue

LOG = logging.getLogger("drivecoach.serve")

FindDomain = Callable[[Runtime], AnyDomain]


class Served:
    """One model that answers: behind the guard, and by Ollama's wire format where it is a GGUF (``model``)."""

    def __init__(
        self, runtime: Runtime, domain: AnyDomain, guard: Guard, limits: Limits, model: ServedModel | None = None
    ) -> None:
        self.runtime = runtime
        self.domain = domain
        self.guard = guard
        self.model = model
        self.name = model.name if model else runtime.name
        self.queue = WorkQueue(runtime.slots, limits.queue, limits.seconds)
        Engine(runtime.generate, domain, guard)  # a guard that this domain cannot have is refused now

    def answer(self, text: str, value: object, left: Left) -> Outcome[object]:
        """The outcome for an input that was read, ``text`` its canonical form. Raises RuntimeFailure."""
        generate = self.runtime.generate
        if isinstance(self.runtime, LlamaCpp):
            generate = partial(self.runtime.generate, stop=left)
        return Engine(generate, self.domain, self.guard).settle(value, Question(text))

    def warm(self) -> None:
        """Answer before anybody asks: what is loaded, imported or made with the first answer is there afterwards."""
        if self.model is not None:
            self.model.warm()
        value = next(self.domain.inputs(), None)
        if value is not None:
            self.answer(self.domain.write_input(value), value, lambda: False)

    def close(self, *, finish: bool) -> None:
        """Free the model; with ``finish`` after all that waits for it was answered."""
        self.queue.close(finish=finish)
        self.runtime.close()


def open_served(
    model: str, name: str | None, find_domain: FindDomain, choose_guard: Callable[[AnyDomain], Guard]
) -> Served:
    """Load ``model``, a GGUF file or ``KIND:MODEL``, and warm it."""
    kind, place = address(model)
    gguf = ServedModel(Path(place), name) if kind == "llamacpp" else None
    runtime: Runtime = gguf.runtime if gguf else open_runtime(model)
    try:
        domain = find_domain(runtime)
        served = Served(runtime, domain, choose_guard(domain), LIMITS, gguf)
        served.warm()
    except BaseException:
        runtime.close()
        raise
    return served


class Current:
    """The one that is served, and ``load``, which loads its successor from the same place."""

    def __init__(self, served: Served, load: Callable[[], Served] | None = None) -> None:
        self.served = served
        self.ready = True
        """False once the server stops."""
        self.reloads = self.failed_reloads = 0
        self._load = load
        self._reloading = asyncio.Lock()

    async def reload(self) -> None:
        """Put a new one in its place: new requests go to it, those that wait for the old one are answered by that.

        When it cannot be loaded, the old one goes on; the log says why.
        """
        assert self._load is not None  # noqa: S101  # only a server with a place to load from is told to
        async with self._reloading:
            try:
                new = await asyncio.to_thread(self._load)
                if new.domain.name != self.served.domain.name:
                    new.close(finish=False)
                    raise ModelError(
                        f"the new model is for the domain {new.domain.name}, not {self.served.domain.name}",
                        hint="start another server for it",
                    )
            except Exception as error:
                self.failed_reloads += 1
                said = f"{error}; {error.hint}" if isinstance(error, DrivecoachError) else first_line(error)
                LOG.error("reload failed, the model before goes on: %s", said)
                return
            old, self.served = self.served, new
            self.reloads += 1
            LOG.info("reload: %s is served from now on", describe(new))
            await asyncio.to_thread(old.close, finish=True)

    def close(self) -> None:
        """Stop: what waits is dropped, what is under way was finished before."""
        self.ready = False
        self.served.close(finish=False)


def describe(served: Served) -> str:
    """Its name, what it is for, and which file it is."""
    file = f", sha256 {served.model.digest[:12]}" if served.model else ""
    return f"{served.name} ({served.domain.name}{file})"
