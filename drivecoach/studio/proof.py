"""The tab Proof: what was measured of a run, the map of what it gets wrong, and two runs held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from drivecoach.errors import DataError
from drivecoach.evaluate.result import Rate, SplitFigures
from drivecoach.report import run as report
from drivecoach.report.answers import fields
from drivecoach.report.compare import ALL, compare
from drivecoach.report.gather import Gathered, headline, known
from drivecoach.report.grid import Grid
from drivecoach.report.measured import Measured, measured
from drivecoach.report.words import Words, percent
from drivecoach.studio.actions import Action, chosen, in_use
from drivecoach.studio.endpoints import Asked, get, post
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import RUNS, Workspace
from drivecoach.verify.certificate import Certificate

REPORTS = "reports"
"""The folder of the workspace where reports lie, one a run."""
_PAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)
"""A report is one file with its scripts inside: it may run them, and reach nothing at all."""


class Proof:
    """The requests of the tab."""

    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self.workspace = workspace
        self.jobs = jobs

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            get("/api/proof/runs", self.runs),
            get("/api/proof/runs/{run}", self.run),
            post("/api/proof/runs/{run}/{action}", Asked, self.start),
            get("/api/proof/compare/{first}/{second}", self.compare),
            Route("/api/proof/reports/{run}", self.report),
        ]

    def runs(self, _: Mapping[str, str]) -> dict[str, Any]:
        """The runs that can be read, in short."""
        there = [one for one in self.workspace.runs() if not one.state.startswith("broken")]
        return {"runs": [{"name": Path(one.folder).name, "date": one.date, "state": one.state} for one in there]}

    def run(self, given: Mapping[str, str]) -> dict[str, Any]:
        """All that was measured of one."""
        folder = self.workspace.run(given["run"])
        found, page = known(folder), self._page(folder)
        return {
            **_measured(found),
            "actions": [action.to_json() for action in self._actions(found)],
            "report": page.stat().st_mtime if page.is_file() else None,
        }

    def start(self, _: Asked, given: Mapping[str, str]) -> dict[str, object]:
        """Begin one of its actions as a job."""
        found = measured(self.workspace.run(given["run"]))
        action = chosen(self._actions(found), given["action"])
        return self.jobs.start(action.argv, about=found.folder.name).to_json()

    def _actions(self, found: Measured) -> Iterator[Action]:
        """What can be measured of a run, or made of what was."""
        run, domain = f"{RUNS}/{found.folder.name}", found.run.domain
        nothing = None if found.run.quantized.is_file() else Words("it has no exported model", "还没有导出的模型")
        export = f"drivecoach export {run}" if nothing else ""
        why = nothing or in_use(found.folder)
        uncounted = None
        if not (domain.is_finite and domain.has_teacher):
            uncounted = Words(
                f"the inputs of {domain.name} cannot be counted, or nobody knows the right answers",
                f"{domain.name} 的输入无法穷举，或没有给出正确回答的规则",
            )
        yield Action("evaluate", ("evaluate", run), why, export)
        yield Action("verify", ("verify", run), uncounted or why, "" if uncounted else export)
        clean = None
        if found.certificate is not None and found.certificate.clean:
            clean = Words("nothing is wrong: there is nothing to refine", "没有错误，无需精炼")
        yield Action("refine", ("refine", run), uncounted or why or clean, "" if uncounted else export)
        yield Action("chain", ("evaluate", run, "--chain"), why, export)
        yield Action("quant-sweep", ("evaluate", run, "--quant-sweep"), why, export)
        yield Action("baselines", ("evaluate", run, "--baselines"), why, export)
        yield Action("report", ("report", run, "-o", f"{REPORTS}/{found.folder.name}"))

    def _page(self, folder: Path) -> Path:
        return self.workspace.path(f"{REPORTS}/{folder.name}/{report.PAGE}")

    async def report(self, request: Request) -> Response:
        """The page that ``drivecoach report`` wrote."""
        page = self._page(self.workspace.run(request.path_params["run"]))
        if not page.is_file():
            raise DataError(f"no report at {page}", hint="write it: drivecoach report RUN")
        return FileResponse(page, headers={"content-security-policy": _PAGE_POLICY, "cache-control": "no-store"})

    def compare(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Two runs on the same questions."""
        found = _compared(self.workspace.run(given["first"]), self.workspace.run(given["second"]))
        here = f"{self.workspace.folder}/"
        found["not_compared"] = {split: why.replace(here, "") for split, why in found["not_compared"].items()}
        return found


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The requests that the tab makes."""
    return Proof(workspace, jobs).routes()


def _measured(found: Gathered) -> dict[str, Any]:
    """What the report of one run shows, as values."""
    turned = report.scores([found])
    certificate, figures, curve = found.certificate, found.figures, report.risks([found])[found.name]
    top = headline(found)
    return {
        "name": found.name,
        "domain": found.domain.name,
        "headline": top and {"share": top[0], "of": top[1]._asdict()},
        "certificate": certificate and _certified(certificate),
        "splits": [_split(split["name"], one) for split in turned["splits"] for _, one in split["rows"]],
        "columns": [column["name"] for column in turned["columns"]],
        "parts": [
            {"name": name, "any_order": any_order, "rates": [_rate(rate) for rate in rates]}
            for name, any_order, rates in turned["parts"]
        ],
        "weakest": [{"name": one["name"], "exact": _rate(one["exact"])} for one in turned["weakest"]],
        "behaviours": [
            {"name": one.name, "kind": one.kind, "held": _rate(one.held), "broken": one.broken}
            for _, one in turned["behaviours"]
        ],
        "speed": figures and figures.speed and figures.speed.model_dump(),
        "coverage": curve,
        "threshold": found.coverage and found.coverage.threshold and found.coverage.threshold.model_dump(),
        "rounds": found.rounds and found.rounds.model_dump(mode="json"),
        "map": found.grid and _map(found.grid),
        "fields": fields(found.domain),
        "refused": found.refused,
    }


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    """A share with its bounds, and as people read it."""
    return None if rate is None else {**rate.model_dump(), "text": percent(rate.count, rate.rows)}


def _split(name: str, one: SplitFigures) -> dict[str, Any]:
    gravest = one.gravest
    return {
        "name": name,
        "exact": _rate(one.exact),
        "wrong_at_most": one.wrong_at_most,
        "recall": _rate(gravest.recall) if gravest else None,
        "precision": _rate(gravest.precision) if gravest else None,
        "lowered": gravest.lowered if gravest else None,
        "gravest": gravest.level if gravest else "",
        "below": one.below,
        "schema_valid": _rate(one.schema_valid),
        "violating": _rate(one.violating),
        "confusion": None if one.constrained or one.confusion is None else one.confusion.model_dump(),
    }


def _certified(one: Certificate) -> dict[str, Any]:
    return {
        **one.model_dump(mode="json", include={"states", "wrong", "below", "lowered", "valid", "clean", "date"}),
        "right": percent(one.states - one.wrong, one.states),
        "violations": one.violations,
        "safe": one.safe,
        "engine": one.engine,
        "model": one.digests.model,
        "told": str(one),
    }


def _map(found: Grid) -> dict[str, Any]:
    """The grid: its cells by their place, those that fail with their cases."""
    return {
        "groups": [
            {**vars(group), "right": percent(group.states - group.wrong, group.states)} for group in found.groups
        ],
        "cells": [
            {"rule": cell.rule, "item": cell.item, "states": cell.states, "wrong": cell.wrong, "lowered": cell.lowered}
            | ({"shade": cell.shade, "count": cell.count} if cell.wrong else {})
            for cell in found.cells
        ],
        "worst": found.worst,
        "failing": found.failing,
    }


def _compared(first: Path, second: Path) -> dict[str, Any]:
    """Two runs, split by split, with what each lowered, and the first flips to each side as cases."""
    runs = measured(first), measured(second)
    found = compare(*runs)
    return {
        "first": first.name,
        "second": second.name,
        "splits": [
            {
                "name": one.split,
                "rows": one.test.rows,
                "first": _rate(one.first),
                "second": _rate(one.second),
                "better": one.test.second,
                "worse": one.test.first,
                "p": one.test.p_value,
                "differ": one.test.differ,
                "lowered": [_lowered(run, one.split) for run in runs],
                "rules": [rule.model_dump() for rule in one.rules],
            }
            for one in found.splits
        ],
        "not_compared": found.not_compared,
        **report.flips_as_cases(runs[0].run.domain, found),
    }


def _lowered(run: Measured, split: str) -> int | None:
    """How many answers of the gravest level a run lowered; None where nobody counted them on these very questions."""
    if split == ALL:
        return run.certificate.lowered if run.certificate else None
    every = run.figures.splits if run.figures else ()
    return next((one.gravest.lowered for one in every if one.split == split and one.gravest), None)
