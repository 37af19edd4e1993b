"""`drivecoach doctor` and `drivecoach plan`: what one wants to know before a run starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.options import RUNS, AsJson, Host, Runs
from drivecoach.cli.runs import Overrides, RecipePath, open_recipe
from drivecoach.files import free_disk
from drivecoach.progress import duration
from drivecoach.quiet import LOG, noise_into

if TYPE_CHECKING:
    from drivecoach.train.plan import Plan


def doctor(
    runs: Runs = RUNS,
    host: Host = None,
    as_json: AsJson = False,
) -> None:
    """Look for everything that tuning and serving can use; exit 1 when something needed is missing."""
    from drivecoach.doctor import examine

    findings = []
    for finding in examine(runs, host):
        findings.append(finding)
        if as_json:
            continue
        mark = "[green]ok[/]  " if finding.ok else "[red]no[/]  " if finding.needed else "[yellow]none[/]"
        show.stdout.print(mark, end=" ")
        show.stdout.print(f"{finding.name}: {finding.found}", markup=False)
        if not finding.ok:
            show.stdout.print(f"     hint: {finding.hint}", markup=False)
    if as_json:
        show.as_json(findings)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)


def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the probe.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say how large, how long and how much a run will be; checks the data and tries a few steps, trains nothing."""
    from drivecoach.pipeline import Run
    from drivecoach.train.plan import plan as make_plan

    run = open_recipe(recipe, overrides, runs, quiet=as_json)
    run = Run(Path(mkdtemp(prefix="drivecoach-plan-")), run.recipe, run.say)  # a run of that name stays as it is
    with noise_into(run.folder / LOG):
        run.prepare()  # where rows are refused, the folder is left: they can be read there
        try:
            made = make_plan(run.job(), steps)
        finally:
            shutil.rmtree(run.folder)
    if as_json:
        show.as_json(made)
        return
    disk = f"{_size(made.disk_bytes)} at most, {_size(free_disk(runs))} free"
    show.table(f"plan: {run.recipe.name}", {**_rows(made), "disk": disk})


def _rows(made: Plan) -> dict[str, str]:
    probe, download = made.probe, made.download
    share = made.trained_parameters / made.parameters
    rows = {
        "parameters": f"{made.parameters:,}, trained {made.trained_parameters:,} ({share:.2%})",
        "rows": f"{made.rows:,} to train on, {made.too_long:,} too long for train.max_length",
        "tokens per epoch": f"{made.tokens_per_epoch:,}",
        "steps": f"{made.steps:,}",
        "memory": f"weights {_size(made.weights_bytes)}, gradients and optimizer {_size(made.optimizer_bytes)}",
        "probe": "left out: the model does not fit into this machine's memory",
        "download": "the hub cannot be asked" if download is None else "nothing",
    }
    if probe:
        rows["probe"] = (
            f"{probe.seconds_per_step:.3f} s a step, peak memory {_size(probe.peak_bytes)}; "
            f"the run will take about {duration(probe.seconds)}"
        )
    if download:
        rows["download"] = f"{_size(sum(download.values()))} in {len(download)} files"
    return rows


def _size(count: float) -> str:
    return f"{count / 1024**3:.2f} GiB" if count >= 1024**3 else f"{count / 1024**2:.1f} MiB"
