"""The rounds of a refinement: verify, draw what is weak, train on, export, verify the served file again."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from drivecoach import stage
from drivecoach.config import RECIPE, ParentConfig, Recipe, RefineConfig, read_recipe
from drivecoach.data.check import Pair
from drivecoach.data.prepare import extend, read_pairs
from drivecoach.data.result import DataResult
from drivecoach.data.split import SPLITS
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import ModelError, RecipeError
from drivecoach.evaluate.scores import Evaluation
from drivecoach.evaluate.target import open_target
from drivecoach.export import card
from drivecoach.export.result import ExportResult
from drivecoach.files import replace_folder, sha256, write_lines
from drivecoach.lock import locked
from drivecoach.pipeline import Run
from drivecoach.refine.choose import choose
from drivecoach.refine.rounds import Round, Rounds, read_rounds, write_rounds
from drivecoach.refine.scan import DOUBTFUL, can_scan, scan
from drivecoach.verify.answers import LOWERED
from drivecoach.verify.certificate import FOLDER, Certificate
from drivecoach.verify.run import verify
from drivecoach.verify.states import check_countable

Say = Callable[[str], None]
FEW = 1e-4
"""As long as more of all states than this share are wrong among the doubtful ones, the others are not looked at."""
THOROUGH = 3
SLOWER = 0.6
"""Each round begins at this share of the learning rate of the one before: what is right by now should stay so."""
_KEPT = ("data", "train", "export", FOLDER)


def refined_folder(run: Path) -> Path:
    """Where the refined run of a run lies: beside it."""
    return run.with_name(f"{run.name}-refined")


def refine(parent: Run, settings: RefineConfig, say: Say = print) -> tuple[Run, Rounds]:
    """Teach a finished run what it gets wrong of all that it can be asked, round by round, until nothing is left.

    The run itself stays as it is; the refined one lies beside it, with the pairs and the record of every round.
    Interrupted, it goes on. The best round's model is kept: fewest lowered dangers, then broken invariants, then wrong
    answers. Rows that were held out are never taught. Raises RecipeError for a domain that cannot be counted or a
    folder that holds something else, ModelError where the run is not exported.
    """
    check_countable(parent.domain)
    fingerprint = stage.identity(parent.folder / "train")
    if fingerprint is None or stage.read_manifest(parent.folder / "export", ExportResult) is None:
        raise ModelError(f"{parent.folder} is not trained and exported", hint="run: drivecoach tune RECIPE")
    folder = refined_folder(parent.folder)
    record = _record(parent, folder, fingerprint)
    if not record.rounds:
        with _timed() as minutes:
            certificate = _verified(parent, say)
        pairs = sum(len(parent.pairs(name)) for name in SPLITS)
        record = _noted(folder, record, _counted(certificate, 0, 0, pairs, {"verify": minutes[0]}), say)
    run = parent
    for number in range(1, settings.rounds + 1):
        made = Run(folder / "rounds" / str(number), _recipe(parent, run, settings, number), say, parent.domain)
        if number < len(record.rounds):
            run = made
            continue
        added = sum(one.added for one in record.rounds)
        if record.finished or record.rounds[-1].is_clean or added >= settings.pairs:
            break
        left = settings.pairs - added
        count = left if number == settings.rounds else math.ceil(left / 2)  # the last mistakes are few
        record = _noted(folder, record, _round(parent, run, made, number, count, left, say), say)
        run = made
    return _keep(parent, folder, record, say)


def _record(parent: Run, folder: Path, fingerprint: str) -> Rounds:
    """What was done before, or an empty record."""
    found = read_rounds(folder)
    if found is None:
        if (folder / RECIPE).exists():
            raise RecipeError(f"{folder} is no refined run", hint=f"move it away, then refine {parent.folder} again")
        evaluated = stage.read_manifest(parent.folder / "evaluate", Evaluation)
        before = {name: scores.right[WHOLE] for name, scores in evaluated.results.root.items()} if evaluated else {}
        return Rounds(parent=str(parent.folder), fingerprint=fingerprint, held_out_before=before, rounds=[])
    if found.fingerprint != fingerprint:
        raise RecipeError(
            f"{folder} is refined from another training than {parent.folder} holds now",
            hint=f"move it away or remove it: rm -r {folder}",
        )
    return found


def _noted(folder: Path, record: Rounds, done: Round, say: Say) -> Rounds:
    """The record with one round more, kept."""
    say(
        f"refine: round {done.round}: {done.wrong:,} of {done.states:,} {'' if done.verified else 'doubtful '}states "
        f"wrong, {done.lowered:,} lowered, {done.pairs:,} pairs"
    )
    rounds = [*record.rounds, done]
    record = record.model_copy(update={"rounds": rounds, "kept": min(rounds, key=lambda one: one.rank).round})
    write_rounds(folder, record)
    return record


def _recipe(parent: Run, before: Run, settings: RefineConfig, number: int) -> Recipe:
    """The parent's recipe for a round that goes on from the weights of ``before``."""
    recipe = parent.recipe
    rate = (settings.learning_rate or recipe.train.learning_rate / 2) * SLOWER ** (number - 1)
    train = {"epochs": settings.epochs, "learning_rate": rate, "max_steps": None, "seed": recipe.train.seed + number}
    fingerprint = stage.identity(before.folder / "train") or ""  # empty where this round's is done and was kept
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-refined",
            "train": recipe.train.model_copy(update=train),
            "refine": settings,
            "parent": ParentConfig(run=str(before.folder), fingerprint=fingerprint),
        }
    )


def _round(parent: Run, before: Run, run: Run, number: int, count: int, left: int, say: Say) -> Round:
    """One round from drawing to its certificate; what of it is done already is not done again.

    While the doubtful states alone still hold many mistakes, all states are not looked at, but for the last `THOROUGH`
    rounds: a mistake may be one that the model was sure of.
    """
    pairs = run.folder.with_suffix(".jsonl")
    if not pairs.is_file():
        chosen = _choose(parent, before, pairs.parent, number, count)
        pairs.parent.mkdir(parents=True, exist_ok=True)
        write_lines(pairs, (json.dumps(pair.to_json(), ensure_ascii=False) for pair in chosen))
    run.save_recipe()
    added = _prepare(parent, run, number)
    with _timed() as training:
        run.train()
    with _timed() as exporting:
        run.export()
    minutes = {"train": training[0], "export": exporting[0]}
    total = sum(len(run.pairs(name)) for name in SPLITS)
    if number <= run.recipe.refine.rounds - THOROUGH and left > count and can_scan(before.folder / FOLDER):
        with _timed() as scanning, open_target(str(run.folder)) as target:
            looked = scan(target, before.folder / FOLDER, run.folder / FOLDER)
        minutes["scan"] = scanning[0]
        wrong, lowered = (int((looked[:, 2] >= kind).sum()) for kind in (1, LOWERED))
        if wrong > FEW * len(looked) / DOUBTFUL:
            return Round(
                round=number,
                added=added,
                pairs=total,
                states=len(looked),
                verified=False,
                wrong=wrong,
                lowered=lowered,
                violations=None,
                minutes=_rounded(minutes),
                model=sha256(run.quantized),
            )
    with _timed() as verifying:
        certificate = _verified(run, say)
    return _counted(certificate, number, added, total, {**minutes, "verify": verifying[0]})


def _counted(certificate: Certificate, number: int, added: int, pairs: int, minutes: dict[str, float]) -> Round:
    """The record of a round by the certificate of its model."""
    return Round(
        round=number,
        added=added,
        pairs=pairs,
        states=certificate.states,
        verified=True,
        wrong=certificate.wrong,
        lowered=certificate.lowered,
        violations=sum(certificate.violations.values()),
        minutes=_rounded(minutes),
        model=certificate.digests.model,
    )


def _rounded(minutes: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in minutes.items()}


def _choose(parent: Run, before: Run, folder: Path, number: int, count: int) -> list[Pair]:
    known = {pair.input for name in SPLITS for pair in parent.pairs(name)}
    known |= {pair.input for pair in _drawn(folder, number - 1)}
    seed = parent.recipe.train.seed + number
    return choose(parent.domain, before.folder / FOLDER, known, count, seed, f"round {number}")


def _drawn(folder: Path, last: int) -> Iterator[Pair]:
    """The pairs of all rounds up to the ``last``."""
    for number in range(1, last + 1):
        yield from read_pairs(folder / f"{number}.jsonl")


def _prepare(parent: Run, run: Run, number: int) -> int:
    """The round's data stage: the parent's splits, more to train on; how many the round itself has added."""
    drawn = list(_drawn(run.folder.parent, number))
    prepared = stage.read_manifest(parent.folder / "data", DataResult)
    if prepared is None:
        raise ModelError(f"{parent.folder / 'data'} is not complete", hint="run: drivecoach tune RECIPE")
    rounds = stage.fingerprint([[pair.source, pair.input, pair.output] for pair in drawn])
    inputs = {**prepared.inputs, "rounds": rounds}
    folder = run.folder / "data"
    if stage.finished(folder, inputs, DataResult) is None:
        stage.begin(folder)
        result = extend(parent.folder / "data", prepared.results, drawn, folder)
        stage.finish(folder, inputs, result, [f"{name}.jsonl" for name in SPLITS])
    return sum(pair.source == f"round {number}" for pair in drawn)


def _verified(run: Run, say: Say) -> Certificate:
    """The certificate of what a run serves."""
    with locked(run.folder / FOLDER), open_target(str(run.folder)) as target:
        return verify(target, run.folder / FOLDER, say)


def _keep(parent: Run, folder: Path, record: Rounds, say: Say) -> tuple[Run, Rounds]:
    """Put the best round in the refined run's place, and remove what the others weigh."""
    best = folder / "rounds" / str(record.kept)
    if not record.kept:
        say(f"refine: no round is better than {parent.folder}, which stays what it was")
        run = parent
    else:
        for name in _KEPT:
            if (best / name).exists():
                replace_folder(best / name, folder / name)
        if (best / RECIPE).is_file():
            (best / RECIPE).replace(folder / RECIPE)
        run = Run(folder, read_recipe(folder), say, parent.domain)
    for one in record.rounds[1:]:
        shutil.rmtree(folder / "rounds" / str(one.round), ignore_errors=True)
    record = record.model_copy(update={"finished": True})
    write_rounds(folder, record)
    card.write(run.folder, run.recipe, run.domain)
    return run, record


@contextmanager
def _timed() -> Iterator[list[float]]:
    """A list that holds, once the body is done, the minutes that it took."""
    minutes: list[float] = []
    start = time.monotonic()
    yield minutes
    minutes.append((time.monotonic() - start) / 60)
