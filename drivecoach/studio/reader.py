"""Reading files, and importing a person's domain, in a process of its own: what bursts takes nothing else along."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar, cast

from drivecoach.errors import DataError, DrivecoachError, Fault, first_line
from drivecoach.studio.jobs import DATA_MEMORY

SECONDS = 120.0
"""How long one reading may take."""
Value = TypeVar("Value")


class Reader:
    """One process that reads; it is made when first needed, and made anew where it was lost."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def call(self, read: Callable[..., Value], *arguments: object) -> Value:
        """What ``read`` returns there; raises the DrivecoachError that it raised."""
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin)
            pool = self._pool
        try:
            value, fault = pool.submit(_safely, read, arguments).result(SECONDS)
        except (BrokenProcessPool, TooLong) as error:
            self._drop(pool)
            what = "took too long" if isinstance(error, TooLong) else f"needed more than {DATA_MEMORY >> 30} GiB"
            raise DataError(
                f"reading the file {what}", hint="split it into smaller files, or save it as JSONL"
            ) from None
        if fault is not None:
            message, hint, faults = fault
            raise DataError(message, hint=hint, faults=[Fault(*each) for each in faults])
        return cast("Value", value)

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        for process in [*getattr(pool, "_processes", {}).values()]:
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the studio is told, and ends this
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_MEMORY, DATA_MEMORY))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _safely(read: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[Any, Any]:
    """The value, or what a DrivecoachError said: the error itself would not survive the way between processes."""
    try:
        return read(*arguments), None
    except DrivecoachError as error:
        return None, (error.message, error.hint, [(each.where, each.found, each.allowed) for each in error.faults])
    except MemoryError:
        return None, (f"reading needs more than {DATA_MEMORY >> 30} GiB", "split the file, or save it as JSONL", [])
    except (Exception, SystemExit) as error:  # a person's own domain file may do anything
        return None, (f"{type(error).__name__}: {first_line(error)}", "look at the domain's Python file", [])
