"""`drivecoach tune`, `train`, `export`: the stages of a run, one by one or all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.deploy import NoDeploy, deploy_where_it_runs
from drivecoach.cli.listing import say_stale
from drivecoach.cli.options import RUNS, AsJson, Runs
from drivecoach.config import load_recipe
from drivecoach.quiet import LOG, noise_into
from drivecoach.train import processes

if TYPE_CHECKING:
    from drivecoach.evaluate.scores import Evaluation
    from drivecoach.export.result import ExportResult
    from drivecoach.pipeline import Run
    from drivecoach.train.result import TrainResult

RecipePath = Annotated[Path, typer.Argument(help="A recipe: recipes/nano.yaml, or a shipped one by its name: nano.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, e.g. runs/nano")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting: --set train.epochs=2 (repeatable).")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Train in the place of a run of other settings; it stays until then.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Make a new run from the weights of RECIPE's finished run, or of a run folder.")
]
AutoBatch = Annotated[bool, typer.Option("--auto-batch", help="Find the largest batch that fits into memory.")]


def tune(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    examples: Annotated[int, typer.Option(min=0, help="Answer this many held-out inputs at the end.")] = 0,
    auto_batch: AutoBatch = False,
    replace: Replace = False,
    resume: Resume = False,
    no_deploy: NoDeploy = False,
    as_json: AsJson = False,
) -> None:
    """Check, split, train, export and evaluate in one command; stages whose inputs did not change are skipped."""
    run = open_recipe(recipe, overrides, runs, quiet=as_json, auto_batch=auto_batch, replace=replace, resume=resume)
    with run.held(), noise_into(run.folder / LOG):
        run.prepare()
        trained = run.train()
        exported = run.export()
        run.take_place()
        scores = run.evaluate()
    say_stale(run.folder, run.stale(), scores=True)
    if as_json:
        deployed = None if no_deploy else deploy_where_it_runs(run)
        results = {"train": trained, "export": exported, "evaluate": scores, "ollama": deployed}
        show.as_json({"run": str(run.folder), **results})
        return
    if examples:
        _answer_examples(run, examples)
    _summary(run, trained, exported, scores)
    if not no_deploy:
        deploy_where_it_runs(run)  # last: what replaces what goes by the scores, and a refusal must not hide them


def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    auto_batch: AutoBatch = False,
    replace: Replace = False,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Check and split the data, then fit the model; goes on from the last checkpoint.

    Several GPUs: accelerate launch -m drivecoach train RECIPE.
    """
    run = open_recipe(recipe, overrides, runs, quiet=as_json, auto_batch=auto_batch, replace=replace, resume=resume)
    with run.held(), noise_into(run.folder / LOG):
        run.prepare()
        results = run.train()
        if not processes.is_first():
            return
        run.take_place()
    if as_json:
        show.as_json(results)
    else:
        show.table(f"{run.folder}/train", results.model_dump(exclude_none=True))


def export(run_folder: RunFolder, no_deploy: NoDeploy = False, as_json: AsJson = False) -> None:
    """Merge, write GGUF files and the Modelfile, prove their equality, and deploy where Ollama runs."""
    run = open_run(run_folder, quiet=as_json)
    say_stale(run.folder, {name: reason for name, reason in run.stale().items() if name in ("data", "train")})
    with run.held(), noise_into(run.folder / LOG):
        results = run.export()
    deployed = None if no_deploy else deploy_where_it_runs(run)
    if as_json:
        show.as_json({**dict(results), "ollama": deployed})
    else:
        show.table(f"{run.folder}/export", _export_rows(results))


def open_recipe(
    recipe: Path,
    overrides: list[str] | None,
    runs: Path,
    *,
    quiet: bool,
    auto_batch: bool = False,
    replace: bool = False,
    resume: bool = False,
) -> Run:
    """The run that a recipe describes; of several processes only the first one speaks."""
    from drivecoach.pipeline import Run
    from drivecoach.resume import resumed

    speak = say(quiet) if processes.is_first() else lambda text: None
    changes = [*(overrides or []), *(["train.auto_batch=true"] if auto_batch else [])]
    if not resume:
        loaded = load_recipe(recipe, changes)
        return Run(runs / loaded.name, loaded, speak, replace=replace)
    loaded = resumed(recipe, changes, runs)
    if loaded.parent is not None:
        speak(f"resume: {runs / loaded.name} goes on from {loaded.parent.run}")
    return Run(runs / loaded.name, loaded, speak, replace=replace)


def open_run(folder: Path, *, quiet: bool, domain: str | None = None) -> Run:
    """The run in a folder; what it says goes where results do not."""
    from drivecoach.pipeline import Run

    return Run.open(folder, say(quiet), domain)


def say(quiet: bool) -> Callable[[str], None]:
    """What a run says its progress with: on standard error where the result is for machines."""
    console = show.stderr if quiet else show.stdout
    return lambda text: console.print(text, markup=False)


def _answer_examples(run: Run, count: int) -> None:
    from drivecoach.infer import Engine
    from drivecoach.runtime import open_runtime

    with open_runtime(str(run.quantized)) as runtime:
        engine = Engine(runtime.generate, run.domain)
        rows, pairs = run.sample(count)
        show.stdout.print(f"\n{len(pairs)} {rows}:", markup=False)
        for pair in pairs:
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
            **_score_rows(scores, run.folder),
            **_export_rows(exported),
            "files": f"{run.folder}/export (GGUF, Modelfile), {run.folder}/train/loss.png, {run.folder}/{LOG}",
        },
    )
    show.stdout.print(f"ask it: drivecoach ask '{example}' --model {run.quantized}", markup=False)


def _score_rows(scores: Evaluation, folder: Path) -> dict[str, str]:
    """A row for every test; ``folder`` is the run's."""
    from drivecoach.evaluate.scores import told

    return {
        f"{name} ({score.rows:,} inputs)": "\n".join(told(score, folder / "evaluate"))
        for name, score in scores.root.items()
    }


def _export_rows(exported: ExportResult) -> dict[str, str]:
    same = exported.agreement
    inputs = f"{same.inputs} training inputs" if same.rows == "training rows" else f"{same.inputs} inputs"
    return {
        name: f"{file.bytes / 1e6:.2f} MB, answers as the merged model: "
        f"{same.with_merged_model[name]:.0%} of {inputs}"
        for name, file in exported.files.items()
    }
