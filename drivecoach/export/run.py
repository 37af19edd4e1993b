"""The export stage: merge, convert, quantize, Modelfile, proof of equality."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from drivecoach.chat import Chat
from drivecoach.config import Recipe
from drivecoach.data.check import Pair
from drivecoach.domain import AnyDomain
from drivecoach.domains import stored
from drivecoach.export import about, merge, modelfile
from drivecoach.export.parity import (
    FLIPS,
    agreement,
    find_flips,
    gguf_answers,
    hugging_face_answers,
    warnings,
    write_flips,
)
from drivecoach.export.result import Agreement, ExportedFile, ExportResult
from drivecoach.files import sha256, write_text
from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.writer import write_gguf
from drivecoach.progress import progress


def export(
    recipe: Recipe,
    domain: AnyDomain,
    chat: Chat,
    fitted: Path,
    asked: Sequence[Pair],
    rows: str,
    run: Path,
    say: Callable[[str], None],
) -> ExportResult:
    """Write every file for serving the model in ``fitted`` into the run's folder ``export``.

    ``asked`` is for the proof of equality; ``rows`` says what that is: held-out test rows, or training rows where there
    are no others.
    """
    folder = run / "export"
    merged = folder / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    with progress("export: merge"):
        (merge.copy if recipe.train.lora is None else merge.merge)(recipe.base, fitted, merged)
    described = about.fields(recipe, run)
    files = _write_ggufs(recipe, domain, chat, described, merged, folder)
    served = files[-1]
    license = str(described[about.LICENSE])
    write_text(folder / "Modelfile", modelfile.render(chat, recipe.export, served.name, license))
    if about.UNKNOWN in str(described["general.license"]).split(about.AND):
        told = license.replace("\n", "; ")
        say(f"export: a licence is not known ({told}): set export.base_license or export.data_license")

    prompts = [chat.prompt(pair.input, pair.history) for pair in asked]
    reference = hugging_face_answers(merged, prompts, recipe.export.num_predict)
    answers = {path.name: gguf_answers(path, prompts) for path in files}
    same = {name: agreement(reference, given) for name, given in answers.items()}
    for name, share in same.items():
        say(f"export: {name} answers {share:.0%} of {len(prompts)} {rows} as the merged model does")
    flips = find_flips([pair.input for pair in asked], reference, answers)
    write_flips(flips, folder / FLIPS)
    for warning in warnings(flips, len(asked), folder / FLIPS):
        say(f"export: warning: {warning}")
    if not recipe.export.keep_merged:
        shutil.rmtree(merged)
    return ExportResult(
        files={path.name: ExportedFile(bytes=path.stat().st_size, sha256=sha256(path)) for path in files},
        agreement=Agreement(inputs=len(prompts), rows=rows, with_merged_model=same),
    )


def _write_ggufs(
    recipe: Recipe, domain: AnyDomain, chat: Chat, described: dict[str, str | int], merged: Path, folder: Path
) -> list[Path]:
    """One GGUF a quantization, in the recipe's order; the f16 file they are made from stays only if asked for."""
    wanted = {kind: folder / recipe.export.gguf(kind) for kind in recipe.export.quantizations}
    whole = folder / recipe.export.gguf("f16")
    write_gguf(
        merged,
        whole,
        metadata={
            **described,
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
