"""Model servers behind one protocol: a user's text in, the model's raw answer out."""

from drivecoach.runtime.base import (
    RUNTIMES,
    TIMEOUT,
    Again,
    Busy,
    Completion,
    Down,
    OpenRuntime,
    Runtime,
    open_runtime,
)

__all__ = [
    "RUNTIMES",
    "TIMEOUT",
    "Again",
    "Busy",
    "Completion",
    "Down",
    "OpenRuntime",
    "Runtime",
    "open_runtime",
]
