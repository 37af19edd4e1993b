"""What is known of how good the file is that a run serves: the figures, else the scores of the evaluate stage."""

from __future__ import annotations

from pathlib import Path

from drivecoach import stage
from drivecoach.domain.scores import WHOLE
from drivecoach.evaluate.figures import FOLDER
from drivecoach.evaluate.result import FIGURES, Figures, Gravest, Measured, Rate, SplitFigures
from drivecoach.evaluate.scores import Evaluation, Scores


def find_figures(run: Path, served: str, digest: str, domain: str) -> Figures | None:
    """The figures of the run's file ``served`` with this SHA-256; None where it was not measured since it was made."""
    try:
        found = Figures.model_validate_json((run / FOLDER / FIGURES).read_bytes())
    except (OSError, ValueError):
        found = None
    if found is not None and found.target.digest == digest:
        return found
    scored = stage.read_manifest(run / FOLDER, Evaluation)
    if scored is None or scored.inputs.get(stage.outcome_of("export")) != stage.identity(run / "export"):
        return None
    return Figures(
        made=scored.date,
        target=Measured(name=served, kind="gguf", digest=digest, domain=domain),
        map_by="",
        splits=[_split(name, scores) for name, scores in scored.results.root.items()],
        behaviours=[],
        speed=None,
    )


def _split(name: str, scores: Scores) -> SplitFigures:
    """Scores, as far as they go."""
    rows, danger = scores.rows, scores.danger
    exact = _rate(scores.right[WHOLE], rows)
    gravest = None
    if danger is not None:
        gravest = Gravest(
            level=danger.level, recall=Rate.of(danger.kept, danger.rows), precision=None, lowered=danger.lowered
        )
    plain = name.removesuffix(", constrained")
    return SplitFigures(
        split=plain,
        constrained=plain != name,
        exact=exact,
        wrong_at_most=exact.missing_at_most,
        fields={part: _rate(share, rows) for part, share in scores.right.items() if part != WHOLE},
        order_free={},
        confusion=None,
        gravest=gravest,
        below=scores.below,
        violations=None,
        violating=None if scores.violations is None else Rate.of(scores.violations, rows),
        json_valid=None,
        schema_valid=_rate(scores.schema_valid, rows),
        cut=0,
        failed=0,
        by_rule={},
        by_map={},
        by_value={},
        cells=[],
    )


def _rate(share: float, rows: int) -> Rate:
    return Rate.of(round(share * rows), rows)
