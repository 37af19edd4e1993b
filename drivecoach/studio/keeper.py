"""Runs one command to its end and keeps its exit code, whatever becomes of the studio that started it.

Run as a script, by its path: it imports nothing of drivecoach, so it costs little beside a training of hours.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

OUT, ERR, CODE, PID = "stdout", "stderr", "code", "pid"
"""The files of a job's folder that are written here."""


def keep(folder: Path, memory: int, lock: int, command: list[str]) -> None:
    """Run ``command``; its output and exit code go into ``folder``.

    ``memory``: the most bytes it may hold, 0 for no limit. ``lock``: a locked file, which stays locked until both are
    gone: so anyone can tell whether the job runs.
    """
    _write(folder / PID, os.getpid())  # of the session too, by which the whole job can be told to end
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # A handler, which the command does not inherit: it hears Ctrl-C even where the studio was told to ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with (folder / OUT).open("wb") as out, (folder / ERR).open("wb") as err:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=[lock])  # noqa: S603
    _write(folder / CODE, started.wait())


def _write(path: Path, number: int) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(str(number), encoding="ascii")
    part.replace(path)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
