"""What was deployed where and how good it was, kept in the run folder; and whether a model may take another's place.

Ollama keeps no scores, but every model there has a digest: by it a deployed model is found again in the ledgers of all
runs that lie beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, TypeAdapter

from drivecoach.domain.scores import WHOLE
from drivecoach.errors import Fault, RuntimeFailure
from drivecoach.evaluate.scores import Evaluation
from drivecoach.export.result import LEDGER, ExportResult
from drivecoach.files import write_json
from drivecoach.stage import identity, outcome_of, read_manifest


class Score(BaseModel, frozen=True, extra="forbid"):
    """How a model did in one test."""

    rows: int
    right: float
    """The share of answers that were wholly right."""


Scores = Mapping[str, Score]
"""The name of a test to the score in it; empty for a model that was not evaluated."""


class Deployment(BaseModel, frozen=True, extra="forbid"):
    """One deployment of a run's model."""

    name: str
    host: str
    digest: str
    """Ollama's, of the model as a whole: file, template, parameters."""
    date: AwareDatetime
    file: str
    """SHA-256 of the GGUF that was sent."""
    scores: dict[str, Score]
    previous: str | None
    """The digest of what it replaced; None where nothing had the name."""
    until: AwareDatetime | None = None
    """When another model took the name there; None while it has it, as far as is known here."""


class NotReplaced(RuntimeFailure):
    """What is deployed stays, because what was to replace it is worse, or may be."""


_ENTRIES = TypeAdapter(list[Deployment])


def read_ledger(run: Path) -> list[Deployment]:
    """The deployments of the run in the folder ``run``, oldest first; none where its ledger is missing or damaged."""
    try:
        return _ENTRIES.validate_json((run / LEDGER).read_bytes())
    except (OSError, ValueError):
        return []


def find(runs: Path, digest: str) -> tuple[Path, Deployment] | None:
    """The run under ``runs`` whose model has this digest on a server, and its last deployment."""
    found = [(entry.date, folder, entry) for folder, entry in _entries(runs) if entry.digest == digest]
    return max(found, key=lambda one: one[0])[1:] if found else None


def record(run: Path, deployment: Deployment) -> None:
    """Note that ``run``'s model has the name now, and that whatever run had it before has it no longer."""
    end(run.parent, deployment.name, deployment.host)
    _write(run, [*read_ledger(run), deployment])


def record_rollback(runs: Path, name: str, host: str, digest: str, replaced: str | None) -> None:
    """Note that the name is again the model with this digest, in the ledger of its run where that is under ``runs``."""
    end(runs, name, host)
    if found := find(runs, digest):
        run, entry = found
        again = {"name": name, "host": host, "date": datetime.now(UTC), "previous": replaced, "until": None}
        _write(run, [*read_ledger(run), entry.model_copy(update=again)])


def end(runs: Path, name: str, host: str) -> None:
    """Note that no run under ``runs`` has this name on this server any more."""
    now = datetime.now(UTC)
    for run in {folder for folder, _ in _entries(runs)}:
        entries = read_ledger(run)
        ended = [
            entry.model_copy(update={"until": now if entry.until is None else entry.until})
            if (entry.name, entry.host) == (name, host)
            else entry
            for entry in entries
        ]
        if ended != entries:
            _write(run, ended)


def scores_of(run: Path, file: str) -> dict[str, Score]:
    """The scores of the run's export with this file (its SHA-256) in it; none where it was not evaluated since."""
    exported = read_manifest(run / "export", ExportResult)
    evaluated = read_manifest(run / "evaluate", Evaluation)
    if exported is None or evaluated is None or file not in exported.results.digests:
        return {}
    if evaluated.inputs.get(outcome_of("export")) != identity(run / "export"):
        return {}
    return {name: Score(rows=one.rows, right=one.right[WHOLE]) for name, one in evaluated.results.root.items()}


def may_replace(runs: Path, digest: str, file: str, scores: Scores, say: Callable[[str], None], *, force: bool) -> None:
    """Say what the model with this digest is, and raise NotReplaced where ``file`` with its ``scores`` must not follow.

    A model is worse when in any test that both were given, by the test's name, fewer answers were wholly right. One
    that was not evaluated is not known to be as good; one that got no answer right replaces nothing but its like.
    """
    say(f"deploy: there now: {describe(runs, digest)}; this one: {told(scores)}")
    found = find(runs, digest)
    if found is not None and found[1].file == file:
        return
    known = _known(*found) if found else {}
    faults = [
        Fault(f"test {name!r}", f"{scores[name].right:.2%} right of {scores[name].rows:,}", f"at least {old.right:.2%}")
        for name, old in known.items()
        if name in scores and scores[name].right < old.right
    ]
    if faults:
        reason = "it scored worse than what is there"
    elif known and not scores:
        reason = "it was not evaluated, and what is there was"
    elif scores and not known and all(score.right == 0 for score in scores.values()):
        reason = "it gave no right answer at all"
    else:
        if known and not known.keys() & scores.keys():
            say("deploy: the two have no test in common, so their scores were not compared")
        return
    if not force:
        first = "" if scores else "drivecoach evaluate RUN first, or "
        hint = f"{first}drivecoach deploy RUN: --name NAME gives it its own name, --force replaces what is there"
        raise NotReplaced(f"not deployed: {reason}", faults=faults, hint=hint)
    say(f"deploy: {reason}; deployed all the same (--force)")


def describe(runs: Path, digest: str) -> str:
    """What is known of the model with this digest, in a few words."""
    found = find(runs, digest)
    if found is None:
        return f"{digest[:12]}, which no run in {runs} deployed: its score is not known"
    return f"{digest[:12]}, the model of {found[0]}, deployed {found[1].date:%Y-%m-%d} ({told(_known(*found))})"


def told(scores: Scores) -> str:
    """Scores in a few words."""
    return ", ".join(f"{name} {score.right:.2%} right" for name, score in scores.items()) or "not evaluated"


def _known(run: Path, entry: Deployment) -> Scores:
    """The scores of a deployed model: those it was given since, or had then."""
    return scores_of(run, entry.file) or entry.scores


def _entries(runs: Path) -> list[tuple[Path, Deployment]]:
    folders = [ledger.parent for ledger in sorted(runs.glob(f"*/{LEDGER}"))]
    return [(folder, entry) for folder in folders for entry in read_ledger(folder)]


def _write(run: Path, entries: list[Deployment]) -> None:
    write_json(run / LEDGER, _ENTRIES.dump_python(entries, mode="json"))
