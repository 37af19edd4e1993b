"""The chain table and the sweep of quantizations: every link asked the same, and which link changed an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from drivecoach.config import Quantization, Recipe, read_recipe
from drivecoach.errors import ModelError, RuntimeFailure
from drivecoach.evaluate.answers import ask_all
from drivecoach.evaluate.figures import check_unchanged, measured
from drivecoach.evaluate.measure import ALONE, Judged, is_below, judge_reply, measure_speed
from drivecoach.evaluate.result import Chain, Change, Link, Measured, Rate, Sweep, SweepRow, now, paired
from drivecoach.evaluate.scores import AnyCase
from drivecoach.evaluate.target import Target, open_target
from drivecoach.files import sha256
from drivecoach.gguf.quantize import quantize
from drivecoach.progress import progress

SWEPT: tuple[Quantization, ...] = ("f16", "q8_0", "q6_K", "q5_K_M", "q4_K_M", "q3_K_M")
"""From the largest to the smallest."""


@dataclass(frozen=True)
class _Place:
    """Where a link is to be found, and what it was made from."""

    link: str
    target: str
    made_from: str


def make_chain(run: Path, cases: Sequence[AnyCase], host: str | None = None) -> Chain:
    """Ask every link of ``run`` the same questions: weights, merged model, every file, Ollama where one is named.

    q8_0 is made aside where the run has none. Links that are not there are left out, with the reason.
    Raises ModelError where none is.
    """
    recipe, left_out = read_recipe(run), dict[str, str]()
    answers: dict[str, list[Judged]] = {}
    links: list[Link] = []
    changes: list[Change] = []
    with _files(run, recipe, ("q8_0",), left_out) as files:
        for place in _places(run, recipe, files, left_out, host):
            try:
                model, given = _ask(place.target, place.link, cases, recipe, host)
            except RuntimeFailure as error:  # a server that is gone takes its own column alone
                left_out[place.link] = error.message
                continue
            before = answers.get(place.made_from)
            answers[place.link] = given
            changed = [] if before is None else list(_changes(place, before, given))
            changes += changed
            links.append(
                Link(
                    model=model,
                    link=place.link,
                    made_from=place.made_from if before is not None else "",
                    exact=Rate.of(sum(one.right for one in given), len(given)),
                    changed=len(changed),
                    against=None if before is None else paired(_rights(before), _rights(given)),
                )
            )
    if not links:
        raise ModelError(f"{run} has no link of the chain", hint="run: drivecoach tune RECIPE")
    return Chain(made=now(), rows=len(cases), links=links, changes=changes, left_out=left_out)


def sweep(run: Path, cases: Sequence[AnyCase]) -> Sweep:
    """Size, accuracy and speed of every quantization of the run's f16 file; what the run lacks is made aside.

    Raises ModelError without an f16 file.
    """
    recipe, left_out = read_recipe(run), dict[str, str]()
    rows: list[SweepRow] = []
    whole: list[Judged] = []
    with _files(run, recipe, SWEPT, left_out) as files:
        if "f16" not in files:
            raise ModelError(left_out["f16"], hint="export it: drivecoach tune RECIPE --set export.quantizations=…")
        for kind in (kind for kind in SWEPT if kind in files):
            with open_target(str(files[kind])) as target:
                given = _judge_all(target, kind, cases)
                with progress(f"evaluate: {kind}, speed", ALONE, unit="answer") as task:
                    speed = measure_speed(target, cases, task.advance)
            assert speed is not None  # noqa: S101  # a file in this process answers, or an error was raised
            whole = whole or given
            domain = target.domain
            rows.append(
                SweepRow(
                    quantization=kind,
                    bytes=files[kind].stat().st_size,
                    sha256=sha256(files[kind]),
                    exact=Rate.of(sum(one.right for one in given), len(given)),
                    below=sum(is_below(domain, one) for one in given) if domain.levels else None,
                    changed=sum(one.text != other.text for one, other in zip(whole, given, strict=True)),
                    against=paired(_rights(whole), _rights(given)),
                    speed=speed,
                )
            )
    return Sweep(made=now(), rows=len(cases), quantizations=rows, left_out=left_out)


def told_chain(chain: Chain) -> Iterator[tuple[str, str]]:
    """The chain in words, a row for each link."""
    for link in chain.links:
        said = f"exact {link.exact.count:,} of {link.exact.rows:,}"
        if link.made_from and link.against is not None:
            said += f"; other answers than {link.made_from}'s: {link.changed:,}"
            if link.changed:
                said += f" ({link.against.first:,} right ones lost, {link.against.second:,} gained)"
        yield link.link, said
    for name, reason in chain.left_out.items():
        yield name, f"left out: {reason}"


def told_sweep(found: Sweep) -> Iterator[tuple[str, str]]:
    """The sweep in words, a row for each quantization."""
    for row in found.quantizations:
        worse = ", worse than f16 (McNemar)" if row.against.differ and row.against.first > row.against.second else ""
        yield (
            row.quantization,
            f"{row.bytes / 1e6:.2f} MB; exact {row.exact.share:.2%} ({row.exact.low:.2%} to {row.exact.high:.2%}); "
            f"other answers than f16's: {row.changed:,}{worse}; {row.speed.milliseconds:.1f} ms",
        )
    for name, reason in found.left_out.items():
        yield name, f"left out: {reason}"


@contextmanager
def _files(
    run: Path, recipe: Recipe, wanted: Sequence[Quantization], left_out: dict[str, str]
) -> Iterator[dict[str, Path]]:
    """The run's GGUF files by quantization, and those ``wanted`` that it lacks, made aside from f16 for the while."""
    export = run / "export"
    kinds = list(dict.fromkeys([*SWEPT, *recipe.export.quantizations]))
    files: dict[str, Path] = {
        kind: path for kind in kinds if (path := export / recipe.export.gguf(kind)).is_file()
    }
    if "f16" not in files:
        left_out["f16"] = f"{export} holds no f16 file (export.quantizations)"
    # Inside the run, so that what is made is known as one of its links.
    folder = run / "evaluate"
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="quantized-") as aside:
        for kind in wanted:
            if kind in files or "f16" not in files:
                continue
            path = Path(aside) / recipe.export.gguf(kind)
            try:
                quantize(files["f16"], path, kind)
            except ModelError as error:
                left_out[kind] = error.message
            else:
                files[kind] = path
        yield files


def _places(
    run: Path, recipe: Recipe, files: dict[str, Path], left_out: dict[str, str], host: str | None
) -> Iterator[_Place]:
    """Every link that is there, each after what it was made from."""
    last = ""
    for link, folder in (("model", "train/model"), ("adapter", "train/adapter"), ("merged", "export/merged")):
        if (run / folder).is_dir():
            yield _Place(link, str(run / folder), last)
            last = link
        elif link == "merged":
            left_out[link] = f"{run / folder} is not there (export.keep_merged)"
    if "f16" in files:
        yield _Place("f16", str(files["f16"]), last)
        last = "f16"
    for kind in SWEPT[1:]:
        if kind in files:
            yield _Place(kind, str(files[kind]), last)
    if host or os.environ.get("OLLAMA_HOST"):
        served = recipe.export.quantizations[-1]
        yield _Place("ollama", f"ollama:{recipe.export.name}", served if served in files else last)
    else:
        left_out["ollama"] = "no server is named (--host or OLLAMA_HOST)"


def _ask(
    name: str, link: str, cases: Sequence[AnyCase], recipe: Recipe, host: str | None
) -> tuple[Measured, list[Judged]]:
    domain = recipe.domain if link == "ollama" and isinstance(recipe.domain, str) else None
    with open_target(name, domain, host if link == "ollama" else None) as target:
        digest = target.digest()
        given = _judge_all(target, link, cases)
        check_unchanged(target, digest)
        return measured(target, digest), given


def _judge_all(target: Target, link: str, cases: Sequence[AnyCase]) -> list[Judged]:
    with progress(f"evaluate: {link}", len(cases), unit="answer") as task:
        replies = ask_all(target, cases, advance=task.advance)
    return [judge_reply(target.domain, case, reply) for case, reply in zip(cases, replies, strict=True)]


def _changes(place: _Place, before: Sequence[Judged], given: Sequence[Judged]) -> Iterator[Change]:
    for was, is_now in zip(before, given, strict=True):
        if was.text != is_now.text:
            yield Change(
                input=was.case.question.text,
                link=place.link,
                made_from=place.made_from,
                before=was.text,
                after=is_now.text,
                right_before=was.right,
                right_after=is_now.right,
            )


def _rights(given: Sequence[Judged]) -> list[bool]:
    return [one.right for one in given]
