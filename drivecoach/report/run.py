"""`drivecoach report`: the runs that are named, side by side on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.evaluate.result import Rate, SplitFigures
from drivecoach.report import charts, page
from drivecoach.report.answers import case, fields
from drivecoach.report.compare import Comparison, compare
from drivecoach.report.gather import Gathered, gather, headline
from drivecoach.report.measured import widest
from drivecoach.report.words import Language, Words

PAGE = "index.html"
_FLIPS = 20
"""Flips to each side that are shown."""
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_CHARTS = {"loss": charts.loss, "exact": charts.exact, "sweep": charts.sweep, "risk": charts.risk}


def write(folders: Sequence[Path], target: Path) -> Path:
    """Write the page of these runs into the folder ``target``; its path comes back."""
    runs = [gather(folder) for folder in folders]
    _name_apart(runs)
    path = target / PAGE
    comparisons = list(_compared(runs))
    data = {**_data(runs), "flips": [flips_as_cases(runs[0].domain, one) for one in comparisons]}
    title = " · ".join(run.name for run in runs)
    page.write(path, page.render("report.html.jinja", title, data, comparisons=comparisons, **_shown(runs)))
    return path


def _compared(runs: Sequence[Gathered]) -> Iterator[Comparison]:
    """Every run but the first held against the first, where they were asked the same."""
    for run in runs[1:]:
        with suppress(DataError):
            yield compare(runs[0], run)


def flips_as_cases(domain: AnyDomain, found: Comparison) -> dict[str, Any]:
    """The first flips to each side, as cases."""
    shown = {
        side: [
            case(domain, flip.input, flip.right, flip.wrong, flip.said)
            for flip in [flip for flip in found.flips if flip.better is better][:_FLIPS]
        ]
        for side, better in (("better", True), ("worse", False))
    }
    return {"fields": fields(domain), **shown}


def _name_apart(runs: Sequence[Gathered]) -> None:
    """Runs of one name, such as copies in two folders, are called by their folders."""
    names = Counter(run.name for run in runs)
    for run in runs:
        if names[run.name] > 1:
            run.name = str(run.folder)


def _data(runs: Sequence[Gathered]) -> dict[str, Any]:
    metrics = {run.name: run.metrics for run in runs}
    rows = {"loss": metrics, "exact": metrics, "sweep": _sizes(runs), "risk": risks(runs)}
    drawn = {
        name: {language: spec for language in _LANGUAGES if (spec := make(rows[name], language)) is not None}
        for name, make in _CHARTS.items()
    }
    return {
        "charts": {name: specs for name, specs in drawn.items() if specs},
        "runs": [
            {
                "fields": fields(run.domain),
                "examples": run.examples,
                "file": "verify/counterexamples.jsonl" if run.certificate else "evaluate/wrong.jsonl",
                "cells": run.grid.failing if run.grid else {},
            }
            for run in runs
        ],
    }


def _shown(runs: Sequence[Gathered]) -> dict[str, Any]:
    rows: dict[Words, list[str]] = {}
    for place, run in enumerate(runs):
        for words, value in run.facts:
            rows.setdefault(words, [""] * len(runs))[place] = value
    many = len(runs) > 1
    shown = [{**vars(run), "folder": run.folder, "headline": headline(run)} for run in runs]
    sections = [
        ("compare", "Better and worse", "变化", many),
        ("answers", "What it says", "它怎么说", any(run.examples for run in runs)),
        ("map", "Map", "地图", any(run.grid for run in runs)),
        ("scores", "Scores", "评分", any(run.figures for run in runs)),
        ("baselines", "Baselines", "对照", any(run.baselines for run in runs)),
        ("chain", "Chain", "环节", any(run.chain for run in runs)),
        ("size", "Size and speed", "大小与速度", any(map(_has_speed, runs))),
        ("risk", "Coverage and risk", "覆盖与风险", any(run.coverage for run in runs)),
        ("rounds", "Rounds", "精炼", any(run.rounds for run in runs)),
        ("training", "Training", "训练", any(run.metrics for run in runs)),
        ("certificate", "Certificate", "证书", any(run.certificate for run in runs)),
        ("missing", "Not made yet", "尚未生成", any(run.missing for run in runs)),
        ("facts", "Facts", "事实", True),
    ]
    return {
        **scores(runs),
        "runs": shown,
        "facts": list(rows.items()),
        "sections": [(id, en, zh) for id, en, zh, there in sections if there],
    }


def _sizes(runs: Sequence[Gathered]) -> dict[str, list[dict[str, Any]]]:
    return {
        run.name: [
            {
                "type": row.quantization,
                "megabytes": row.bytes / 1e6,
                "right": row.exact.share,
                "low": row.exact.low,
                "high": row.exact.high,
            }
            for row in (run.sweep.quantizations if run.sweep else ())
        ]
        for run in runs
    }


def risks(runs: Sequence[Gathered]) -> dict[str, list[dict[str, Any]]]:
    """Over every input where they were counted, else over the validation rows."""
    found = {}
    for run in runs:
        curve = run.coverage and (run.coverage.all or run.coverage.validation)
        found[run.name] = [
            {
                "coverage": point.answered / curve.states,
                "wrong": point.wrong / point.answered,
                "lowered": point.lowered / point.answered,
            }
            for point in (curve.points if curve else ())
            if curve and point.answered
        ]
    return found


def _has_speed(run: Gathered) -> bool:
    return run.sweep is not None or bool(run.figures and run.figures.speed)


def scores(runs: Sequence[Gathered]) -> dict[str, Any]:
    """The figures, turned so that the runs stand beside each other in every split."""
    splits: dict[str, list[tuple[Gathered, SplitFigures]]] = {}
    parts: dict[tuple[str, bool], dict[str, Rate]] = {}
    """By field, and whether the order of its items is disregarded."""
    weakest: list[dict[str, Any]] = []
    for run in runs:
        if run.figures is None:
            continue
        for one in run.figures.splits:
            name = f"{one.split}, constrained" if one.constrained else one.split
            splits.setdefault(name, []).append((run, one))
            column = name if len(runs) == 1 else f"{name} · {run.name}"
            for part, rate in one.fields.items():
                parts.setdefault((part, False), {})[column] = rate
            for part, rate in one.order_free.items():
                parts.setdefault((part, True), {})[column] = rate
            if one is widest(run.figures):
                weakest += [
                    {"name": f"{feature}: {value}", "run": run.name, "exact": rate}
                    for feature, values in one.by_value.items()
                    for value, rate in values.items()
                    if rate.count < rate.rows
                ]
    columns = list(dict.fromkeys(column for rates in parts.values() for column in rates))
    return {
        "splits": [{"name": name, "rows": rows} for name, rows in splits.items()],
        "columns": [{"name": column} for column in columns],
        "parts": [(*part, [rates.get(column) for column in columns]) for part, rates in parts.items()],
        "weakest": sorted(weakest, key=lambda one: one["exact"].share)[:8],
        "behaviours": [(run, one) for run in runs if run.figures for one in run.figures.behaviours],
    }
