"""Equality along the chain: the merged model, its f16 GGUF and its quantized files answer the same states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from drivecoach.data.check import json_line
from drivecoach.evaluate.weights import BATCH, Weights
from drivecoach.files import write_text
from drivecoach.progress import progress
from drivecoach.runtime.llamacpp import LlamaCpp

FLIPS = "flips.jsonl"
MERGED = "merged model"
LOW = 0.99
"""A link of the chain below this agreement is worth a warning."""
_NAMED = 3


@dataclass(frozen=True)
class Flip:
    """An input that is answered in another way after one step from the merged model to the served file."""

    input: str
    link: str
    before: str
    after: str


def hugging_face_answers(model_folder: Path, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """Greedy answers of a Hugging Face folder to rendered prompts, in 32 bits, end token left out."""
    weights = Weights(model_folder, limit=max_new_tokens)
    answers: list[str] = []
    with progress("export: ask the merged model", len(prompts), unit="answer") as task:
        for start in range(0, len(prompts), BATCH):
            answers += [found.text for found in weights.complete(prompts[start : start + BATCH])]
            task.update(len(answers))
    return answers


def gguf_answers(gguf: Path, prompts: Sequence[str]) -> list[str]:
    """Answers of a GGUF file in the embedded llama.cpp to the same rendered prompts."""
    answers = []
    with (
        LlamaCpp(gguf) as runtime,
        ThreadPoolExecutor(runtime.slots) as pool,
        progress(f"export: ask {gguf.name}", len(prompts), unit="answer") as task,
    ):
        for completion in pool.map(runtime.complete, prompts):
            answers.append(completion.text)
            task.advance()
    return answers


def agreement(reference: Sequence[str], other: Sequence[str]) -> float:
    """Share of answers that are the same text."""
    return sum(a == b for a, b in zip(reference, other, strict=True)) / len(reference)


def find_flips(inputs: Sequence[str], merged: Sequence[str], files: Mapping[str, Sequence[str]]) -> list[Flip]:
    """Every input whose answer changes on the way: a file beside what it was made from, the f16 file or the model."""
    whole = next((name for name in files if name.endswith("-f16.gguf")), MERGED)
    answers = {MERGED: merged, **files}
    links = [(MERGED if name == whole else whole, name) for name in files]
    return [
        Flip(text, f"{source} -> {made}", before, after)
        for source, made in links
        for text, before, after in zip(inputs, answers[source], answers[made], strict=True)
        if before != after
    ]


def write_flips(flips: Sequence[Flip], target: Path) -> None:
    """Write ``flips`` to ``target``, one JSON object a line."""
    write_text(target, "".join(json_line(asdict(flip)) for flip in flips))


def warnings(flips: Sequence[Flip], inputs: int, written: Path) -> list[str]:
    """What to say of every link with an agreement below `LOW`: how many of ``inputs`` flip, and which."""
    said = []
    for link in dict.fromkeys(flip.link for flip in flips):
        flipped = [flip.input for flip in flips if flip.link == link]
        if 1 - len(flipped) / inputs < LOW:
            named = "".join(f"\n  {text}" for text in flipped[:_NAMED])
            more = f"\n  and {len(flipped) - _NAMED} more" if len(flipped) > _NAMED else ""
            said.append(f"{link} changes {len(flipped)} of {inputs} answers, all of them in {written}:{named}{more}")
    return said

