"""The models that a person compares: opened when they are asked, two at most, closed when nobody asks any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from drivecoach.config import check_model_name, read_recipe
from drivecoach.domains.load import DOMAINS, load_domain
from drivecoach.errors import DrivecoachError, ModelError
from drivecoach.evaluate.target import Target, open_target
from drivecoach.infer import Engine, Guard, Outcome, Question
from drivecoach.runtime import RULES, address
from drivecoach.studio.workspace import Workspace

MOST = 2
"""Models that are open at once."""
IDLE = 300.0
"""Seconds without a question after which all are closed."""


@dataclass(frozen=True)
class Model:
    """What can be asked, by the name that the page has for it."""

    id: str
    """``runs/NAME``, the path of a GGUF file in the workspace, ``ollama:NAME`` or ``rules:DOMAIN``."""
    target: str
    """By what name `open_target` opens it."""
    file: Path | None = None
    """Its file: another one there is another model."""

    @property
    def arguments(self) -> list[str]:
        """How ``drivecoach ask`` is told to ask it."""
        kind, name = address(self.id)
        return ["--model", RULES, "--domain", name] if kind == RULES else ["--model", self.id]


def find_model(workspace: Workspace, id: str) -> Model:
    """The model that the page names so. Raises ModelError for one that is not in the workspace, or no model."""
    kind, name = address(id)
    if kind == RULES:
        if name not in taught(workspace):
            raise ModelError(f"there are no rules of {name!r} here", hint="choose one of those listed")
        return Model(id, id)
    if kind != "llamacpp":
        if kind != "ollama":
            raise ModelError(f"{id} is not asked from this page", hint="ask it: drivecoach ask LINE --model " + id)
        check_model_name(name, tag=True)
        return Model(id, id)
    path = workspace.path(id)
    if path.suffix == ".gguf" and path.is_file():
        return Model(id, str(path), path)
    served = path / "export" / read_recipe(path).export.served
    if not served.is_file():
        raise ModelError(f"{id} has no exported model", hint=f"drivecoach export {id}")
    return Model(id, str(path), served)


def taught(workspace: Workspace) -> list[str]:
    """The domains, by the names that `load_domain` takes, that know the right answers: of runs, and shipped ones."""
    found = list[str]()
    for folder in sorted(workspace.runs_folder.glob("*")):
        with suppress(DrivecoachError):
            reference = read_recipe(folder).domain
            if isinstance(reference, str):
                found.append(reference)
    return [name for name in dict.fromkeys([*found, *DOMAINS.names()]) if _has_teacher(name)]


def _has_teacher(name: str) -> bool:
    try:
        return load_domain(name).has_teacher
    except DrivecoachError:  # its file was moved
        return False


@dataclass
class _Open:
    target: Target
    version: tuple[int, int] | None
    warm: bool = False
    asked: float = field(default_factory=time.monotonic)


class Engines:
    """The open models; one question at a time, so that none slows another down while both are timed."""

    def __init__(self, idle: float = IDLE) -> None:
        self._idle = idle
        self._open: dict[str, _Open] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    @property
    def names(self) -> list[str]:
        """Those that are open now."""
        return list(self._open)

    @contextmanager
    def opened(self, model: Model) -> Iterator[Target]:
        """The model, opened; nobody else has one meanwhile."""
        with self._lock:
            try:
                yield self._get(model).target
            finally:
                self._wait()

    def ask(self, model: Model, text: str, guard: Guard) -> Outcome[object]:
        """What the model says to a canonical text, loaded before the time is taken. Raises RuntimeFailure."""
        with self._lock:
            try:
                found = self._get(model)
                domain = found.target.domain
                engine = Engine(found.target.runtime.generate, domain, guard)
                value = domain.read_input(text)
                if not found.warm:
                    other = next(domain.inputs(), value)
                    engine.settle(other, Question(domain.write_input(other)))
                    found.warm = True
                return engine.settle(value, Question(domain.write_input(value)))
            finally:
                self._wait()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            while self._open:
                self._open.popitem()[1].target.close()

    def _get(self, model: Model) -> _Open:
        stat = model.file.stat() if model.file else None
        version = stat and (stat.st_mtime_ns, stat.st_size)
        found = self._open.get(model.id)
        if found is not None and found.version != version:
            self._open.pop(model.id).target.close()
            found = None
        if found is None:
            while len(self._open) >= MOST:
                oldest = min(self._open, key=lambda id: self._open[id].asked)
                self._open.pop(oldest).target.close()
            found = self._open[model.id] = _Open(open_target(model.target), version)
        found.asked = time.monotonic()
        return found

    def _wait(self) -> None:
        """Close all when nobody has asked for so long from now on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._idle, self.close)
        self._timer.daemon = True
        self._timer.start()
