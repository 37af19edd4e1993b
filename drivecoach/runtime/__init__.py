"""Model servers behind one protocol: a user's text in, the model's raw answer out."""

from drivecoach.runtime.base import (
    RULES,
    RUNTIMES,
    TIMEOUT,
    Again,
    Batched,
    Busy,
    Completion,
    Down,
    OpenRuntime,
    Runtime,
    address,
    open_runtime,
)

__all__ = [
    "RULES",
    "RUNTIMES",
    "TIMEOUT",
    "Again",
    "Batched",
    "Busy",
    "Completion",
    "Down",
    "OpenRuntime",
    "Runtime",
    "address",
    "open_runtime",
]
