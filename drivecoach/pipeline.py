"""The stages of one run, in order: data, train, export, evaluate; each reads the folder before it.

A stage whose manifest names the same inputs is skipped; an interrupted one starts again (training from its last
checkpoint). The run folder is ``runs/<recipe name>``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivecoach import stage
from drivecoach.chat import Chat, read_family
from drivecoach.config import Recipe
from drivecoach.data import SPLITS, Pair, identity, prepare, read_pairs
from drivecoach.errors import ModelError
from drivecoach.export.modelfile import check_system
from drivecoach.files import write_json, write_text
from drivecoach.registry import Domain, load_domain
from drivecoach.train import processes
from drivecoach.train.fit import fit

RECIPE = "recipe.json"
Say = Callable[[str], None]

PARITY_STATES = 100
UNIFORM_STATES = 5000


class Run:
    """A run folder and the recipe it belongs to."""

    def __init__(self, folder: Path, recipe: Recipe, say: Say = print) -> None:
        self.folder = folder
        self.recipe = recipe
        self.domain: Domain = load_domain(recipe.domain)
        self.chat = make_chat(recipe)
        self.say = say

    @classmethod
    def open(cls, folder: Path, say: Say = print) -> Run:
        """The run in ``folder``. Raises ModelError when there is none."""
        try:
            recipe = Recipe.model_validate_json((folder / RECIPE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ModelError(
                f"{folder} is no run folder (no readable {RECIPE})",
                hint="train first: drivecoach train RECIPE; runs lie in runs/<recipe name>",
            ) from None
        return cls(folder, recipe, say)

    @property
    def quantized(self) -> Path:
        """The file that is served: the last quantization of the recipe."""
        return self.folder / "export" / gguf_name(self.recipe, self.recipe.export.quantizations[-1])

    def save_recipe(self) -> None:
        """Keep the resolved recipe in the run folder, so that later stages need no more than the folder."""
        write_json(self.folder / RECIPE, self.recipe.model_dump(mode="json"))

    def prepare(self) -> dict[str, Any]:
        """Check and split the data. Raises DataError when a row is refused, with a rejects file to read."""
        with processes.first_goes_ahead():
            return self._prepare()

    def _prepare(self) -> dict[str, Any]:
        data, folder = self.recipe.data, self.folder / "data"
        inputs = {
            "sources": [identity(source) for source in data.sources],
            "domain": self.recipe.domain,
            "template": self.chat.family.name,
            "split": [data.validation, data.test, data.fraction, data.refused],
        }
        if (results := stage.finished(folder, inputs)) is not None:
            self.say("data: unchanged, skipped")
            return results
        stage.begin(folder)
        results = prepare(data, self.domain, re.compile(self.chat.family.control), folder)
        stage.finish(folder, inputs, results, [f"{name}.jsonl" for name in SPLITS])
        refused = sum(results["refused"].values())
        parts = ", ".join(f"{results[name]} {name}" for name in SPLITS)
        self.say(f"data: {results['rows']} rows checked, {refused} refused: {parts}")
        return results

    def pairs(self, name: str) -> list[Pair]:
        """The pairs of one split, as `prepare` wrote them."""
        return list(read_pairs(self.folder / "data" / f"{name}.jsonl"))

    def train(self) -> dict[str, Any]:
        """Fit the model; goes on from the last checkpoint of the same recipe and data."""
        folder = self.folder / "train"
        inputs = {
            "data": self._manifest_of("data"),
            **self.recipe.model_dump(mode="json", include={"chat", "base", "train", "domain"}),
            "system": self.chat.system,
            "template": self.chat.source,
        }
        if (done := stage.finished(folder, inputs)) is not None:
            self.say("train: unchanged, skipped")
            return done
        with processes.first_goes_ahead():
            if processes.is_first():
                stage.begin(folder)
                self._drop_stale_checkpoints(folder, stage.fingerprint(inputs))
        results = fit(self.recipe, self.chat, self.pairs("train"), self.pairs("validation"), folder, self.say)
        if processes.is_first():
            stage.finish(folder, inputs, results, [results["fitted"]])
        self.say(f"train: {results['steps']} steps, loss {results['loss']:.4f}")
        return results

    def export(self) -> dict[str, Any]:
        """Merge, write the GGUF files and the Modelfile, prove that all of them answer alike."""
        from drivecoach.export import run as export_stage

        trained = stage.read_manifest(self.folder / "train")
        if trained is None:
            raise ModelError(f"{self.folder} holds no trained model", hint="train first: drivecoach train RECIPE")
        folder = self.folder / "export"
        inputs = {"train": self._manifest_of("train"), **self.recipe.model_dump(mode="json", include={"export"})}
        if (results := stage.finished(folder, inputs)) is not None:
            self.say("export: unchanged, skipped")
            return results
        stage.begin(folder)
        held_out = (self.pairs("test") or self.pairs("train"))[:PARITY_STATES]
        prompts = [self.chat.prompt(pair.input, pair.history) for pair in held_out]
        results = export_stage.export(
            self.recipe, self.chat, self.folder / "train" / trained["results"]["fitted"], prompts, folder, self.say
        )
        stage.finish(folder, inputs, results, [*results["files"], "Modelfile"])
        return results

    def evaluate(self, advance: Callable[[int], Callable[[], None]]) -> dict[str, Any]:
        """Score the served file on the test split, and on inputs drawn evenly from all the domain has.

        ``advance(n)`` opens a progress bar of ``n`` rows and returns the function that moves it.
        """
        from drivecoach.evaluate.scores import score
        from drivecoach.runtime import open_runtime

        folder = self.folder / "evaluate"
        inputs = {"export": self._manifest_of("export"), "data": self._manifest_of("data")}
        if (results := stage.finished(folder, inputs)) is not None:
            self.say("evaluate: unchanged, skipped")
            return results
        stage.begin(folder)
        seen = {pair.input for name in SPLITS for pair in self.pairs(name)}
        from drivecoach.chat.template import split

        held_out = self.pairs("test")
        tests = {
            "test": [(p.input, self.domain.read_answer(split(p.output).text)) for p in held_out],
            "uniform": self.domain.uniform(UNIFORM_STATES, seen),
        }
        histories = {"test": [pair.history for pair in held_out]}
        results = {}
        with open_runtime(str(self.quantized)) as runtime:
            for name, pairs in tests.items():
                if pairs:
                    bar = advance(len(pairs))
                    results[name] = score(runtime, self.domain, pairs, bar, histories.get(name)).to_json()
            if held_out and self.chat.thinking == "mixed":
                bar, turns = advance(len(held_out)), histories["test"]
                scores = score(runtime, self.domain, tests["test"], bar, turns, think=False)
                results["test, not thinking"] = scores.to_json()
        stage.finish(folder, inputs, results, [])
        return results

    def _manifest_of(self, name: str) -> str:
        manifest = stage.read_manifest(self.folder / name)
        if manifest is None:
            raise ModelError(f"{self.folder / name} is not complete", hint="run: drivecoach tune RECIPE")
        return stage.fingerprint([manifest["inputs"], manifest["results"]])

    def _drop_stale_checkpoints(self, folder: Path, fingerprint: str) -> None:
        """Checkpoints of other inputs must not be resumed; ours are known by the fingerprint beside them."""
        import shutil

        mark = folder / "inputs.sha256"
        if not mark.exists() or mark.read_text(encoding="utf-8") != fingerprint:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            (folder / "metrics.jsonl").unlink(missing_ok=True)
            write_text(mark, fingerprint)


def make_chat(recipe: Recipe) -> Chat:
    """How the recipe's model is spoken to, found fit before anything is trained.

    Raises RecipeError for a template that is missing or cannot be learned, and a system message that cannot be served.
    """
    settings = recipe.chat
    system = load_domain(recipe.domain).system if settings.system is None else settings.system
    check_system(system)
    family = read_family(settings.template, settings.end)
    return Chat(system, settings.thinking, family, settings.thinking_share)


def gguf_name(recipe: Recipe, quantization: str) -> str:
    """The file name of one quantization, as Ollama's users know it: ``goDrive-q4_K_M.gguf``."""
    return f"{recipe.export.name}-{quantization}.gguf"
