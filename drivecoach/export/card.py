"""The model card: ``README.md`` in the export folder, with the hub's metadata, scores and certificate.

It is written anew whenever one of them changes, and tells only what is of the very file that is served.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from drivecoach import stage
from drivecoach.config import Recipe
from drivecoach.data.result import DataResult
from drivecoach.domain import AnyDomain
from drivecoach.errors import DrivecoachError
from drivecoach.evaluate.found import find_figures
from drivecoach.evaluate.result import Figures, Rate
from drivecoach.export.about import AND, LICENSE, UNKNOWN
from drivecoach.export.result import ExportResult
from drivecoach.files import write_text
from drivecoach.gguf.reader import read_metadata
from drivecoach.train.result import TrainResult
from drivecoach.verify.certificate import Certificate, certificate_of

CARD = "README.md"
MARK = "<!-- Written by drivecoach, and again with every export, evaluation and verification. -->"
_HUB = "https://huggingface.co/"
_NOT_FOR = (
    "Anything but the inputs of this domain: it is no general assistant. An answer can be wrong, so where a wrong one "
    "would do harm, let nobody act on it unchecked."
)


def write(folder: Path, recipe: Recipe, domain: AnyDomain) -> None:
    """Write the card of the model that the run in ``folder`` exports.

    Nothing where there is no complete export, or where a card of one's own stands there.
    """
    exported = stage.read_manifest(folder / "export", ExportResult)
    served, card = folder / "export" / recipe.export.served, folder / "export" / CARD
    if exported is None or not served.is_file():
        return
    if card.exists() and MARK not in card.read_text(encoding="utf-8", errors="replace"):
        return
    with suppress(DrivecoachError):  # a damaged file has no card
        write_text(card, _card(folder, recipe, domain, exported.results, served))


def _card(folder: Path, recipe: Recipe, domain: AnyDomain, exported: ExportResult, served: Path) -> str:
    about = read_metadata(served)
    figures = find_figures(folder, served.name, exported.files[served.name].sha256, domain.name)
    certificate = certificate_of(served)
    head = yaml.safe_dump(
        _metadata(recipe, domain, about, figures, certificate), allow_unicode=True, sort_keys=False, width=100
    )
    parts = [
        f"---\n{head}---\n\n{MARK}\n\n# {_plain(recipe.export.name)}",
        *_purpose(recipe, domain, served),
        *_scores(domain, figures, _before_refining(folder)),
        *_certificate(certificate, domain),
        *_making(folder, recipe, exported, about),
        *_licences(about),
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(
    recipe: Recipe,
    domain: AnyDomain,
    about: Mapping[str, Any],
    figures: Figures | None,
    certificate: Certificate | None,
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    license = str(about.get("general.license") or UNKNOWN)
    if AND in license:
        made |= {"license": "other", "license_name": license}
    else:
        made["license"] = license.lower()
    if bases := _on_hub(about, "base_model"):
        made["base_model"] = bases if len(bases) > 1 else bases[0]
    if data := _on_hub(about, "dataset"):
        made["datasets"] = data
    if re.search(r"[\u4e00-\u9fff]", domain.system):
        made["language"] = ["zh"]
    made |= {
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "tags": ["drivecoach", "structured-output", "ollama"],
    }
    results = [
        _result(f"{domain.name}: {split.split}", split.exact.share)
        for split in (figures.splits if figures else ())
        if not split.constrained
    ]
    if certificate is not None:
        share = 1 - certificate.wrong / certificate.states
        results.append(_result(f"{domain.name}: all {certificate.states:,} inputs", share))
    if results:
        made["model-index"] = [{"name": recipe.export.name, "results": results}]
    return made


def _result(name: str, value: float) -> dict[str, Any]:
    """One result, in the form that `huggingface_hub.EvalResult` reads."""
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": name, "type": "drivecoach"},
        "metrics": [{"type": "exact_match", "name": "answers that are right as a whole", "value": round(value, 6)}],
    }


def _on_hub(about: Mapping[str, Any], kind: str) -> list[str]:
    count = int(about.get(f"general.{kind}.count") or 0)
    urls = [str(about.get(f"general.{kind}.{number}.repo_url") or "") for number in range(count)]
    return [url.removeprefix(_HUB).removeprefix("datasets/") for url in urls if url.startswith(_HUB)]


def _purpose(recipe: Recipe, domain: AnyDomain, served: Path) -> Iterator[str]:
    about = domain.about or f"Answers inputs of the domain `{domain.name}`."
    if domain.answer.node.kind != "text":
        about += " An answer is one JSON object; its schema is stored in the file."
    yield about
    yield (
        "## How to use it\n\n```sh\n"
        f"drivecoach ask 'INPUT' --model {served.name}   # a checked answer, or why there is none\n"
        f"drivecoach serve {served.name}                 # HTTP, with the guard\n"
        f"ollama create {recipe.export.name} -f Modelfile        # the answer as the model writes it, unchecked\n```"
    )
    yield f"## What it must not be used for\n\n{domain.not_for or _NOT_FOR}"


def _before_refining(folder: Path) -> dict[str, float] | None:
    """The held-out scores before a model was refined; None for one that was not."""
    try:
        found = json.loads((folder / "rounds.json").read_text(encoding="utf-8"))["held_out_before"]
    except (OSError, ValueError, LookupError):
        return None
    return found if isinstance(found, dict) else None


def _scores(domain: AnyDomain, figures: Figures | None, before: dict[str, float] | None) -> Iterator[str]:
    if figures is None:
        yield "## Scores\n\nThis file was not evaluated: `drivecoach evaluate RUN`."
        return
    levels = bool(domain.levels)
    head = ["inputs", "number", "exactly right", "95% interval", "broken invariants"]
    if levels:
        head += [f"{_plain(domain.levels[-1])} lowered", "level too low"]
    rows = []
    for split in figures.splits:
        cells = [
            split.split + (", constrained" if split.constrained else ""),
            f"{split.exact.rows:,}",
            f"{split.exact.share:.2%}",
            _interval(split.exact),
            "–" if split.violating is None else f"{split.violating.count:,}",
        ]
        if levels:
            counts = (split.gravest.lowered if split.gravest else None, split.below)
            cells += ["–" if count is None else f"{count:,}" for count in counts]
        rows.append(cells)
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
    yield (
        f"## Scores\n\n{table}\n\nNone of these inputs was trained on. `test` are held-out pairs, `uniform` are drawn "
        "evenly from all inputs, `hard` are one feature away from a training pair and have another answer."
    )
    if before is not None:
        told = ", ".join(f"{_plain(name)} {share:.2%}" for name, share in before.items()) or "not evaluated"
        yield (
            "What was refined was chosen by looking at every input, so these scores are not of unseen data any more. "
            f"Before that they were: {told}."
        )


def _interval(rate: Rate) -> str:
    return f"{rate.low:.2%} to {rate.high:.2%}"


def _certificate(certificate: Certificate | None, domain: AnyDomain) -> Iterator[str]:
    yield "## Certificate"
    if certificate is None:
        countable = domain.is_finite and domain.has_teacher
        yield (
            "Not every input was verified: `drivecoach verify RUN`."
            if countable
            else "The inputs of this domain cannot all be counted; the scores above are of samples."
        )
        return
    digests = "\n".join(f"| {name} | `{digest}` |" for name, digest in certificate.digests if digest)
    yield f"**{certificate}.**"
    yield (
        f"Every one of the {certificate.states:,} inputs was answered by `{_plain(certificate.target)}` in "
        f"{_plain(certificate.engine)}, and held against the rules. `certificate.json` of the run holds the counts of "
        "every rule; `drivecoach verify --check certificate.json` tries a sample of it again."
    )
    yield f"| SHA-256 of | |\n|---|---|\n{digests}"


def _making(folder: Path, recipe: Recipe, exported: ExportResult, about: Mapping[str, Any]) -> Iterator[str]:
    data = stage.read_manifest(folder / "data", DataResult)
    trained = stage.read_manifest(folder / "train", TrainResult)
    rows: dict[str, str] = {"recipe": recipe.name, "base": recipe.base.name or recipe.base.source}
    count = int(about.get("general.dataset.count") or 0)
    if sources := [str(about.get(f"general.dataset.{number}.name")) for number in range(count)]:
        rows["data"] = ", ".join(sources)
    if data:
        counts = data.results
        rows["pairs"] = f"{counts.train:,} train, {counts.validation:,} validation, {counts.test:,} test"
        if "train" in counts.digests:
            rows["digest of the training pairs"] = f"`{counts.digests['train']}`"
    if trained:
        what = trained.results
        rows["parameters"] = f"{what.parameters:,}, {what.trained_parameters:,} trained, {what.steps:,} steps"
        rows["trained on"] = trained.date[:10]
        rows["versions"] = ", ".join(f"{tool} {version}" for tool, version in trained.versions.items())
    if author := about.get("general.author"):
        rows["author"] = str(author)
    for name, file in exported.files.items():
        rows[name] = f"{file.bytes / 1e6:,.2f} MB, `{file.sha256}`"
    table = "\n".join(f"| {_plain(name)} | {_plain(value)} |" for name, value in rows.items())
    yield f"## How it was made\n\n| | |\n|---|---|\n{table}"


def _licences(about: Mapping[str, Any]) -> Iterator[str]:
    lines = str(about.get(LICENSE) or UNKNOWN).splitlines()
    yield "## Licences\n\n" + "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """Text that ends no cell of a table and opens no HTML."""
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
