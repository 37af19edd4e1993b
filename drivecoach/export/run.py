"""The export stage: merge, convert, quantize, Modelfile, proof of equality."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data import Pair
from drivecoach.domain import AnyDomain
from drivecoach.domains import stored
from drivecoach.export import modelfile
from drivecoach.export.merge import merge
from drivecoach.export.parity import (
    FLIPS,
    agreement,
    find_flips,
    gguf_answers,
    hugging_face_answers,
    warnings,
    write_flips,
)
from drivecoach.files import sha256, write_text
from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.writer import write_gguf
from drivecoach.progress import progress


class ExportedFile(BaseModel, frozen=True, extra="forbid"):
    """A GGUF as it was written."""

    bytes: int
    sha256: str


class Agreement(BaseModel, frozen=True, extra="forbid"):
    """How far the files answer as the merged model does."""

    inputs: int
    with_merged_model: dict[str, float]
    """File name to the share of inputs with the very same answer."""


class ExportResult(BaseModel, frozen=True, extra="forbid"):
    """The result of the export stage."""

    files: dict[str, ExportedFile]
    agreement: Agreement


def export(
    recipe: Recipe,
    domain: AnyDomain,
    chat: Chat,
    fitted: Path,
    asked: Sequence[Pair],
    folder: Path,
    say: Callable[[str], None],
) -> ExportResult:
    """Write every file for serving the model in ``fitted`` into ``folder``; ``asked`` is for the proof of equality."""
    merged = folder / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    with progress("export: merge"):
        if recipe.train.lora is None:
            shutil.copytree(fitted, merged)
        else:
            merge(recipe.base, fitted, merged)
    files = _write_ggufs(recipe, domain, chat, merged, folder)
    served = files[-1]
    write_text(folder / "Modelfile", modelfile.render(chat, recipe.export, served.name))
    say("export: " + ", ".join(f"{path.name} {path.stat().st_size / 1e6:.2f} MB" for path in files))

    prompts = [chat.prompt(pair.input, pair.history) for pair in asked]
    reference = hugging_face_answers(merged, prompts, recipe.export.num_predict)
    answers = {path.name: gguf_answers(path, prompts) for path in files}
    same = {name: agreement(reference, given) for name, given in answers.items()}
    for name, share in same.items():
        say(f"export: {name} answers {share:.0%} of {len(prompts)} held-out states as the merged model does")
    flips = find_flips([pair.input for pair in asked], reference, answers)
    write_flips(flips, folder / FLIPS)
    for warning in warnings(flips, len(asked), folder / FLIPS):
        say(f"export: warning: {warning}")
    return ExportResult(
        files={path.name: ExportedFile(bytes=path.stat().st_size, sha256=sha256(path)) for path in files},
        agreement=Agreement(inputs=len(prompts), with_merged_model=same),
    )


def _write_ggufs(recipe: Recipe, domain: AnyDomain, chat: Chat, merged: Path, folder: Path) -> list[Path]:
    """One GGUF a quantization, in the recipe's order; the f16 file they are made from stays only if asked for."""
    wanted = {kind: folder / f"{recipe.export.name}-{kind}.gguf" for kind in recipe.export.quantizations}
    whole = wanted.get("f16", folder / f"{recipe.export.name}-f16.gguf")
    write_gguf(
        merged,
        whole,
        metadata={
            **stored.metadata(domain),
            **chat.metadata(),
            "drivecoach.temperature": recipe.export.temperature,
            "drivecoach.num_ctx": recipe.export.num_ctx,
            "drivecoach.num_predict": recipe.export.num_predict,
        },
        chat_template=chat.source,
    )
    for kind, path in wanted.items():
        if path != whole:
            quantize(whole, path, kind)
    if "f16" not in wanted:
        whole.unlink()
    return list(wanted.values())
