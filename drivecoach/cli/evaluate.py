"""`drivecoach evaluate`: how good a model is, any link of its chain; the figures told and written."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.listing import say_stale
from drivecoach.cli.options import AsJson, DomainName, Host
from drivecoach.cli.runs import open_run
from drivecoach.config import RECIPE, read_recipe
from drivecoach.quiet import LOG, noise_into

TargetName = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="A run folder, weights inside one (train/model, train/adapter, export/merged), a GGUF file, ollama:NAME, "
        "or rules.",
    ),
]
_ROWS = 1000
"""Questions a split that a table asks, where nobody says: every link, or every way, is asked each."""
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Ask at most so many questions a split.")]


def evaluate(
    name: TargetName,
    data: Annotated[
        Path | None, typer.Option("--data", help="Questions and right answers of your own, in place of the run's.")
    ] = None,
    limit: Limit = None,
    domain: DomainName = None,
    host: Host = None,
    constrain: Annotated[bool, typer.Option("--constrain", help="Ask under the answer's schema too.")] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="A table instead: every link from weights to Ollama, and what each changes.")
    ] = False,
    quant_sweep: Annotated[
        bool, typer.Option("--quant-sweep", help="A table instead: size, accuracy and speed by quantization.")
    ] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="A table instead: the model beside simpler ways to answer.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on held-out rows, on inputs drawn evenly from all, and on hard ones.

    A run's figures and tables are written into its folder evaluate/.
    """
    if chain or quant_sweep or baselines:
        _tables(name, data, limit, domain, host, chain=chain, sweep=quant_sweep, baselines=baselines, as_json=as_json)
        return
    from drivecoach.evaluate.figures import FOLDER, save, told
    from drivecoach.evaluate.figures import evaluate as measure
    from drivecoach.evaluate.questions import find_questions
    from drivecoach.evaluate.scores import told_differing
    from drivecoach.evaluate.target import open_target
    from drivecoach.export import card

    folder, beside = Path(name), list[str]()
    if (folder / RECIPE).is_file() and data is None and limit is None:  # the stage, by which a run is compared
        run = open_run(folder, quiet=as_json, domain=domain)
        say_stale(run.folder, run.stale())
        with run.held(), noise_into(run.folder / LOG):
            scores = run.evaluate(constrained=constrain)
        for score in scores.root.values():
            if score.differing is not None:
                beside += told_differing(score.differing, folder / FOLDER)
    with open_target(name, domain, host) as target, _noise(target.run):
        if target.note:
            show.note(target.note)
        questions = find_questions(target, data, limit)
        for note in questions.notes:
            show.note(note)
        found, wrong = measure(target, questions, constrain=constrain)
    written = None
    if target.run is not None and data is None and limit is None:
        written = save(target.run / FOLDER, found, wrong, target.link)
        card.write(target.run, read_recipe(target.run), target.domain)
    if as_json:
        show.as_json(found)
        return
    show.table(name, dict(told(found)))
    for line in beside:
        show.stdout.print(line, markup=False)
    if written is not None:
        show.stdout.print(f"written: {written}", markup=False)


def _noise(run: Path | None) -> AbstractContextManager[object]:
    """What libraries print goes into the run's log, where there is a run."""
    return nullcontext() if run is None else noise_into(run / LOG)


def _tables(
    name: str,
    data: Path | None,
    limit: int | None,
    domain: str | None,
    host: str | None,
    *,
    chain: bool,
    sweep: bool,
    baselines: bool,
    as_json: bool,
) -> None:
    """The tables that were asked for, each told and written as soon as it is there."""
    from drivecoach.evaluate import chain as chains
    from drivecoach.evaluate.baselines import compare_baselines, told_baselines
    from drivecoach.evaluate.figures import FOLDER
    from drivecoach.evaluate.questions import find_questions
    from drivecoach.evaluate.result import BASELINES, CHAIN, SWEEP, Result
    from drivecoach.evaluate.target import open_target

    recipe, run = read_recipe(Path(name)), Path(name)
    found: dict[str, tuple[Result, dict[str, str]]] = {}
    with open_target(name, domain) as target, _noise(run):
        questions = find_questions(target, data, limit or _ROWS)
        for note in questions.notes:
            show.note(note)
        asked = [case for cases in questions.splits.values() for case in cases]
        if chain:
            made = chains.make_chain(run, asked, host)
            found[CHAIN] = made, dict(chains.told_chain(made))
        if sweep:
            swept = chains.sweep(run, asked)
            found[SWEEP] = swept, dict(chains.told_sweep(swept))
        if baselines:
            base = None
            if recipe.base.source != "nano":
                from drivecoach.train.bases import locate

                base = locate(recipe.base)
            table = compare_baselines(target, questions, base)
            found[BASELINES] = table, dict(told_baselines(table))
    (run / FOLDER).mkdir(exist_ok=True)
    for file, (result, told) in found.items():
        result.write(run / FOLDER / file)
        if not as_json:
            show.table(f"{name}: {file.removesuffix('.json')}", told)
            show.stdout.print(f"written: {run / FOLDER / file}", markup=False)
    if as_json:
        show.as_json({file.removesuffix(".json"): result for file, (result, _) in found.items()})
