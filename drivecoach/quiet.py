"""What a person sees, and what other libraries print: the latter goes into a log file while `noise_into` lasts.

Libraries talk through logging, warnings, progress bars, bare prints and, from C++, straight to the file descriptors.
All of it ends in the descriptors 1 and 2; so these are what is turned to the log, and our own lines take copies.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO, cast

LOG = "run.log"
"""The name of the log in a run folder."""


class _Seen:
    """Standard output or error as a person sees it, whatever `noise_into` does to the descriptor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.copy: TextIO | None = None

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.copy or getattr(sys, self.name) or _nowhere(), attribute)


@cache
def _nowhere() -> TextIO:
    """In place of a stream that whoever started this process has closed."""
    return Path(os.devnull).open("w", encoding="utf-8")


_STREAMS = (_Seen("stdout"), _Seen("stderr"))
stdout, stderr = (cast(TextIO, stream) for stream in _STREAMS)
"""For our own lines, in place of ``sys.stdout`` and ``sys.stderr``."""


def is_quiet() -> bool:
    """Whether what others print goes into a log just now."""
    return any(stream.copy for stream in _STREAMS)


@contextmanager
def noise_into(log: Path) -> Iterator[None]:
    """Append to ``log`` whatever is printed in the body, except through `stdout` and `stderr` of this module.

    An error that leaves the body has a note that names the log, if anything was added; if not, the log is as it was.
    Where the log cannot be written, nothing is hidden.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        yield
        return
    start = os.fstat(target).st_size
    os.write(target, f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}\n".encode(errors="replace"))
    before = os.fstat(target).st_size
    try:
        with ExitStack() as stack:
            for descriptor, stream in enumerate(_STREAMS, start=1):
                stack.enter_context(_turned(descriptor, stream, target))
            yield
    except Exception as error:
        if os.fstat(target).st_size > before:
            error.add_note(f"what the libraries said is in {log}")
        raise
    finally:
        if os.fstat(target).st_size == before:
            os.ftruncate(target, start)
            if not start:
                log.unlink(missing_ok=True)
        os.close(target)


@contextmanager
def _turned(descriptor: int, stream: _Seen, target: int) -> Iterator[None]:
    """Turn ``descriptor`` to the file ``target``; ``stream`` stays where it was."""
    python = getattr(sys, stream.name)
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed by whoever started this process
        yield
        return
    _flush(python)
    before = stream.copy
    if before is None and _descriptor_of(python) == descriptor:
        stream.copy = open(  # noqa: SIM115
            kept, "w", encoding=python.encoding, errors=python.errors, buffering=1, closefd=False
        )
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        _flush(python)
        _flush(stream.copy)
        with suppress(OSError, TypeError, AttributeError):  # Windows has no CDLL(None)
            ctypes.CDLL(None).fflush(None)  # what C++ wrote and kept for the end of the process
        stream.copy = before
        os.dup2(kept, descriptor)
        os.close(kept)


def _descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor that a stream writes to; None for one in memory, as tests put in its place."""
    with suppress(OSError, ValueError, AttributeError):
        return cast(TextIO, stream).fileno()
    return None


def _flush(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError):  # a pipe that nobody reads any more
        if stream is not None:
            stream.flush()
