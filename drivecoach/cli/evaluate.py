"""`drivecoach evaluate`: how good a model is, any link of its chain; the figures told and written."""

from __future__ import annotations

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
    as_json: AsJson = False,
) -> None:
    """Measure a model on held-out rows, on inputs drawn evenly from all, and on hard ones.

    A run's figures are written into its folder evaluate/.
    """
    from drivecoach.evaluate.figures import FOLDER, save, told
    from drivecoach.evaluate.figures import evaluate as measure
    from drivecoach.evaluate.questions import find_questions
    from drivecoach.evaluate.target import open_target
    from drivecoach.export import card

    folder = Path(name)
    if (folder / RECIPE).is_file() and data is None and limit is None:  # the stage, by which a run is compared
        run = open_run(folder, quiet=as_json, domain=domain)
        say_stale(run.folder, run.stale())
        with run.held(), noise_into(run.folder / LOG):
            run.evaluate(constrained=constrain)
    with open_target(name, domain, host) as target:
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
    if written is not None:
        show.stdout.print(f"written: {written}", markup=False)
