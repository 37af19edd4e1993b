"""A stage's folder and its manifest: written last, so a manifest present means the stage is complete."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, JsonValue, RootModel

from drivecoach.files import write_json

MANIFEST = "manifest.json"
Result = TypeVar("Result", bound=BaseModel)
_TOOLS = ("drivecoach", "torch", "transformers", "trl", "peft", "tokenizers", "gguf", "xllamacpp")


class Manifest(BaseModel, Generic[Result], strict=True):
    """What a complete stage says of itself."""

    inputs: dict[str, JsonValue]
    results: Result
    files: list[str]
    """What the next stage may rely on, relative to the folder."""
    versions: dict[str, str]
    date: str
    """When the stage was finished, ISO 8601 in UTC."""


class AnyResult(RootModel[JsonValue]):
    """A result of any form, for those who only compare it."""


def fingerprint(inputs: JsonValue) -> str:
    """Hex SHA-256 of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(inputs, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path, kind: type[Result]) -> Manifest[Result] | None:
    """The manifest of a complete stage whose results are a ``kind``.

    None when the stage never finished, its manifest is damaged, or another version's results have another form.
    """
    try:
        return Manifest[kind].model_validate_json((folder / MANIFEST).read_bytes())  # type: ignore[valid-type]
    except (OSError, ValueError):
        return None


def finished(folder: Path, inputs: dict[str, JsonValue], kind: type[Result]) -> Result | None:
    """The results of a complete stage whose inputs are exactly ``inputs``; None when it must run."""
    manifest = read_manifest(folder, kind)
    if manifest is None or fingerprint(manifest.inputs) != fingerprint(inputs):
        return None
    return manifest.results if is_whole(folder, manifest) else None


def is_whole(folder: Path, manifest: Manifest[Result]) -> bool:
    """Whether all files are there that a manifest names."""
    return all((folder / name).exists() for name in manifest.files)


def identity(folder: Path) -> str | None:
    """What tells one outcome of a stage from another; None where it is not complete."""
    manifest = read_manifest(folder, AnyResult)
    return fingerprint([manifest.inputs, manifest.results.root]) if manifest else None


def outcome_of(name: str) -> str:
    """By what name the `identity` of the stage ``name`` stands among the inputs of a later one."""
    return f"{name} stage"


def begin(folder: Path) -> None:
    """Open a stage: from here until `finish`, its folder does not look complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)


def finish(folder: Path, inputs: dict[str, JsonValue], results: BaseModel, files: list[str]) -> None:
    """Close a stage: write its manifest, after everything else."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(inputs=inputs, results=results, files=sorted(files), versions=_versions(), date=now)
    write_json(folder / MANIFEST, manifest.model_dump(mode="json", serialize_as_any=True))


def _versions() -> dict[str, str]:
    found = {}
    for tool in _TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found
