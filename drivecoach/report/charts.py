"""Charts as Vega-Lite, made by Altair; colours and fonts are the page's, so that they follow its theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from drivecoach.report.words import Language, Words

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

_STEP = Words("step", "步")
_LOSS = Words("loss (nats per answer token, log scale)", "损失（奈特/回答词元，对数轴）")
_TRAINING = Words("training", "训练")
_VALIDATION = Words("validation", "验证")
_EXACT = Words("exact match on validation rows", "验证集完全一致率")


def loss(runs: Mapping[str, Rows], language: Language) -> Spec | None:
    """The losses of training and validation over the steps."""
    kinds = {"loss": _TRAINING.of(language), "eval_loss": _VALIDATION.of(language)}
    rows = [
        {"run": name, "step": row["step"], "value": row[key], "kind": kind}
        for name, metrics in runs.items()
        for row in metrics
        for key, kind in kinds.items()
        if row.get(key, 0) > 0
    ]
    if not rows:
        return None
    scale = alt.Scale(type="log", nice=False)
    chart = _base(rows).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=12)).encode(
        x=_steps(language),
        y=alt.Y("value:Q", title=_LOSS.of(language), scale=scale, axis=alt.Axis(tickCount=5)),
        strokeDash=alt.StrokeDash("kind:N", sort=list(kinds.values()), title=None),
        tooltip=["run:N", "kind:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
        **_run(runs),
    )
    return _spec(chart, 280)


def exact(runs: Mapping[str, Rows], language: Language) -> Spec | None:
    """The share of validation rows answered right to the letter, over the steps."""
    rows = [
        {"run": name, "step": row["step"], "value": row["eval_exact_match"]}
        for name, metrics in runs.items()
        for row in metrics
        if "eval_exact_match" in row
    ]
    if not rows:
        return None
    chart = _base(rows).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=30)).encode(
        x=_steps(language),
        y=alt.Y("value:Q", title=_EXACT.of(language), axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
        tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", format=".2%")],
        **_run(runs),
    )
    return _spec(chart, 280)


def _base(rows: Rows) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(rows)))


def _steps(language: Language) -> alt.X:
    return alt.X("step:Q", title=_STEP.of(language), axis=alt.Axis(format=",d", tickCount=5))


def _run(runs: Mapping[str, object]) -> dict[str, Any]:
    """A colour a run; one run needs no legend."""
    if len(runs) > 1:
        return {"color": alt.Color("run:N", title=None, sort=list(runs))}
    return {"color": alt.Color("run:N", legend=None)}


def _spec(chart: Any, height: int) -> Spec:
    sized = chart.properties(width="container", height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    made: Spec = sized.to_dict()
    made.pop("config", None)  # the page brings its own
    return made
