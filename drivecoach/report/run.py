"""`drivecoach report`: the runs that are named, side by side on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drivecoach.report import charts, page
from drivecoach.report.gather import Gathered, gather, headline
from drivecoach.report.words import Language, Words

PAGE = "index.html"
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_CHARTS = {"loss": charts.loss, "exact": charts.exact}


def write(folders: Sequence[Path], target: Path) -> Path:
    """Write the page of these runs into the folder ``target``; its path comes back."""
    runs = [gather(folder) for folder in folders]
    _name_apart(runs)
    path = target / PAGE
    page.write(path, "report.html.jinja", " · ".join(run.name for run in runs), _data(runs), **_shown(runs))
    return path


def _name_apart(runs: Sequence[Gathered]) -> None:
    """Runs of one name, such as copies in two folders, are called by their folders."""
    names = Counter(run.name for run in runs)
    for run in runs:
        if names[run.name] > 1:
            run.name = str(run.folder)


def _data(runs: Sequence[Gathered]) -> dict[str, Any]:
    metrics = {run.name: run.metrics for run in runs}
    drawn = {
        name: {language: spec for language in _LANGUAGES if (spec := make(metrics, language)) is not None}
        for name, make in _CHARTS.items()
    }
    return {
        "charts": {name: specs for name, specs in drawn.items() if specs},
        "runs": [
            {
                "fields": run.fields,
                "examples": run.examples,
                "file": str(run.folder / "verify/counterexamples.jsonl"),
                "cells": {
                    place: {**asdict(cell), "reason": run.grid.reasons.get(cell.rule, "")}
                    for place, cell in enumerate(run.grid.cells)
                    if cell.wrong
                }
                if run.grid
                else {},
            }
            for run in runs
        ],
    }


def _shown(runs: Sequence[Gathered]) -> dict[str, Any]:
    rows: dict[Words, list[str]] = {}
    for place, run in enumerate(runs):
        for words, value in run.facts:
            rows.setdefault(words, [""] * len(runs))[place] = value
    shown = [{**vars(run), "headline": headline(run)} for run in runs]
    sections = [
        ("missing", "Not made yet", "尚未生成", any(run.missing for run in runs)),
        ("answers", "What it says", "它怎么说", any(run.examples for run in runs)),
        ("map", "Map", "地图", any(run.grid for run in runs)),
        ("training", "Training", "训练", any(run.metrics for run in runs)),
        ("certificate", "Certificate", "证书", any(run.certificate for run in runs)),
        ("facts", "Facts", "事实", True),
    ]
    return {
        "runs": shown,
        "facts": list(rows.items()),
        "sections": [(id, en, zh) for id, en, zh, there in sections if there],
        "comparison": None,
    }
