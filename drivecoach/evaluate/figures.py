"""`drivecoach evaluate TARGET`: every split asked, counted, told, and written into the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drivecoach.errors import ModelError
from drivecoach.evaluate.answers import ask_all
from drivecoach.evaluate.behaviours import try_expectations
from drivecoach.evaluate.measure import ALONE, figures, judge_reply, measure_speed, place_of, wrong_of
from drivecoach.evaluate.questions import Questions
from drivecoach.evaluate.result import FIGURES, WRONG, Figures, Measured, Rate, SplitFigures, Wrong, file_name, now
from drivecoach.evaluate.target import Target
from drivecoach.files import write_lines
from drivecoach.progress import progress

FOLDER = "evaluate"
_NAMED = 5


def evaluate(target: Target, questions: Questions, *, constrain: bool = False) -> tuple[Figures, list[Wrong]]:
    """The figures of every split, and every wrong answer; ``constrain``: each split under the schema too.

    Raises ModelError where the target is no longer the one that it was at the start.
    """
    domain, digest = target.domain, target.digest()
    splits: list[SplitFigures] = []
    wrong: list[Wrong] = []
    for name, cases in questions.splits.items():
        places = [place_of(domain, case.question.text) for case in cases]
        for constrained in (False, True) if constrain else (False,):
            label = f"evaluate: {name}{', constrained' if constrained else ''}"
            with progress(label, len(cases), unit="answer") as task:
                replies = ask_all(target, cases, constrain=constrained, advance=task.advance)
            judged = [judge_reply(domain, case, reply) for case, reply in zip(cases, replies, strict=True)]
            splits.append(figures(domain, name, judged, places, constrained=constrained))
            wrong += [
                wrong_of(domain, name, one, where, constrained=constrained)
                for one, where in zip(judged, places, strict=True)
                if not one.right
            ]
    first = next(iter(questions.splits.values()))
    with progress("evaluate: expectations", len(domain.expectations), shown=bool(domain.expectations)) as task:
        behaviours = try_expectations(target, first, task.advance)
    with progress("evaluate: speed", min(ALONE, len(first)), unit="answer") as task:
        speed = measure_speed(target, first, task.advance)
    check_unchanged(target, digest)
    found = Figures(
        made=now(),
        target=measured(target, digest),
        map_by=domain.map_by,
        splits=splits,
        behaviours=behaviours,
        speed=speed,
    )
    return found, wrong


def measured(target: Target, digest: str) -> Measured:
    """Which model this is."""
    size = None
    if target.path is not None:
        files = [target.path] if target.path.is_file() else list(target.path.glob("*.safetensors"))
        size = sum(path.stat().st_size for path in files)
    return Measured(
        name=target.name, kind=target.kind, digest=digest, bytes=size, domain=target.domain.name, note=target.note
    )


def check_unchanged(target: Target, digest: str) -> None:
    """Raise ModelError where ``target`` is no longer the model that it was when it had this digest."""
    if target.digest() != digest:
        raise ModelError(
            f"{target.name} was changed while it was measured, so the figures are of no one model",
            hint="wait until whatever writes it is done, then run the same command again",
        )


def save(folder: Path, found: Figures, wrong: list[Wrong], link: str) -> Path:
    """Write both files into ``folder``; ``link`` is empty for the model that the run serves."""
    folder.mkdir(exist_ok=True)
    write_lines(folder / file_name(WRONG, link), (one.model_dump_json() for one in wrong))
    path = folder / file_name(FIGURES, link)
    found.write(path)
    return path


def told(found: Figures) -> Iterator[tuple[str, str]]:
    """The figures in words: a title and its lines."""
    for split in found.splits:
        name = f"{split.split}{', constrained' if split.constrained else ''} ({split.exact.rows:,})"
        yield name, "\n".join(_told_split(split))
    for behaviour in found.behaviours:
        yield (
            f"{behaviour.name} ({behaviour.kind})",
            f"held {rate(behaviour.held)}"
            + "".join(f"\nbroken by {text}" for text in behaviour.broken),
        )
    if (speed := found.speed) is not None:
        yield (
            "one answer alone",
            f"{speed.milliseconds:.1f} ms, {speed.answer_tokens:.1f} tokens after {speed.prompt_tokens:.1f} of prompt",
        )


def rate(found: Rate) -> str:
    """``99.10% of 5,000 (98.80% to 99.33%)``."""
    return f"{found.share:.2%} of {found.rows:,} ({found.low:.2%} to {found.high:.2%})"


def _told_split(split: SplitFigures) -> Iterator[str]:
    yield f"exact {rate(split.exact)}; at most {split.wrong_at_most:.2%} wrong, with 95% confidence"
    yield ", ".join(
        [f"{part} {found.share:.2%}" for part, found in split.fields.items()]
        + [f"{part} in any order {found.share:.2%}" for part, found in split.order_free.items()]
    )
    if (gravest := split.gravest) is not None:
        parts = [
            f"{what} {rate(found)}"
            for what, found in (("recall", gravest.recall), ("precision", gravest.precision))
            if found is not None
        ]
        yield f"{gravest.level}: {', '.join(parts) or 'none'}; {gravest.lowered:,} lowered"
        yield f"below the right level: {split.below:,}"
    if split.violations is not None:
        named = ", ".join(f"{id} {count:,}" for id, count in split.violations.items())
        yield f"invariant violations: {named or 'none'}"
    valid = [] if split.json_valid is None else [f"JSON {split.json_valid.share:.2%}"]
    valid.append(f"schema {split.schema_valid.share:.2%}")
    yield f"valid: {', '.join(valid)}; {split.cut:,} cut by the token limit, {split.failed:,} without any answer"
    wrong = {rule: found.rows - found.count for rule, found in split.by_rule.items() if found.share < 1}
    if wrong:
        worst = sorted(wrong, key=lambda rule: -wrong[rule])[:_NAMED]
        yield "wrong by rule: " + ", ".join(f"{rule} {wrong[rule]:,} of {split.by_rule[rule].rows:,}" for rule in worst)
