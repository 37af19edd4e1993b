"""What can be measured: any link of the chain from weights to a served model, opened by one name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from drivecoach.chat import Chat, chat_of
from drivecoach.config import RECIPE, Recipe, read_recipe
from drivecoach.domain import AnyDomain
from drivecoach.domains.load import load_domain
from drivecoach.domains.stored import find_domain
from drivecoach.errors import ModelError, RecipeError
from drivecoach.evaluate.weights import WeightsRuntime
from drivecoach.files import sha256
from drivecoach.gguf.reader import read_metadata
from drivecoach.runtime import TIMEOUT, Runtime, address, open_runtime
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.runtime.ollama import Ollama
from drivecoach.runtime.rules import with_domain

Kind = Literal["gguf", "weights", "ollama", "rules", "other"]
"""``other``: the runtime of an installed package."""
_DEPTH = 3
"""A run's folder stands at most so far above the file or folder that is named."""


@dataclass(frozen=True)
class Target:
    """A model that can be asked, and what one must know to judge its answers. Close it, or use it in ``with``."""

    name: str
    """As it was given."""
    kind: Kind
    domain: AnyDomain
    runtime: Runtime
    chat: Chat | None
    """How it is spoken to; None where only the server knows."""
    path: Path | None
    """The GGUF file, or the folder of weights."""
    run: Path | None
    """The run folder that it lies in."""
    link: str
    """Which link of its run's chain it is: ``f16``, ``adapter``, ``merged``; empty for the file that the run serves,
    and outside a run."""
    note: str
    """What one should know about how its domain was found; empty where there is nothing."""
    digest: Callable[[], str]
    """What tells this model from any other, read anew at each call: the file's SHA-256, Ollama's own digest, …"""

    @property
    def gguf(self) -> Path | None:
        """The file that `drivecoach.native.judge.judge` can judge by; None where there is none."""
        return self.path if self.kind == "gguf" else None

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_target(name: str, domain: str | None = None, host: str | None = None, *, timeout: float = TIMEOUT) -> Target:
    """The model called ``name``: a run folder (its served GGUF), a folder of Hugging Face weights inside a run, a GGUF
    file, ``ollama:NAME`` at ``host``, ``rules``, or another runtime's ``KIND:NAME``.

    ``domain`` names another domain than the model's own. Raises ModelError where there is no such model or it does not
    say its domain, RuntimeFailure where a server does not answer.
    """
    kind, _ = address(name)
    path = Path(name)
    if kind == "llamacpp" and path.is_dir():
        run = _run_of(path)
        if (path / RECIPE).is_file():
            return _gguf(name, path / "export" / read_recipe(path).export.served, domain, host)
        if not any((path / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise ModelError(
                f"{path} is neither a run folder nor a folder of weights (no {RECIPE}, config.json, "
                "adapter_config.json)",
                hint="name runs/NAME, runs/NAME/train/model, runs/NAME/train/adapter, runs/NAME/export/merged, or a "
                "GGUF file",
            )
        if run is None:
            raise ModelError(
                f"{path} lies in no run folder, so nothing says how it is spoken to",
                hint="name weights inside a run folder, or export them: drivecoach export RUN",
            )
        return _weights(name, path, run, domain)
    if kind == "llamacpp":
        if not path.exists() and path.suffix != ".gguf":
            raise ModelError(
                f"nothing is at {name}: no run folder, no folder of weights and no GGUF file",
                hint="train first: drivecoach train RECIPE; or name a GGUF file, ollama:NAME, or rules",
            )
        return _gguf(name, Path(name.removeprefix("llamacpp:")), domain, host)
    return _served(name, kind, domain, host, timeout)


def _gguf(name: str, path: Path, domain: str | None, host: str | None) -> Target:
    runtime = LlamaCpp(path, host)
    run, link = _run_of(path), ""
    recipe = None if run is None else read_recipe(run)
    if recipe is not None and path.name != recipe.export.served:
        link = path.stem.removeprefix(f"{recipe.export.name}-")
    found, note = _domain(runtime.metadata, str(path), domain, recipe)
    return Target(name, "gguf", found, runtime, runtime.chat, path, run, link, note, lambda: sha256(path))


def _weights(name: str, path: Path, run: Path, domain: str | None) -> Target:
    recipe = read_recipe(run)
    served = run / "export" / recipe.export.served
    metadata = read_metadata(served) if served.is_file() else {}
    found, note = _domain(metadata, str(path), domain, recipe)
    chat = chat_of(recipe.chat, found)
    runtime = WeightsRuntime(
        path, chat, metadata, limit=recipe.export.num_predict, context=recipe.export.num_ctx
    )
    return Target(name, "weights", found, runtime, chat, path, run, path.name, note, lambda: _digest_of(path))


def _served(name: str, kind: str, domain: str | None, host: str | None, timeout: float) -> Target:
    runtime = open_runtime(with_domain(name, domain), host=host, timeout=timeout)
    try:
        found = find_domain(runtime.metadata, runtime.name, domain)
    except ModelError:
        runtime.close()
        raise
    if isinstance(runtime, Ollama):
        try:
            chat = Chat.from_metadata(runtime.metadata)
        except KeyError:
            chat = None
        return Target(name, "ollama", found.domain, runtime, chat, None, None, "", found.note, runtime.digest)
    rules = found.domain if kind == "rules" else None
    identity = rules.identity() if rules else {"name": runtime.name}
    made = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()
    what: Kind = "rules" if rules else "other"
    return Target(name, what, found.domain, runtime, None, None, None, "", found.note, lambda: made)


def _domain(
    metadata: Mapping[str, object], model: str, override: str | None, recipe: Recipe | None
) -> tuple[AnyDomain, str]:
    """The domain of a model, and what to say of it: the recipe's where there is one, else what the file names."""
    if override is None and recipe is not None:
        try:
            return load_domain(recipe.domain), ""
        except RecipeError:  # its file was moved, its package uninstalled
            if not metadata:
                raise
    found = find_domain(metadata, model, override)
    return found.domain, found.note


def _run_of(path: Path) -> Path | None:
    """The run folder that ``path`` is, or lies in."""
    above = (folder for start in (path, path.resolve()) for folder in (start, *start.parents[:_DEPTH]))
    return next((folder for folder in above if (folder / RECIPE).is_file()), None)


def _digest_of(folder: Path) -> str:
    """The digest of what makes a folder's answers: weights, settings, tokenizer, each file by its name."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".json", ".jinja"):
            whole.update(f"{path.name} {sha256(path)}\n".encode())
    return whole.hexdigest()
