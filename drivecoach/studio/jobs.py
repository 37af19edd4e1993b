"""Commands that the studio starts and only watches: each lives on without it, and is found again by its files."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

import drivecoach
from drivecoach.errors import InputError, StorageError
from drivecoach.files import write_json
from drivecoach.studio import keeper
from drivecoach.studio.workspace import Workspace

State = Literal["running", "done", "failed", "stopped"]

DATA_MEMORY = 4 << 30
"""Bytes that a command may hold which only reads data: a file made to burst, bursts there."""

_KEPT = 200
"""Jobs whose files are kept."""
_TAIL = 64 << 10
"""Bytes of output that are shown."""
_RESULT = 64 << 20
"""Bytes of a result that are read."""
_ENDED = (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)
_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[a-z]+")
_FILE, _LOCK = "job.json", "lock"


class _Started(BaseModel):
    """What is known of a job before it begins."""

    argv: list[str]
    started: str
    about: str


@dataclass(frozen=True)
class Job:
    """A ``drivecoach`` command, running or ended."""

    id: str
    argv: list[str]
    """What stands after ``drivecoach``."""
    started: str
    """ISO 8601 in UTC."""
    about: str
    """What it is about, for whoever looks for its job: the name of a run, or of a file."""
    state: State
    code: int | None
    """The exit code, where it ended of itself."""
    folder: Path

    @property
    def command(self) -> str:
        """The command line that does the same in a terminal, in the studio's folder."""
        return shown(self.argv)

    @property
    def output(self) -> str:
        """The end of what it printed."""
        return _tail(self.folder / keeper.OUT)

    @property
    def messages(self) -> str:
        """The end of what it said beside that: progress, notes, and what went wrong."""
        return _tail(self.folder / keeper.ERR)

    def result(self) -> Any:
        """The JSON that it printed; None while it runs, or where it printed none."""
        path = self.folder / keeper.OUT
        if self.state == "running" or not path.is_file():
            return None
        if path.stat().st_size > _RESULT:
            raise InputError(
                f"the result of {self.command} is larger than {_RESULT >> 20} MiB, too much for a page",
                hint="run that command in a terminal",
            )
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return None

    def to_json(self) -> dict[str, object]:
        """What the page is told of it."""
        return {
            "id": self.id,
            "verb": self.argv[0],
            "argv": self.argv,
            "command": self.command,
            "about": self.about,
            "started": self.started,
            "state": self.state,
            "code": self.code,
            "messages": self.messages,
        }


class Jobs:
    """The jobs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.own / "jobs"
        self._folder.mkdir(exist_ok=True)
        self._mine: list[subprocess.Popen[bytes]] = []
        self._starting = threading.Lock()

    def start(self, argv: Sequence[str], *, about: str = "", memory: int = 0) -> Job:
        """Start ``drivecoach ARGV`` in the workspace, in a session of its own: it does not end with the studio.

        ``memory``: the most bytes it may hold.
        """
        with self._starting:
            now = datetime.now(UTC)
            id = f"{now:%Y%m%d-%H%M%S-%f}-{argv[0]}"
            folder = self._folder / id
            try:
                self._forget_old()
                folder.mkdir()
                started = _Started(argv=[*argv], started=now.isoformat(timespec="seconds"), about=about)
                write_json(folder / _FILE, started.model_dump())
                self._run(folder, argv, memory)
            except OSError as error:
                raise StorageError(
                    f"could not start {shown(argv)}: {error.strerror or error}",
                    hint=f"see that {folder} can be written and that the disk is not full",
                ) from error
        return self.job(id)

    def _run(self, folder: Path, argv: Sequence[str], memory: int) -> None:
        # -P: what lies in the workspace is data, never a module.
        command = [sys.executable, "-P", "-m", "drivecoach", *argv]
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [sys.executable, "-S", "-E", keeper.__file__, str(folder), str(memory), str(lock), *command]
            self._mine.append(
                subprocess.Popen(  # noqa: S603
                    kept,
                    cwd=self._workspace.folder,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=[lock],
                )
            )
        finally:
            os.close(lock)  # the keeper and the command hold it from now on

    def jobs(self) -> list[Job]:
        """All that are known, the newest first."""
        found = []
        for name in self._names():
            with suppress(InputError):
                found.append(self.job(name))
        return found

    def job(self, id: str) -> Job:
        """One by its id; raises InputError where there is none."""
        folder = self._folder / id
        try:
            if not _ID.fullmatch(id):
                raise ValueError
            known = _Started.model_validate_json((folder / _FILE).read_bytes())
        except (OSError, ValueError):
            raise InputError(
                f"there is no job {id[:60]!r}", hint="it is one of an older studio: start it again"
            ) from None
        self._mine = [each for each in self._mine if each.poll() is None]  # ended ones are no zombies
        running = _is_locked(folder / _LOCK)
        code = None if running else _number(folder / keeper.CODE)
        state: State = "running" if running else "done" if code == 0 else "failed"
        if code in _ENDED or (not running and code is None):
            state = "stopped"
        return Job(id, known.argv, known.started, known.about, state, code, folder)

    def running(self, *verbs: str) -> list[Job]:
        """Those that run now, of these verbs."""
        return [job for job in self.jobs() if job.state == "running" and job.argv[0] in verbs]

    def newest(self, verb: str, about: str) -> Job | None:
        """The newest of a verb about one thing."""
        return next((job for job in self.jobs() if job.argv[0] == verb and job.about == about), None)

    def stop(self, job: Job) -> None:
        """Tell it to end, as Ctrl-C in a terminal does: a training keeps its last checkpoint."""
        pid = _number(job.folder / keeper.PID)
        if pid is not None and _is_locked(job.folder / _LOCK):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)

    def _names(self) -> list[str]:
        return sorted((path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name)), reverse=True)

    def _forget_old(self) -> None:
        for name in self._names()[_KEPT:]:
            if not _is_locked(self._folder / name / _LOCK):
                shutil.rmtree(self._folder / name, ignore_errors=True)


def shown(argv: Sequence[str]) -> str:
    """The command line of ``drivecoach ARGV``, to be copied into a terminal."""
    return shlex.join(["drivecoach", *argv])


def _environment() -> dict[str, str]:
    """This process's own; the same drivecoach is found, and lines are not broken for a narrow terminal."""
    here = str(Path(drivecoach.__file__).parents[1])
    paths = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": paths, "COLUMNS": "160", "NO_COLOR": "1"}


def _is_locked(path: Path) -> bool:
    """Whether a job's keeper or command holds this; looking takes a shared lock, so that two who look agree."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return stream.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        return ""
