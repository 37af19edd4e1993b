"""How a command stands in its process: Ctrl-C and SIGTERM from the first moment on, and the standard streams."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from drivecoach import quiet

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
SAID = {
    INTERRUPTED: "interrupted; what was finished is kept, the same command goes on from there",
    TERMINATED: "terminated; what was finished is kept, the same command goes on from there",
}
"""The exit codes of a command that was told to end, and what it says then."""
_SLOW = 2.0
"""Seconds after which a command that is still ending says so."""


@contextmanager
def ended_at_once() -> Iterator[None]:
    """While nothing has been begun, as during the imports, Ctrl-C ends the process with one line."""

    def end(number: int, frame: FrameType | None) -> None:
        _leave(128 + number, "interrupted")

    with _handled(end, signal.SIGINT):
        yield


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Ctrl-C and SIGTERM become KeyboardInterrupt and SystemExit; a second signal ends the process at once."""
    mine = os.getpid()

    def again(number: int, frame: FrameType | None) -> None:
        _leave(128 + number, "ended at once; the same command goes on from what was finished")

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != mine:  # a child made by fork, where nothing of ours is to be put in order
            os._exit(128 + number)
        for each in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, again)
        slow = threading.Timer(_SLOW, _say, ["\nending what is under way; once more ends it at once"])
        slow.daemon = True
        slow.start()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)

    def unraisable(lost: Any) -> None:
        """Python drops what is raised in a finalizer, an interruption too."""
        if issubclass(lost.exc_type, KeyboardInterrupt | SystemExit):
            _leave(TERMINATED if issubclass(lost.exc_type, SystemExit) else INTERRUPTED, "interrupted")
        sys.__unraisablehook__(lost)

    before, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        with _handled(end, signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        sys.unraisablehook = before


@contextmanager
def _handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals for a while, but for those that the process was started to ignore (nohup, a shell's ``&``)."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
    for number, found in before.items():
        if found is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)


def open_streams() -> None:
    """A closed standard stream becomes an empty one; what an encoding lacks is written as an escape, not refused."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave(code: int, text: str) -> None:
    _say(f"\n{text}")
    os._exit(code)


def _say(text: str) -> None:
    """Write as a signal handler may: unbuffered, past what has turned standard error into a log."""
    os.write(quiet.stderr.fileno(), f"{text}\n".encode())
