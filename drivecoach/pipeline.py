"""The stages of one run, in order: data, train, export, evaluate; each reads the folder before it.

A stage whose manifest names the same inputs is skipped; an interrupted one starts again (training from its last
checkpoint). The run folder is ``runs/<recipe name>``. A training of other settings under the same name is refused, or
with ``replace`` made in a folder of its own that takes the old one's place once it is complete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from drivecoach import stage
from drivecoach.config import Recipe, read_recipe
from drivecoach.data.check import Pair
from drivecoach.data.prepare import prepare, read_pairs
from drivecoach.data.result import DataResult
from drivecoach.data.split import SPLITS
from drivecoach.domain import AnyDomain
from drivecoach.domains.load import load_domain
from drivecoach.domains.stored import find_domain
from drivecoach.errors import ModelError, RecipeError
from drivecoach.evaluate import own_pairs
from drivecoach.evaluate.questions import cases_of, spread
from drivecoach.evaluate.scores import MISTAKES, Case, Evaluation, Mistake, score
from drivecoach.export import card
from drivecoach.export.modelfile import make_chat
from drivecoach.export.result import ExportResult
from drivecoach.files import replace_folder, write_lines
from drivecoach.folder import RunFolder
from drivecoach.gguf.reader import read_metadata
from drivecoach.infer import Question
from drivecoach.progress import progress
from drivecoach.provenance import Inputs, differences, find_training, note_training, pairs_of
from drivecoach.runtime import open_runtime
from drivecoach.train import processes
from drivecoach.train.backend import Job, check_backend, choose_backend
from drivecoach.train.result import TrainResult

Say = Callable[[str], None]


class Run:
    """A run folder and the recipe it belongs to.

    Every stage holds the folder's lock while it works; `held` keeps it from one stage to the next.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        say: Say = print,
        domain: AnyDomain | None = None,
        *,
        replace: bool = False,
    ) -> None:
        self._folder = RunFolder(folder, replace=replace)
        self.recipe = recipe
        self.domain: AnyDomain = domain or load_domain(recipe.domain)
        self.chat = make_chat(recipe, self.domain)
        check_backend(recipe)
        self.say = say
        self._has_its_domain = domain is None

    @classmethod
    def open(cls, folder: Path, say: Say = print, domain: str | None = None) -> Run:
        """The run in ``folder``; ``domain`` names another than its recipe's.

        Where the recipe's domain is gone (its file was moved, its package uninstalled), the exported model says what
        it is for. Raises ModelError when there is no run.
        """
        recipe = read_recipe(folder)
        if domain is not None:
            return cls(folder, recipe, say, load_domain(domain))
        try:
            return cls(folder, recipe, say)
        except RecipeError:
            exported = folder / "export" / recipe.export.served
            if not exported.is_file():
                raise
        found = find_domain(read_metadata(exported), str(exported))
        say(f"note: {found.note}" if found.note else f"note: the domain is the one that {exported} names")
        return cls(folder, recipe, say, found.domain)

    @property
    def folder(self) -> Path:
        """Where the run lies; a replacement lies aside until `take_place`."""
        return self._folder.path

    @property
    def quantized(self) -> Path:
        """The file that is served."""
        return self.folder / "export" / self.recipe.export.served

    def save_recipe(self) -> None:
        """Keep the resolved recipe in the run folder, so that later stages need no more than the folder."""
        self._folder.save_recipe(self.recipe)

    def stale(self) -> dict[str, str]:
        """The complete stages that were made from something else than there is now, each with what differs."""
        return (self._inputs() if self._has_its_domain else Inputs(self.folder, self.recipe)).stale()

    def held(self) -> AbstractContextManager[None]:
        """Hold the folder for writing, from one stage to the next; another process is told who does."""
        return self._folder.held()

    def prepare(self) -> DataResult:
        """Check and split the data, and keep the recipe.

        Raises DataError when a row is refused, with a rejects file to read, RecipeError where the folder holds a
        training of something else.
        """
        with self.held(), processes.first_goes_ahead():
            return self._prepare() if processes.is_first() else self._follow()

    def _prepare(self) -> DataResult:
        inputs, folder = self._inputs().of("data"), self.folder / "data"
        training = find_training(self.folder)
        if training and (changes := training.changes(self._inputs().training())):
            self._folder.make_room(training, [*changes, *self._changes_of_data()], self.say)
            return self._prepare()
        if (results := stage.finished(folder, inputs, DataResult)) is not None:
            self.save_recipe()
            self.say("data: unchanged, skipped")
            return results
        # Beside a training, other pairs are made aside: they must not take the place of those that it has learned.
        made_in = folder.with_name("data~new") if training else folder
        if not training:
            self.save_recipe()
        stage.begin(made_in)
        results = prepare(self.recipe.data, self.domain, re.compile(self.chat.family.control), made_in)
        stage.finish(made_in, inputs, results, [f"{name}.jsonl" for name in SPLITS])
        if training:
            if differences((training.inputs or {}).get("pairs"), pairs_of(results)):
                shutil.rmtree(made_in)
                self._folder.make_room(training, self._changes_of_data() or ["other pairs"], self.say)
                return self._prepare()
            replace_folder(made_in, folder)
        self.save_recipe()
        parts = f"{results.train} train, {results.validation} validation, {results.test} test"
        self.say(f"data: {results.rows} rows checked, {sum(results.refused.values())} refused: {parts}")
        return results

    def _follow(self) -> DataResult:
        """What the first of several processes has prepared, in the folder or aside."""
        inputs, training = self._inputs(), find_training(self.folder)
        moved = training is not None and bool(training.changes(inputs.training()))
        if moved or stage.finished(self.folder / "data", inputs.of("data"), DataResult) is None:
            self._folder.path = self._folder.aside
        results = stage.finished(self.folder / "data", self._inputs().of("data"), DataResult)
        if results is None:
            raise ModelError(f"{self.folder / 'data'} is not complete", hint="run the same command again")
        return results

    def _changes_of_data(self) -> list[str]:
        found = stage.read_manifest(self.folder / "data", stage.AnyResult)
        return differences({**found.inputs}, self._inputs().of("data")) if found else []

    def is_free(self) -> bool:
        """Whether this very training was begun or finished in the folder, or none at all."""
        training = find_training(self.folder)
        return training is None or not (training.changes(self._inputs().training()) or self._changes_of_data())

    def take_place(self) -> None:
        """Put a run that was made aside in the place of the one that it replaces, which is removed only now."""
        self._folder.take_place(self.say)

    def pairs(self, name: str) -> list[Pair]:
        """The pairs of one split, as `prepare` wrote them."""
        return list(read_pairs(self.folder / "data" / f"{name}.jsonl"))

    def sample(self, count: int) -> tuple[str, list[Pair]]:
        """The first pairs to try a model with, and what they are: test rows; where there are none, the next best."""
        for name in ("test", "validation", "train"):
            if pairs := self.pairs(name)[:count]:
                return ("training rows" if name == "train" else f"held-out {name} rows"), pairs
        raise ModelError(f"{self.folder / 'data'} holds no pairs", hint="run: drivecoach tune RECIPE")

    def job(self) -> Job:
        """What the training is given, from the pairs that `prepare` wrote."""
        return Job(
            self.recipe,
            self.chat,
            self.domain.vocabulary(),
            self.pairs("train"),
            self.pairs("validation"),
            self.folder / "train",
            self.say,
            self._parent_weights(),
        )

    def _parent_weights(self) -> Path | None:
        """What the training begins with, where that is another run's outcome."""
        if (parent := self.recipe.parent) is None:
            return None
        folder = Path(parent.run) / "train"
        manifest = stage.read_manifest(folder, TrainResult)
        if manifest is None or stage.identity(folder) != parent.fingerprint:
            raise ModelError(
                f"{parent.run} no longer holds the training that {self.recipe.name} goes on from",
                hint=f"go on from what it holds now, under another name: drivecoach tune {parent.run} --resume",
            )
        return folder / manifest.results.fitted

    def train(self) -> TrainResult:
        """Fit the model; goes on from the last checkpoint of the same recipe and data.

        Raises RecipeError where the folder holds a training of something else.
        """
        with self.held():
            return self._train()

    def _train(self) -> TrainResult:
        folder, inputs = self.folder / "train", self._inputs().of("train")
        if (done := stage.finished(folder, inputs, TrainResult)) is not None:
            self.say("train: unchanged, skipped")
            return done
        job = self.job()
        with processes.first_goes_ahead():
            if processes.is_first():
                training = find_training(self.folder)
                if training and (changes := training.changes(inputs)):
                    raise self._folder.refusal(training, changes)
                stage.begin(folder)
                if not note_training(folder, inputs):  # nothing whole is here: what is left is of another training
                    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
                    (folder / "metrics.jsonl").unlink(missing_ok=True)
        backend = choose_backend(self.recipe, self.say)  # before TRL is imported: Unsloth must come first
        from drivecoach.train.trainer import fit

        results = fit(backend, job)
        if processes.is_first():
            stage.finish(folder, inputs, results, [results.fitted])
            if not self.recipe.train.keep_checkpoints:
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        exact = "" if results.exact_match is None else f", exact {results.exact_match:.1%} on validation rows"
        self.say(f"train: {results.steps} steps, loss {results.loss:.4f}{exact}")
        return results

    def export(self) -> ExportResult:
        """Merge, write the GGUF files and the Modelfile, prove that all of them answer alike."""
        with self.held():
            return self._export()

    def _export(self) -> ExportResult:
        from drivecoach.export.run import export

        trained = stage.read_manifest(self.folder / "train", TrainResult)
        if trained is None:
            raise ModelError(f"{self.folder} holds no trained model", hint="train first: drivecoach train RECIPE")
        folder = self.folder / "export"
        inputs = self._inputs().of("export")
        if (results := stage.finished(folder, inputs, ExportResult)) is not None:
            self.say("export: unchanged, skipped")
            return results
        stage.begin(folder)
        rows, pairs = self.sample(self.recipe.export.parity_states)
        results = export(
            self.recipe,
            self.domain,
            self.chat,
            self.folder / "train" / trained.results.fitted,
            pairs,
            rows,
            self.folder,
            self.say,
        )
        stage.finish(folder, inputs, results, [*results.files, "Modelfile"])
        card.write(self.folder, self.recipe, self.domain)
        return results

    def evaluate(self, *, constrained: bool = False) -> Evaluation:
        """Score the served file on the test split, and on inputs drawn evenly from all the domain has.

        ``constrained``: every test also under the answer's JSON Schema.
        """
        with self.held():
            return self._evaluate(constrained=constrained)

    def _evaluate(self, *, constrained: bool) -> Evaluation:
        folder = self.folder / "evaluate"
        inputs = {**self._inputs().of("evaluate"), "constrained": constrained}
        if (results := stage.finished(folder, inputs, Evaluation)) is not None:
            self.say("evaluate: unchanged, skipped")
            return results
        stage.begin(folder)
        pairs: dict[str, list[Pair]] = {name: self.pairs(name) for name in SPLITS}
        beside_rules = own_pairs.compare(self.domain, pairs, folder, self.say)
        seen = {pair.input for split_ in pairs.values() for pair in split_}
        limits = self.recipe.evaluate
        held_out = spread(pairs["test"], limits.rows)
        if not held_out:
            self.say("evaluate: there are no test rows (data.test), so no rows that were held out are scored")
        tests = {
            "test": cases_of(held_out, self.domain),
            "uniform": [Case(Question(text), answer) for text, answer in self.domain.uniform(limits.states, seen)],
        }
        if self.chat.thinking == "mixed":
            tests["test, not thinking"] = [
                Case(replace(case.question, think=False), case.expected) for case in tests["test"]
            ]
        scores = {}
        mistakes: list[Mistake] = []
        with open_runtime(str(self.quantized)) as runtime:
            for name, cases in tests.items():
                for constrain in (False, True) if constrained else (False,):
                    if cases:
                        label = f"{name}, constrained" if constrain else name
                        with progress(f"evaluate: {label}", len(cases), unit="answer") as task:
                            scores[label] = score(
                                runtime,
                                self.domain,
                                cases,
                                task.advance,
                                constrain=constrain,
                                test=label,
                                mistakes=mistakes,
                                beside=beside_rules if name == "uniform" else None,
                            )
        write_lines(folder / MISTAKES, (mistake.model_dump_json() for mistake in mistakes))
        results = Evaluation(scores)
        stage.finish(folder, inputs, results, [MISTAKES, own_pairs.DIFFERENCES])
        card.write(self.folder, self.recipe, self.domain)
        return results

    def _inputs(self) -> Inputs:
        return Inputs(self.folder, self.recipe, self.domain, self.chat)


