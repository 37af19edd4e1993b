"""One writer a folder: a lock of the operating system, which is gone when its holder is, however that ended."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel

from drivecoach.errors import StorageError

LOCK = ".lock"


class Holder(BaseModel):
    """Who writes into a folder."""

    pid: int
    host: str
    since: str
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}, {self.command}"


_ANOTHER_NAME = "wait until it is done; to train beside it, take another name: --set name=OTHER"


@contextmanager
def locked(folder: Path, hint: str = _ANOTHER_NAME) -> Iterator[None]:
    """Hold ``folder``, which is made, for writing. Raises StorageError that says who holds it already.

    ``hint``: what helps then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"could not write {folder / LOCK}: {error.strerror or error}",
            hint="choose a folder you may write to: --runs FOLDER",
        ) from error
    with stream:  # the file stays: to remove it would let two processes hold a lock each
        if not _lock(stream):
            raise StorageError(
                f"{folder} is in use by {_read(folder) or 'another process'}",
                hint=hint,
            )
        _write(stream, _myself().model_dump_json())
        try:
            yield
        finally:
            _write(stream, "")


def holder(folder: Path) -> Holder | None:
    """Who writes into ``folder`` now; of another machine's process, that it did not say it was done."""
    found = _read(folder)
    if found is None or found.host != socket.gethostname():
        return found
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return None  # it was killed
    except OSError:
        pass  # another user's
    return found


def _lock(stream: TextIO) -> bool:
    """Whether this process holds the lock now; on a file system that knows no locks, everybody does."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _myself() -> Holder:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return Holder(pid=os.getpid(), host=socket.gethostname(), since=now, command=command[:200])


def _read(folder: Path) -> Holder | None:
    try:
        return Holder.model_validate_json((folder / LOCK).read_bytes())
    except (OSError, ValueError):
        return None


def _write(stream: TextIO, text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text)
    stream.flush()
