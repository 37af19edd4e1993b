"""What was measured of a run: figures, certificate and what goes with them, each only if it is of the present model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from drivecoach import stage
from drivecoach.errors import DataError
from drivecoach.evaluate import result
from drivecoach.evaluate.figures import FOLDER
from drivecoach.evaluate.found import find_figures
from drivecoach.evaluate.result import Baselines, Chain, Figures, SplitFigures, Sweep
from drivecoach.export.result import ExportResult
from drivecoach.files import sha256
from drivecoach.pipeline import Run
from drivecoach.refine.rounds import Rounds, read_rounds
from drivecoach.verify import certificate as paper
from drivecoach.verify.certificate import Certificate
from drivecoach.verify.coverage import COVERAGE, Coverage

Form = TypeVar("Form", bound=BaseModel)


@dataclass
class Measured:
    """A run and what was measured of the model that it has now."""

    run: Run
    name: str
    figures: Figures | None = None
    chain: Chain | None = None
    sweep: Sweep | None = None
    baselines: Baselines | None = None
    certificate: Certificate | None = None
    coverage: Coverage | None = None
    rounds: Rounds | None = None
    refused: list[str] = field(default_factory=list)
    """What is there and does not count, and why."""

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.run.folder

    @property
    def evaluated(self) -> Path:
        """Where the evaluation's files lie."""
        return self.folder / FOLDER

    @property
    def verified(self) -> Path:
        """Where the certificate and its counterexamples lie."""
        return self.folder / paper.FOLDER


def measured(folder: Path) -> Measured:
    """What is known of the run in ``folder``. Raises ModelError where there is none."""
    run = Run.open(folder, lambda _: None)
    found = Measured(run, run.recipe.name)
    digest = sha256(run.quantized) if run.quantized.is_file() else ""
    if digest:
        found.figures = find_figures(folder, run.quantized.name, digest, run.domain.name)
    if found.figures is None and (found.evaluated / result.FIGURES).exists():
        found.refused.append(f"the figures are of another model than {run.quantized.name} is now")
    _add_tables(found, digest)
    if (found.verified / paper.CERTIFICATE).exists():
        try:
            certificate = paper.read(found.verified)
        except DataError as error:
            found.refused.append(error.message)
        else:
            if certificate.digests.model == digest:
                found.certificate = certificate
            else:
                found.refused.append(f"the certificate is of another model than {run.quantized.name} is now")
    coverage = read(found.verified / COVERAGE, Coverage)
    found.coverage = coverage if coverage and coverage.model == digest else None
    try:
        found.rounds = read_rounds(folder)
    except DataError as error:
        found.refused.append(error.message)
    return found


def _add_tables(found: Measured, digest: str) -> None:
    """The tables of the evaluation, as far as they are of the file that is served now."""
    exported = stage.read_manifest(found.folder / "export", ExportResult)
    since = exported.date if exported else ""
    chain = read(found.evaluated / result.CHAIN, Chain)
    sweep = read(found.evaluated / result.SWEEP, Sweep)
    baselines = read(found.evaluated / result.BASELINES, Baselines)
    if chain and any(link.model.digest == digest for link in chain.links):
        found.chain = chain
    if sweep and any(row.sha256 == digest for row in sweep.quantizations):
        found.sweep = sweep
    if baselines and baselines.made >= since:  # the moments are written alike, in UTC
        found.baselines = baselines
    tables = {"chain": (chain, found.chain), "sweep": (sweep, found.sweep), "baselines": (baselines, found.baselines)}
    older = [name for name, (there, kept) in tables.items() if there and not kept]
    if older:
        found.refused.append(f"made of an older model: {', '.join(older)}")


def read(path: Path, form: type[Form]) -> Form | None:
    """A file of this form; None where it is missing, damaged or of another version."""
    try:
        return form.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def widest(figures: Figures) -> SplitFigures | None:
    """The split that stands for all inputs: drawn evenly, else the first."""
    plain = [split for split in figures.splits if not split.constrained]
    return next((split for split in plain if split.split == "uniform"), plain[0] if plain else None)
