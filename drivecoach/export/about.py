"""What an exported file says of itself: its name, who made it, of which base and data, and under which licences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from drivecoach import stage
from drivecoach.config import BaseConfig, Recipe
from drivecoach.data.result import DataResult
from drivecoach.errors import ModelError
from drivecoach.files import sha256
from drivecoach.text import shown
from drivecoach.train import bases
from drivecoach.train.result import TrainResult

UNKNOWN = "unknown"
AND = " AND "
"""Between two licences that both hold, as SPDX writes it."""
LICENSE = "drivecoach.license"
"""The GGUF field that holds the Modelfile's LICENSE."""
_NOT_READ = "see its card"
_README = "README.md"


@dataclass(frozen=True)
class Origin:
    """A base or a data set that the model was made of."""

    kind: str
    """``base_model`` or ``dataset``, as the fields of a GGUF call it."""
    name: str
    license: str
    organization: str = ""
    repo_url: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.repo_url or self.name}: {self.license}"


def origins(recipe: Recipe, *, hub: bool, digests: Sequence[str | None] = ()) -> list[Origin]:
    """What a recipe's model is made of; with ``hub``, cards that lie there are read for their licences.

    ``digests`` are the hashes of the data's files, in the order of the sources.
    """
    return [*_base(recipe, hub), *_data(recipe, hub, digests)]


def license_text(found: Sequence[Origin]) -> str:
    """The licence of the whole where all are known, then that of each part, one a line."""
    known = not {UNKNOWN, _NOT_READ} & {origin.license for origin in found}
    lines = [*([_joined(found)] if known else []), *map(str, found)]
    return "\n".join(shown(line, 300).replace('"', "'") for line in lines)


def fields(recipe: Recipe, run: Path) -> dict[str, str | int]:
    """The GGUF fields of the model that was trained in the folder ``run``, by the names of the GGUF specification.

    The date is the training's, not today's: the same training gives the same file. Needs the manifests of the stages
    data and train.
    """
    trained = stage.read_manifest(run / "train", TrainResult)
    prepared = stage.read_manifest(run / "data", DataResult)
    date = trained.date[:10] if trained else UNKNOWN
    data: Any = prepared.inputs["data"] if prepared else {}
    found = origins(recipe, hub=True, digests=[source.get("sha256") for source in data.get("mix") or [data]])
    made: dict[str, str | int] = {
        "general.name": recipe.export.name,
        "general.version": recipe.export.version or date,
        "general.license": _joined(found),
        LICENSE: license_text(found),
        "drivecoach.date": date,
        "drivecoach.data.sha256": sha256(run / "data" / "train.jsonl"),
    }
    if recipe.export.author:
        made["general.author"] = recipe.export.author
    for kind in ("base_model", "dataset"):
        parts = [origin for origin in found if origin.kind == kind]
        if parts:
            made[f"general.{kind}.count"] = len(parts)
        for number, part in enumerate(parts):
            for key in ("name", "organization", "repo_url", "version"):
                if value := getattr(part, key):
                    made[f"general.{kind}.{number}.{key}"] = value
    return made


def _base(recipe: Recipe, hub: bool) -> Iterator[Origin]:
    base = recipe.base
    if base.source == "nano":
        return  # trained from scratch
    name = base.name or ""
    if base.source == "hub":
        license = _hub_license(name, "model", base.revision) if hub else _NOT_READ
    elif hub or base.source == "local":
        license = _local_license(base)
    else:
        license = _NOT_READ
    yield _origin("base_model", base.source, name, recipe.export.base_license or license, base.revision or "")


def _data(recipe: Recipe, hub: bool, digests: Sequence[str | None]) -> Iterator[Origin]:
    for source, digest in zip_longest(recipe.data.sources, digests):
        license = UNKNOWN
        if source.source == "local":
            path = Path(source.path)
            card = _card(path.with_name(_README))
            license = card.license if path.name in card.files else UNKNOWN
        elif source.source == "hub":
            license = _hub_license(source.path, "dataset", source.revision) if hub else _NOT_READ
        version = f"sha256:{digest}" if digest else source.revision or ""
        yield _origin("dataset", source.source, source.path, recipe.export.data_license or license, version)


def _origin(kind: str, source: str, name: str, license: str, version: str) -> Origin:
    """Of what lies on this machine, only the last part of its path is told."""
    if source == "local":
        return Origin(kind, Path(name).name, license, version=version)
    owner, _, short = name.rpartition("/")
    place = {
        ("hub", "base_model"): "https://huggingface.co/",
        ("hub", "dataset"): "https://huggingface.co/datasets/",
        ("modelscope", "base_model"): "https://modelscope.cn/models/",
        ("modelscope", "dataset"): "https://modelscope.cn/datasets/",
    }[source, kind]
    return Origin(kind, short, license, owner, place + name, version)


def _local_license(base: BaseConfig) -> str:
    try:
        return _card(Path(bases.locate(base)) / _README).license
    except ModelError:  # all weights were trained, and the base is gone by now
        return UNKNOWN


def _hub_license(name: str, kind: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download

    try:
        return _card(Path(hf_hub_download(name, _README, repo_type=kind, revision=revision))).license
    except (OSError, ValueError):  # not there or not reachable: then it is not known, and said so
        return UNKNOWN


@dataclass(frozen=True)
class _Card:
    """What the metadata at the head of a card says."""

    license: str = UNKNOWN
    files: Sequence[str] = ()
    """Of a data set: the files that it is about."""


def _card(path: Path) -> _Card:
    import yaml
    from huggingface_hub import metadata_load

    try:
        found = metadata_load(path) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return _Card()
    named = found.get("license")
    if named == "other":  # stands for a name of its own
        named = found.get("license_name") or named
    names = [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]
    configs = found.get("configs")
    listed = configs if isinstance(configs, list) else []
    files = [config.get("data_files") for config in listed if isinstance(config, dict)]
    return _Card(AND.join(names) or UNKNOWN, [file for file in files if isinstance(file, str)])


def _joined(found: Sequence[Origin]) -> str:
    """One expression for all licences, each once."""
    different: dict[str, str] = {}
    for origin in found:
        different.setdefault(origin.license.casefold(), origin.license)
    return AND.join(different.values())
