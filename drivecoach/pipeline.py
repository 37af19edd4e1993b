"""The stages of one run, in order: data, train, export, evaluate; each reads the folder before it.

A stage whose manifest names the same inputs is skipped; an interrupted one starts again (training from its last
checkpoint). The run folder is ``runs/<recipe name>``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from drivecoach import stage
from drivecoach.chat import Chat, read_family
from drivecoach.chat.template import split
from drivecoach.config import Recipe
from drivecoach.data import SPLITS, DataResult, Pair, identity, prepare, read_pairs
from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domains.load import files_of, load_domain
from drivecoach.domains.load import identity as domain_identity
from drivecoach.domains.stored import find_domain
from drivecoach.errors import ModelError, RecipeError
from drivecoach.export.modelfile import check_system
from drivecoach.files import write_json, write_text
from drivecoach.gguf.reader import read_metadata
from drivecoach.infer import Question
from drivecoach.progress import progress
from drivecoach.train import processes
from drivecoach.train.backend import Job, check_backend, choose_backend
from drivecoach.train.result import TrainResult

if TYPE_CHECKING:
    from drivecoach.evaluate.scores import Evaluation
    from drivecoach.export.run import ExportResult

RECIPE = "recipe.json"
Say = Callable[[str], None]

PARITY_STATES = 100
UNIFORM_STATES = 5000


class Run:
    """A run folder and the recipe it belongs to."""

    def __init__(self, folder: Path, recipe: Recipe, say: Say = print, domain: AnyDomain | None = None) -> None:
        self.folder = folder
        self.recipe = recipe
        self.domain: AnyDomain = domain or load_domain(recipe.domain)
        self.chat = make_chat(recipe, self.domain)
        check_backend(recipe)
        self.say = say

    @classmethod
    def open(cls, folder: Path, say: Say = print, domain: str | None = None) -> Run:
        """The run in ``folder``; ``domain`` names another than its recipe's.

        Where the recipe's domain is gone (its file was moved, its package uninstalled), the exported model says what
        it is for. Raises ModelError when there is no run.
        """
        try:
            recipe = Recipe.model_validate_json((folder / RECIPE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ModelError(
                f"{folder} is no run folder (no readable {RECIPE})",
                hint="train first: drivecoach train RECIPE; runs lie in runs/<recipe name>",
            ) from None
        if domain is not None:
            return cls(folder, recipe, say, load_domain(domain))
        try:
            return cls(folder, recipe, say)
        except RecipeError:
            exported = folder / "export" / gguf_name(recipe, recipe.export.quantizations[-1])
            if not exported.is_file():
                raise
        found = find_domain(read_metadata(exported), str(exported))
        say(f"note: {found.note}" if found.note else f"note: the domain is the one that {exported} names")
        return cls(folder, recipe, say, found.domain)

    @property
    def quantized(self) -> Path:
        """The file that is served: the last quantization of the recipe."""
        return self.folder / "export" / gguf_name(self.recipe, self.recipe.export.quantizations[-1])

    def save_recipe(self) -> None:
        """Keep the resolved recipe in the run folder, so that later stages need no more than the folder."""
        write_json(self.folder / RECIPE, self.recipe.model_dump(mode="json"))

    def prepare(self) -> DataResult:
        """Check and split the data. Raises DataError when a row is refused, with a rejects file to read."""
        with processes.first_goes_ahead():
            return self._prepare()

    def _prepare(self) -> DataResult:
        data, folder = self.recipe.data, self.folder / "data"
        inputs: JsonObject = {
            "sources": [identity(source) for source in data.sources],
            "domain": {**self._domain_identity()},
            "template": [self.chat.source, self.chat.end],
            "split": [data.validation, data.test, data.fraction, data.refused],
        }
        if (results := stage.finished(folder, inputs, DataResult)) is not None:
            self.say("data: unchanged, skipped")
            return results
        stage.begin(folder)
        results = prepare(data, self.domain, re.compile(self.chat.family.control), folder)
        stage.finish(folder, inputs, results, [f"{name}.jsonl" for name in SPLITS])
        parts = f"{results.train} train, {results.validation} validation, {results.test} test"
        self.say(f"data: {results.rows} rows checked, {sum(results.refused.values())} refused: {parts}")
        return results

    def pairs(self, name: str) -> list[Pair]:
        """The pairs of one split, as `prepare` wrote them."""
        return list(read_pairs(self.folder / "data" / f"{name}.jsonl"))

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
        )

    def train(self) -> TrainResult:
        """Fit the model; goes on from the last checkpoint of the same recipe and data."""
        folder = self.folder / "train"
        inputs: JsonObject = {
            "data": self._fingerprint_of("data", DataResult),
            "vocabulary": stage.fingerprint([*self.domain.vocabulary()]),
            **self.recipe.model_dump(mode="json", include={"chat", "base", "train"}),
            "system": self.chat.system,
            "template": self.chat.source,
        }
        if (done := stage.finished(folder, inputs, TrainResult)) is not None:
            self.say("train: unchanged, skipped")
            return done
        with processes.first_goes_ahead():
            if processes.is_first():
                stage.begin(folder)
                self._drop_stale_checkpoints(folder, stage.fingerprint(inputs))
        backend = choose_backend(self.recipe, self.say)  # before TRL is imported: Unsloth must come first
        from drivecoach.train.trainer import fit

        results = fit(backend, self.job())
        if processes.is_first():
            stage.finish(folder, inputs, results, [results.fitted])
        exact = "" if results.exact_match is None else f", exact {results.exact_match:.1%} on validation rows"
        self.say(f"train: {results.steps} steps, loss {results.loss:.4f}{exact}")
        return results

    def export(self) -> ExportResult:
        """Merge, write the GGUF files and the Modelfile, prove that all of them answer alike."""
        from drivecoach.export import run as export_stage

        trained = stage.read_manifest(self.folder / "train", TrainResult)
        if trained is None:
            raise ModelError(f"{self.folder} holds no trained model", hint="train first: drivecoach train RECIPE")
        folder = self.folder / "export"
        inputs: JsonObject = {
            "train": self._fingerprint_of("train", TrainResult),
            "domain": {**self.domain.identity()},
            **self.recipe.model_dump(mode="json", include={"export"}),
        }
        if (results := stage.finished(folder, inputs, export_stage.ExportResult)) is not None:
            self.say("export: unchanged, skipped")
            return results
        stage.begin(folder)
        held_out = (self.pairs("test") or self.pairs("train"))[:PARITY_STATES]
        results = export_stage.export(
            self.recipe,
            self.domain,
            self.chat,
            self.folder / "train" / trained.results.fitted,
            held_out,
            folder,
            self.say,
        )
        stage.finish(folder, inputs, results, [*results.files, "Modelfile"])
        return results

    def evaluate(self, *, constrained: bool = False) -> Evaluation:
        """Score the served file on the test split, and on inputs drawn evenly from all the domain has.

        ``constrained``: every test also under the answer's JSON Schema.
        """
        from drivecoach.evaluate.scores import Case, Evaluation, score
        from drivecoach.export.run import ExportResult
        from drivecoach.runtime import open_runtime

        folder = self.folder / "evaluate"
        inputs: JsonObject = {
            "export": self._fingerprint_of("export", ExportResult),
            "data": self._fingerprint_of("data", DataResult),
            "domain": {**self._domain_identity()},
            "constrained": constrained,
        }
        if (results := stage.finished(folder, inputs, Evaluation)) is not None:
            self.say("evaluate: unchanged, skipped")
            return results
        stage.begin(folder)
        seen = {pair.input for name in SPLITS for pair in self.pairs(name)}
        held_out = self.pairs("test")
        answers = [self.domain.read_answer(split(pair.output).text) for pair in held_out]
        tests = {
            "test": [
                Case(Question(pair.input, pair.history), answer)
                for pair, answer in zip(held_out, answers, strict=True)
            ],
            "uniform": [Case(Question(text), answer) for text, answer in self.domain.uniform(UNIFORM_STATES, seen)],
        }
        if self.chat.thinking == "mixed":
            tests["test, not thinking"] = [
                Case(replace(case.question, think=False), case.expected) for case in tests["test"]
            ]
        scores = {}
        with open_runtime(str(self.quantized)) as runtime:
            for name, cases in tests.items():
                for constrain in (False, True) if constrained else (False,):
                    if cases:
                        label = f"{name}, constrained" if constrain else name
                        with progress(f"evaluate: {label}", len(cases), unit="answer") as task:
                            scores[label] = score(runtime, self.domain, cases, task.advance, constrain=constrain)
        results = Evaluation(scores)
        stage.finish(folder, inputs, results, [])
        return results

    def _fingerprint_of(self, name: str, kind: type[BaseModel]) -> str:
        """What tells one outcome of an earlier stage from another."""
        manifest = stage.read_manifest(self.folder / name, kind)
        if manifest is None:
            raise ModelError(f"{self.folder / name} is not complete", hint="run: drivecoach tune RECIPE")
        return stage.fingerprint([manifest.inputs, manifest.results.model_dump(mode="json")])

    def _domain_identity(self) -> dict[str, str]:
        """Name, schemas and, for a domain in a file of one's own, the file: it holds the invariants."""
        given = self.recipe.domain if all(path.is_file() for path in files_of(self.recipe.domain)) else self.domain.name
        return domain_identity(given, self.domain)

    def _drop_stale_checkpoints(self, folder: Path, fingerprint: str) -> None:
        """Checkpoints of other inputs must not be resumed; ours are known by the fingerprint beside them."""
        import shutil

        mark = folder / "inputs.sha256"
        if not mark.exists() or mark.read_text(encoding="utf-8") != fingerprint:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            (folder / "metrics.jsonl").unlink(missing_ok=True)
            write_text(mark, fingerprint)


def make_chat(recipe: Recipe, domain: AnyDomain) -> Chat:
    """How the recipe's model is spoken to, found fit before anything is trained.

    Raises RecipeError for a template that is missing or cannot be learned, and a system message that cannot be served.
    """
    settings = recipe.chat
    system = domain.system if settings.system is None else settings.system
    check_system(system)
    family = read_family(settings.template, settings.end)
    return Chat(system, settings.thinking, family, settings.thinking_share)


def gguf_name(recipe: Recipe, quantization: str) -> str:
    """The file name of one quantization, as Ollama's users know it: ``goDrive-q4_K_M.gguf``."""
    return f"{recipe.export.name}-{quantization}.gguf"
