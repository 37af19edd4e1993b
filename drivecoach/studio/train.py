"""The tab Train: a run started, watched by its files, stopped and gone on with; the page itself holds nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from starlette.routing import Route

from drivecoach import stage
from drivecoach.errors import InputError
from drivecoach.lock import holder
from drivecoach.provenance import STAGES, find_training
from drivecoach.studio.endpoints import Asked, get, post
from drivecoach.studio.jobs import Job, Jobs
from drivecoach.studio.recipe import read_inside
from drivecoach.studio.workspace import RECIPES, Workspace
from drivecoach.train.metrics import METRICS, read_metrics, read_progress

VERBS = ("tune", "train", "export", "evaluate", "refine")
"""Commands that write into a run."""
_POINTS = 300
"""Points of a curve that are drawn."""


class Begun(Asked):
    """A recipe to be tuned."""

    recipe: str
    replace: bool = False
    """Whether the run of the same name and other settings may be replaced."""


class OfRun(Asked):
    """A run by its name."""

    run: str


class Curve(BaseModel):
    """One figure over the steps."""

    name: str
    points: list[tuple[int, float]]


class Watched(BaseModel):
    """A run as the page shows it."""

    run: str
    recipe: str | None
    """The recipe of the folder that has its name, from which it can be gone on with."""
    stages: dict[str, bool]
    """Which of them are complete."""
    step: int = 0
    steps: int = 0
    rate: float | None = None
    """Steps a second."""
    left: float | None = None
    """Seconds."""
    curves: list[Curve] = []
    kept: int = 0
    """Steps that are kept of an unfinished training."""
    is_running: bool = False
    held_by: str | None = None
    """Who writes into the run, where it is not a command of this studio."""
    job: dict[str, Any] | None
    """The newest command of this studio about it."""


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The tab's routes."""
    tab = _Tab(workspace, jobs)
    return [
        get("/api/train/runs", lambda _: tab.runs()),
        get("/api/train/run", lambda given: tab.run(given)),
        post("/api/train/start", Begun, lambda asked, _: tab.start(asked)),
        post("/api/train/stop", OfRun, lambda asked, _: tab.stop(asked)),
    ]


class _Tab:
    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self._workspace, self._jobs = workspace, jobs
        self._starting = threading.Lock()

    def runs(self) -> object:
        """The runs of the folder, those that were only just started first, and which one is at work."""
        listed = [{"run": entry.name, "state": entry.state, "date": entry.date} for entry in self._workspace.runs()]
        running = self._jobs.running(*VERBS)
        names = {each["run"] for each in listed}
        early = [{"run": job.about, "state": "", "date": ""} for job in running if job.about not in names]
        return {"runs": [*early, *listed], "running": [job.about for job in running]}

    def start(self, asked: Begun) -> object:
        """`drivecoach tune`: begins, or goes on from the last checkpoint."""
        name = read_inside(self._workspace, asked.recipe).name
        argv = ["tune", asked.recipe, "--no-deploy", *(["--replace"] if asked.replace else [])]
        with self._starting:  # two pages, or a click too many
            if running := self._jobs.running(*VERBS):
                raise InputError(
                    f"{running[0].about} is being trained: two trainings at once would only slow each other down",
                    hint="stop it, or wait until it is done",
                )
            return self._jobs.start(argv, about=name).to_json()

    def stop(self, asked: OfRun) -> object:
        """Ctrl-C: what was finished is kept."""
        job = self._job(asked.run)
        if job is None or job.state != "running":
            raise InputError(f"nothing of this studio works on {asked.run[:80]}", hint="there is nothing to stop")
        self._jobs.stop(job)
        return job.to_json()

    def run(self, given: Mapping[str, str]) -> object:
        """All that is known of a run now."""
        name = given.get("name", "")
        folder = self._workspace.run(name)
        job = self._job(name)
        is_running = job is not None and job.state == "running"
        aside = folder.with_name(f"{folder.name}~new")  # where a replacement is made
        if is_running and aside.is_dir():
            folder = aside
        training = find_training(folder) if folder.is_dir() else None
        writer = None if is_running else holder(folder)
        recipe = f"{RECIPES}/{name}.yaml"
        found = Watched(
            run=name,
            recipe=recipe if self._workspace.path(recipe).is_file() else self._recipe_of(job),
            stages={each: stage.read_manifest(folder / each, stage.AnyResult) is not None for each in STAGES},
            curves=_curves(folder / "train" / METRICS),
            kept=training.steps if training and not training.finished else 0,
            is_running=is_running,
            held_by=str(writer) if writer else None,
            job=job.to_json() if job else None,
        )
        if training and training.finished:
            found.step = found.steps = training.steps
        elif progress := read_progress(folder / "train"):
            logged = max((curve.points[-1][0] for curve in found.curves), default=0)  # may be ahead of the last note
            found.step, found.steps = max(progress.step, logged), progress.steps
            if is_running and (rate := progress.rate):
                found.rate, found.left = rate, (found.steps - found.step) / rate
        return found

    def _job(self, run: str) -> Job | None:
        mine = (job for job in self._jobs.jobs() if job.about == run and job.argv[0] in VERBS)
        return next(mine, None)

    def _recipe_of(self, job: Job | None) -> str | None:
        """The recipe that the run was started with."""
        if job is None or job.argv[0] != "tune" or not (self._workspace.folder / job.argv[1]).is_file():
            return None
        return job.argv[1]


def _curves(path: Path) -> list[Curve]:
    lines = read_metrics(path)
    curves = []
    for name in ("loss", "eval_loss", "eval_exact_match"):
        points = [(line["step"], line[name]) for line in lines if name in line and "step" in line]
        if points:
            curves.append(Curve(name=name, points=_thinned(points)))
    return curves


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most so many points as can be seen, the last one among them."""
    every = -(-len(points) // _POINTS)
    return [*points[:-1:every], points[-1]]
