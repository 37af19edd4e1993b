"""The protocol that every runtime keeps, and how a model's address chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from drivecoach.errors import RuntimeFailure
from drivecoach.registry import RUNTIMES, load

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


class Runtime(Protocol):
    """A place where a model answers; greedy unless the model's own settings say otherwise."""

    name: str
    slots: int
    """How many requests it works on at once; more only wait."""

    def generate(self, user: str, *, seed: int | None = None) -> Completion:
        """Answer one user's text; safe to call from several threads.

        With a ``seed`` the answer is drawn at temperature WARM or above, to get another one than the last time.

        Raises InputError for a text that holds control tokens, RuntimeFailure when the server does not answer.
        """

    def close(self) -> None:
        """Stop the server or drop the connection."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_runtime(model: str, *, host: str | None = None) -> Runtime:
    """Open ``ollama:NAME`` on an Ollama server, or the path of a GGUF file in the embedded llama.cpp.

    Raises ModelError when the file is not there or no GGUF, RuntimeFailure when the server is not.
    """
    kind, separator, name = model.partition(":")
    if not separator or kind not in RUNTIMES:
        kind, name = "llamacpp", model
    runtime: Runtime = load(RUNTIMES, kind)(name, host)
    return runtime
