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
_SIZE = Words("size of the file (MB)", "文件大小（MB）")
_RIGHT = Words("exactly right", "完全正确")
_COVERAGE = Words("coverage: share of inputs that are answered", "覆盖率：作答的输入所占比例")
_RISK = Words("risk: share of these", "风险：其中所占比例")
_WRONG = Words("answered wrong", "答错")
_LOWERED = Words("danger lowered", "危险被降级")
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
    chart = _base(rows).mark_line(strokeWidth=2).encode(
        x=_steps(language),
        y=alt.Y("value:Q", title=_LOSS.of(language), scale=scale, axis=alt.Axis(tickCount=5)),
        strokeDash=_kinds(kinds),
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


def sweep(runs: Mapping[str, Rows], language: Language) -> Spec | None:
    """How many answers are right by the size of the file, a point a quantization, with its 95% interval."""
    rows = [{"run": name, **row} for name, found in runs.items() for row in found]
    if not rows:
        return None
    percent = alt.Axis(format=".2~%", tickCount=5)
    axes = {
        "x": alt.X(
            "megabytes:Q",
            title=_SIZE.of(language),
            axis=alt.Axis(tickCount=6),
            scale=alt.Scale(zero=False, padding=25),
        ),
        "y": alt.Y("right:Q", title=_RIGHT.of(language), axis=percent, scale=alt.Scale(zero=False)),
    }
    tips = ["run:N", "type:N", alt.Tooltip("megabytes:Q", format=".3"), alt.Tooltip("right:Q", format=".3%")]
    sure = _base(rows).mark_rule(strokeWidth=1.5, opacity=0.45).encode(
        x=axes["x"], y=alt.Y("low:Q"), y2="high:Q", **_run(runs)
    )
    line = _base(rows).mark_line(strokeWidth=1.5, opacity=0.5).encode(**axes, **_run(runs))
    points = _base(rows).mark_point(filled=True, size=90).encode(**axes, tooltip=tips, **_run(runs))
    names = _base(rows).mark_text(dy=-12, dx=4, align="left", fontSize=12).encode(**axes, text="type:N")
    return _spec(sure + line + points + names, 300)


def risk(runs: Mapping[str, Rows], language: Language) -> Spec | None:
    """How many of the answers that are given are wrong, where the least certain ones are not given."""
    rows = [{"run": name, **row} for name, found in runs.items() for row in found]
    if not rows:
        return None
    kinds = {"wrong": _WRONG.of(language), "lowered": _LOWERED.of(language)}
    long = [
        {"run": row["run"], "coverage": row["coverage"], "risk": row[key], "kind": kind}
        for row in rows
        for key, kind in kinds.items()
    ]
    chart = _base(long).mark_line(strokeWidth=2, interpolate="step-after").encode(
        x=alt.X("coverage:Q", title=_COVERAGE.of(language), axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
        y=alt.Y("risk:Q", title=_RISK.of(language), axis=alt.Axis(format=".3~%")),
        strokeDash=_kinds(kinds),
        tooltip=["run:N", "kind:N", alt.Tooltip("coverage:Q", format=".3%"), alt.Tooltip("risk:Q", format=".4%")],
        **_run(runs),
    )
    return _spec(chart, 280)


def _base(rows: Rows) -> alt.Chart:
    return alt.Chart(alt.Data(values=list(rows)))


def _steps(language: Language) -> alt.X:
    return alt.X("step:Q", title=_STEP.of(language), axis=alt.Axis(format=",d", tickCount=5))


def _kinds(kinds: Mapping[str, str]) -> alt.StrokeDash:
    return alt.StrokeDash("kind:N", sort=list(kinds.values()), title=None, legend=alt.Legend(symbolType="stroke"))


def _run(runs: Mapping[str, object]) -> dict[str, Any]:
    """A colour a run; one run needs no legend."""
    if len(runs) > 1:
        return {"color": alt.Color("run:N", title=None, sort=list(runs))}
    return {"color": alt.Color("run:N", legend=None)}


def _spec(chart: Any, height: int) -> Spec:
    fitted = alt.AutoSizeParams(type="fit-x", contains="padding")
    sized = chart.properties(width="container", height=height, autosize=fitted)
    made: Spec = sized.to_dict()
    made.pop("config", None)  # the page brings its own
    return made
