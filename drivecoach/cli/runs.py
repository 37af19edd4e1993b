"""`drivecoach tune`, `train`, `export`, `evaluate`: the stages of a run, one by one or all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.ask import DomainName
from drivecoach.cli.deploy import deploy_where_it_runs
from drivecoach.config import load_recipe
from drivecoach.quiet import LOG, noise_into
from drivecoach.train import processes

if TYPE_CHECKING:
    from drivecoach.evaluate.scores import Evaluation
    from drivecoach.export.run import ExportResult
    from drivecoach.pipeline import Run
    from drivecoach.train.result import TrainResult

RecipePath = Annotated[Path, typer.Argument(help="A recipe, e.g. recipes/nano.yaml")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/nano")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting: --set train.epochs=2 (repeatable).")
]
Runs = Annotated[Path, typer.Option("--runs", help="Where run folders lie.")]
AutoBatch = Annotated[bool, typer.Option("--auto-batch", help="Find the largest batch that fits into memory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def tune(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    examples: Annotated[int, typer.Option(min=0, help="Answer this many held-out inputs at the end.")] = 0,
    auto_batch: AutoBatch = False,
    as_json: AsJson = False,
) -> None:
    """Check, split, train, export and evaluate in one command; stages whose inputs did not change are skipped."""
    run = open_recipe(recipe, overrides, runs, quiet=as_json, auto_batch=auto_batch)
    with noise_into(run.folder / LOG):
        run.prepare()
        trained = run.train()
        exported = run.export()
        scores = run.evaluate()
    if as_json:
        results = {"train": trained, "export": exported, "evaluate": scores, "ollama": deploy_where_it_runs(run)}
        show.as_json({"run": str(run.folder), **results})
        return
    if examples:
        _answer_examples(run, examples)
    _summary(run, trained, exported, scores)
    deploy_where_it_runs(run)  # last: a server that refuses the model must not hide what was measured


def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    auto_batch: AutoBatch = False,
    as_json: AsJson = False,
) -> None:
    """Check and split the data, then fit the model; goes on from the last checkpoint.

    Several GPUs: accelerate launch -m drivecoach train RECIPE.
    """
    run = open_recipe(recipe, overrides, runs, quiet=as_json, auto_batch=auto_batch)
    with noise_into(run.folder / LOG):
        run.prepare()
        results = run.train()
    if not processes.is_first():
        return
    if as_json:
        show.as_json(results)
    else:
        show.table(f"{run.folder}/train", results.model_dump(exclude_none=True))


def export(run_folder: RunFolder, as_json: AsJson = False) -> None:
    """Merge, write GGUF files and the Modelfile, prove their equality, and `ollama create` where Ollama runs."""
    run = _open_run(run_folder, quiet=as_json)
    with noise_into(run.folder / LOG):
        results = run.export()
    deployed = deploy_where_it_runs(run)
    if as_json:
        show.as_json({**dict(results), "ollama": deployed})
    else:
        show.table(f"{run.folder}/export", _export_rows(results))


def evaluate(
    run_folder: RunFolder,
    domain: DomainName = None,
    constrain: Annotated[bool, typer.Option("--constrain", help="Score constrained answers too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score the served file on the test split, and on inputs drawn evenly from all where they can be counted."""
    run = _open_run(run_folder, quiet=as_json, domain=domain)
    with noise_into(run.folder / LOG):
        scores = run.evaluate(constrained=constrain)
    if as_json:
        show.as_json(scores)
    else:
        show.table(f"{run.folder}/evaluate", _score_rows(scores))


def open_recipe(recipe: Path, overrides: list[str] | None, runs: Path, *, quiet: bool, auto_batch: bool = False) -> Run:
    """The run that a recipe describes, its folder made; of several processes only the first one speaks."""
    from drivecoach.pipeline import Run

    loaded = load_recipe(recipe, [*(overrides or []), *(["train.auto_batch=true"] if auto_batch else [])])
    run = Run(runs / loaded.name, loaded, _say(quiet) if processes.is_first() else lambda text: None)
    if processes.is_first():
        run.save_recipe()
    return run


def _open_run(folder: Path, *, quiet: bool, domain: str | None = None) -> Run:
    from drivecoach.pipeline import Run

    return Run.open(folder, _say(quiet), domain)


def _say(quiet: bool) -> Callable[[str], None]:
    console = show.stderr if quiet else show.stdout
    return lambda text: console.print(text, markup=False)


def _answer_examples(run: Run, count: int) -> None:
    from drivecoach.infer import Engine
    from drivecoach.runtime import open_runtime

    with open_runtime(str(run.quantized)) as runtime:
        engine = Engine(runtime.generate, run.domain)
        for pair in run.pairs("test")[:count]:
            outcome = engine.ask(pair.input)
            show.stdout.print(f"\n{outcome.input}", markup=False)
            answer = run.domain.write_answer(outcome.answer) if outcome.answer else outcome.reason
            show.stdout.print(f"→ {answer}  [{outcome.status}]", markup=False)
    show.stdout.print()


def _summary(run: Run, trained: TrainResult, exported: ExportResult, scores: Evaluation) -> None:
    example = next((pair.input for pair in run.pairs("train")), "…")
    show.table(
        f"drivecoach: {run.recipe.name}",
        {
            "model": f"{trained.parameters:,} parameters, {trained.trained_parameters:,} trained, "
            f"{trained.steps} steps on {trained.rows:,} pairs, loss {trained.loss:.4f}",
            **_score_rows(scores),
            **_export_rows(exported),
            "files": f"{run.folder}/export (GGUF, Modelfile), {run.folder}/train/loss.png, {run.folder}/{LOG}",
        },
    )
    show.stdout.print(f"ask it: drivecoach ask '{example}' --model {run.quantized}", markup=False)


def _score_rows(scores: Evaluation) -> dict[str, str]:
    rows = {}
    for name, score in scores.root.items():
        parts = ", ".join(f"{part} {share:.2%}" for part, share in score.right.items())
        rows[f"{name} ({score.rows:,} inputs)"] = (
            f"{parts}\nvalid by schema {score.schema_valid:.2%}, "
            + ("" if score.violations is None else f"invariant violations {score.violations}, ")
            + f"{score.milliseconds:.1f} ms per answer"
        )
    return rows


def _export_rows(exported: ExportResult) -> dict[str, str]:
    same = exported.agreement
    return {
        name: f"{file.bytes / 1e6:.2f} MB, answers as the merged model: "
        f"{same.with_merged_model[name]:.0%} of {same.inputs} inputs"
        for name, file in exported.files.items()
    }
