"""What every stage of a run stands on, how that differs from what it was made from, and which stages are stale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from drivecoach import stage
from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data.result import DataResult
from drivecoach.data.sources import identity
from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domains.load import files_of
from drivecoach.domains.load import identity as domain_identity
from drivecoach.errors import DataError, ModelError
from drivecoach.files import write_json
from drivecoach.text import shown

Stage = Literal["data", "train", "export", "evaluate"]
STAGES: tuple[Stage, ...] = ("data", "train", "export", "evaluate")

_TRAINING = "inputs.json"
# What is only logged, sent elsewhere or kept; it may change without another training.
_NOT_IN_THE_WEIGHTS = {"keep_checkpoints", "logging_steps", "report_to"}


@dataclass(frozen=True)
class Inputs:
    """What the stages in ``folder`` would be made from now; one whose manifest names the same is up to date.

    Without ``domain`` and ``chat``, what they decide is left out: a GGUF file alone must not cause a domain's Python
    file to be loaded.
    """

    folder: Path
    recipe: Recipe
    domain: AnyDomain | None = None
    chat: Chat | None = None

    def of(self, name: Stage) -> JsonObject:
        """The inputs of a stage. Raises ModelError where one that it stands on is not complete."""
        return {"data": self._data, "train": self._train, "export": self._export, "evaluate": self._evaluate}[name]()

    def training(self) -> JsonObject:
        """All that decides what the weights become, but for the pairs."""
        settings: JsonObject = {
            **self.recipe.model_dump(mode="json", include={"chat", "base"}),
            "train": self.recipe.train.model_dump(mode="json", exclude=_NOT_IN_THE_WEIGHTS),
            "parent": self.recipe.parent.fingerprint if self.recipe.parent else None,
        }
        if self.domain and self.chat:
            settings["vocabulary"] = stage.fingerprint([*self.domain.vocabulary()])
            settings["system"], settings["template"] = self.chat.system, self.chat.source
        return settings

    def stale(self) -> dict[str, str]:
        """Every complete stage that was made from something else than there is now, and what differs."""
        found: dict[str, str] = {}
        for name in STAGES:
            recorded = stage.read_manifest(self.folder / name, stage.AnyResult)
            if recorded is None:
                continue
            try:
                now = self.of(name)
            except (DataError, OSError):
                continue  # the rows are not here (another folder, another machine): nobody can tell
            except ModelError as error:
                found[name] = error.message
                continue
            if changes := differences({key: recorded.inputs.get(key) for key in now}, now):
                found[name] = "; ".join(changes)
        return found

    def _data(self) -> JsonObject:
        data = self.recipe.data
        sources = [identity(source) for source in data.sources]
        shares = data.model_dump(mode="json", include={"validation", "test", "fraction", "refused"})
        inputs: JsonObject = {"data": {**shares, **({"mix": [*sources]} if data.mix else sources[0])}}
        if self.chat:
            inputs |= {"domain": self._domain(), "template": self.chat.source, "end": self.chat.end}
        return inputs

    def _train(self) -> JsonObject:
        manifest = stage.read_manifest(self.folder / "data", DataResult)
        if manifest is None:
            raise _incomplete(self.folder / "data")
        return {"pairs": pairs_of(manifest.results), **self.training()}

    def _export(self) -> JsonObject:
        inputs: JsonObject = {
            stage.outcome_of("train"): self._outcome("train"),
            **self.recipe.model_dump(mode="json", include={"export"}),
        }
        if self.domain:
            inputs["domain"] = {**self.domain.identity()}
        return inputs

    def _evaluate(self) -> JsonObject:
        inputs: JsonObject = {
            stage.outcome_of("export"): self._outcome("export"),
            stage.outcome_of("data"): self._outcome("data"),
            **self.recipe.model_dump(mode="json", include={"evaluate"}),
        }
        if self.domain:
            inputs["domain"] = self._domain()
        return inputs

    def _domain(self) -> JsonObject:
        """Name, schemas and, for a domain in a file of one's own, the file: it holds the invariants."""
        assert self.domain is not None  # noqa: S101
        given = self.recipe.domain if all(path.is_file() for path in files_of(self.recipe.domain)) else self.domain.name
        return {**domain_identity(given, self.domain)}

    def _outcome(self, name: Stage) -> str:
        """What tells one outcome of an earlier stage from another."""
        found = stage.identity(self.folder / name)
        if found is None:
            raise _incomplete(self.folder / name)
        return found


@dataclass(frozen=True)
class Training:
    """A training in a run folder that has something to lose: finished weights, or checkpoints."""

    inputs: JsonObject | None
    """What it was begun with; None where nothing readable says so."""
    steps: int
    finished: bool

    def __str__(self) -> str:
        if self.inputs is None:
            return "weights or checkpoints"
        return f"{'a finished' if self.finished else 'an unfinished'} training of {self.steps:,} steps"

    def changes(self, now: JsonObject) -> list[str]:
        """What of ``now`` is otherwise than it was for this training."""
        if self.inputs is None:
            return ["what they were trained with is not known: nothing readable in train/ says so"]
        return differences({key: self.inputs.get(key) for key in now}, now)


def find_training(run_folder: Path) -> Training | None:
    """The training in a run folder; None where there are neither weights nor checkpoints."""
    folder = run_folder / "train"
    weights = (folder / "model").exists() or (folder / "adapter").exists()
    manifest = stage.read_manifest(folder, stage.AnyResult)
    if manifest and weights:
        results = manifest.results.root
        steps = results.get("steps") if isinstance(results, dict) else None
        return Training(manifest.inputs, steps if isinstance(steps, int) else 0, finished=True)
    steps = max(_checkpoint_steps(folder), default=None)
    if steps is None and not weights:
        return None
    return Training(_begun_with(folder), steps or 0, finished=False)


def note_training(folder: Path, inputs: JsonObject) -> bool:
    """Write down what the training in ``folder`` is begun with; True where it was the same already."""
    if _begun_with(folder) == inputs:
        return True
    write_json(folder / _TRAINING, inputs)
    return False


def pairs_of(data: DataResult) -> JsonObject:
    """What tells the pairs of one training from another's."""
    return {"train": data.digests["train"], "validation": data.digests["validation"]}


def differences(old: JsonValue, new: JsonValue) -> list[str]:
    """What differs, a text each: ``train.epochs: 3.0 -> 5.0``, or that another stage was made anew."""
    before, after = dict(_flat(old)), dict(_flat(new))
    outcomes = {stage.outcome_of(name) for name in STAGES}
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [
        f"the {key} was made anew"
        if key in outcomes
        else f"{key}: {_shown(before, key)} -> {_shown(after, key)}"
        for key in changed
    ]


def _flat(value: JsonValue, key: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Every setting by its dotted name; lists of settings have numbers."""
    parts: list[tuple[str, JsonValue]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = [(str(number), item) for number, item in enumerate(value)]
    if not parts:
        yield key, value
    for name, part in parts:
        yield from _flat(part, f"{key}.{name}" if key else name)


def _shown(values: dict[str, JsonValue], key: str) -> str:
    if key not in values:
        return "nothing"
    text = json.dumps(values[key], ensure_ascii=False)
    is_digest = len(text) == 66 and text[1:-1].isalnum()
    return text[1:9] if is_digest else shown(text)


def _checkpoint_steps(folder: Path) -> Iterator[int]:
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        step = path.name.rpartition("-")[2]
        if step.isdecimal():
            yield int(step)


def _begun_with(folder: Path) -> JsonObject | None:
    try:
        found = json.loads((folder / _TRAINING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _incomplete(folder: Path) -> ModelError:
    return ModelError(f"{folder} is not complete", hint="run: drivecoach tune RECIPE")
