"""The protocol that every runtime keeps, and how a model's address chooses one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from drivecoach.chat import Message
from drivecoach.domain import JsonObject
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.registry import Registry

TIMEOUT = 120.0
"""Seconds that one answer of a server may take, model loading included."""
RULES = "rules"
"""The one kind that needs no model: ``rules`` alone is an address."""
WARM = 0.6
"""Temperature of an answer that is asked for again: a greedy model would only repeat itself."""


class Again(RuntimeFailure):
    """A failure that passes: a timeout, a broken connection, trouble inside the server. Asking again is right."""


class Busy(Again):
    """The server works, but has more requests than it takes."""


class Down(Again):
    """Nobody answers at that address."""


@dataclass(frozen=True)
class Completion:
    """One raw answer."""

    text: str
    """What the model said, reasoning included, without its end token."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Wall time of this request, queueing included."""
    finished: bool
    """False when the answer was cut by the token limit."""
    prompt_seconds: float = 0.0
    """Time spent on reading the prompt, where the server tells."""
    completion_seconds: float = 0.0
    """Time spent on writing the answer, where the server tells."""
    source: str = "model"
    """Who answered: ``model``, or ``rules`` where no model was asked."""
    log_probability: float | None = None
    """Natural logarithm of how likely the answer was as a whole; None where the runtime does not tell."""


class Runtime(Protocol):
    """A place where a model answers; greedy unless the model's own settings say otherwise."""

    name: str
    slots: int
    """How many requests it works on at once; more only wait."""
    thinks: bool
    """Whether the model can write its reasoning before an answer."""
    metadata: Mapping[str, object]
    """What the model says of itself, by the keys of GGUF; empty where nothing is told."""

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        """Answer one user's text; safe to call from several threads.

        ``history``: the turns before, a system message first if it replaces the model's own. ``think=False`` tells a
        model that can think to answer at once. With a ``seed`` the answer is drawn at temperature WARM or above, to
        get another one than the last time. ``schema``: a JSON Schema that constrains the answer; reasoning is free.

        Raises InputError for a text that holds control tokens or is too long for the model, RuntimeFailure when the
        server does not answer.
        """

    def close(self) -> None:
        """Stop the server or drop the connection."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Batched(Protocol):
    """A runtime that answers many inputs in one call faster than in many calls."""

    together: int
    """How many inputs one call should have at most; 1 where one at a time is as good."""

    def generate_all(
        self, questions: Sequence[tuple[str, Sequence[Message], bool]]
    ) -> list[Completion | InputError]:
        """What `Runtime.generate` says to each (user, history, think), or the error that it raises for this one.

        Raises RuntimeFailure where none can be answered.
        """


class OpenRuntime(Protocol):
    """What makes a runtime, usually its class: the model's name after ``KIND:``, a server's address, seconds to wait.

    Opening is quick: a model is loaded with its first answer.
    """

    def __call__(self, model: str, host: str | None = None, *, timeout: float = TIMEOUT) -> Runtime: ...


RUNTIMES: Registry[OpenRuntime] = Registry(
    "runtime",
    {
        "llamacpp": "drivecoach.runtime.llamacpp:LlamaCpp",
        "ollama": "drivecoach.runtime.ollama:Ollama",
        RULES: "drivecoach.runtime.rules:Rules",
    },
    callable,
)


def address(model: str) -> tuple[str, str]:
    """The kind of a model's runtime and its name there: of ``ollama:goDrive``, of ``rules``, of a GGUF file's path."""
    kind, separator, name = model.partition(":")
    known = kind in RUNTIMES if separator else kind == RULES
    return (kind, name) if known else ("llamacpp", model)


def open_runtime(model: str, *, host: str | None = None, timeout: float = TIMEOUT) -> Runtime:
    """Open ``KIND:MODEL`` (``ollama:goDrive``), ``rules``, or the path of a GGUF file in the embedded llama.cpp.

    Raises ModelError when the file is not there or no GGUF, RuntimeFailure when the server is not.
    """
    kind, name = address(model)
    return RUNTIMES.load(kind)(name, host, timeout=timeout)
