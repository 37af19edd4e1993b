"""The runs in a folder: what each was made of, how good it is, where it is deployed, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from drivecoach import stage
from drivecoach.config import RECIPE, Recipe, read_recipe
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import DataError, DrivecoachError, StorageError
from drivecoach.evaluate.scores import Evaluation
from drivecoach.export.ledger import read_ledger
from drivecoach.export.result import ExportResult
from drivecoach.lock import holder
from drivecoach.provenance import STAGES, find_training
from drivecoach.refine.rounds import read_rounds
from drivecoach.stale import inputs_of
from drivecoach.train.result import TrainResult


@dataclass(frozen=True)
class Entry:
    """One run folder."""

    name: str
    folder: str
    state: str
    """``finished``, ``unfinished`` with how far it is, ``in use`` with by whom, or ``broken`` with why."""
    base: str = ""
    rows: int | None = None
    """Pairs that it was trained on."""
    date: str = ""
    """When the training was finished, ISO 8601 in UTC."""
    scores: dict[str, float] = field(default_factory=dict)
    """The share of whole answers that are right, by test."""
    deployed: list[str] = field(default_factory=list)
    """Models on servers that were made from it, as ``NAME on HOST``."""
    stale: dict[str, str] = field(default_factory=dict)
    """Stages that were made from something else than there is now, and what differs."""
    parent: str | None = None
    """The run folder whose weights it began with."""


def list_runs(runs: Path) -> Iterator[Entry]:
    """Every run folder below ``runs``, by name; one that cannot be read is listed as broken.

    A folder without a recipe or a stage is none: a run that was refused at its start leaves one with its log.
    """
    try:
        folders = sorted(path for path in runs.iterdir() if not path.name.startswith(".") and _holds_a_run(path))
    except OSError as error:
        raise StorageError(f"cannot read {runs}: {error.strerror}", hint="name another folder: --runs FOLDER") from None
    for folder in folders:
        try:
            yield _entry(folder)
        except (DrivecoachError, OSError, ValueError, LookupError, TypeError) as error:
            yield Entry(folder.name, str(folder), f"broken: {error}".splitlines()[0])


def _holds_a_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (RECIPE, *STAGES))


def _entry(folder: Path) -> Entry:
    recipe = read_recipe(folder)
    trained = stage.read_manifest(folder / "train", TrainResult)
    return Entry(
        name=recipe.name,
        folder=str(folder),
        state=_state(folder),
        base=recipe.base.name or recipe.base.source,
        rows=trained.results.rows if trained else None,
        date=trained.date if trained else "",
        scores=_scores(folder),
        deployed=_deployed(folder),
        stale=inputs_of(folder, recipe).stale(),
        parent=_parent(folder, recipe),
    )


def _parent(folder: Path, recipe: Recipe) -> str | None:
    """The run that this one goes on from; of a refined one, the run before all rounds."""
    with suppress(DataError):
        if (refined := read_rounds(folder)) is not None:
            return refined.parent
    return recipe.parent.run if recipe.parent else None


def _state(folder: Path) -> str:
    if (writer := holder(folder)) is not None:
        return f"in use: {writer}"
    training = find_training(folder)
    if training is None:
        return "unfinished: not trained"
    if training.inputs is None:
        return "broken: it holds weights or checkpoints, but nothing readable in train/ says of what"
    if not training.finished:
        return f"unfinished: {training.steps:,} steps are kept"
    missing = [name for name in STAGES if stage.read_manifest(folder / name, stage.AnyResult) is None]
    return f"unfinished: trained, no {', no '.join(missing)}" if missing else "finished"


def _scores(folder: Path) -> dict[str, float]:
    evaluated = stage.read_manifest(folder / "evaluate", Evaluation)
    return {name: score.right[WHOLE] for name, score in evaluated.results.root.items()} if evaluated else {}


def _deployed(folder: Path) -> list[str]:
    """Where a model was made from this run and is there still; ``until`` says that another took its name."""
    exported = stage.read_manifest(folder / "export", ExportResult)
    now = exported.results.digests if exported else set()
    return [
        f"{made.name} on {made.host}" + ("" if made.file in now else " (older weights)")
        for made in read_ledger(folder)
        if made.until is None
    ]
