"""The folder of a domain of one's own: schema.py, the pairs that fit it, a recipe, a test, a README; all or nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined

from drivecoach.chat.template import refuse_control_tokens, split
from drivecoach.config import SourceConfig
from drivecoach.data.check import Pair, Refusal, json_line, scan
from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domain.base import NAME
from drivecoach.domains.load import DOMAINS, load_domain
from drivecoach.errors import DataError, Fault, InputError, RecipeError, StorageError
from drivecoach.export.modelfile import check_text
from drivecoach.propose.example import example_rows
from drivecoach.propose.fields import in_words, propose
from drivecoach.propose.python import ProposedSide, Schema, write_python
from drivecoach.propose.sides import Side, read_sides

REJECTS = "rejects.jsonl"
SHOWN = 20
"""So many rows that do not fit are listed."""
_STEPS = 1200
_TRAINED = 0.8
_FEW = 20
"""With fewer pairs than this none is held out."""

_templates = Environment(  # noqa: S701  # no HTML: YAML, Python and Markdown
    loader=PackageLoader("drivecoach.propose"), undefined=StrictUndefined, keep_trailing_newline=True
)


@dataclass
class Made:
    """What was made. ``refused`` counts the rows that do not fit by kind, ``refusals`` are the first of them."""

    folder: Path
    rows: int = 0
    pairs: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass
class _Sizes:
    """The longest texts, in bytes: a tokenizer made from nothing never needs more tokens than that."""

    prompt: int = 0
    answer: int = 0
    thinks: bool = False
    example: str = ""


def make_folder(folder: Path, source: SourceConfig | None) -> Made:
    """Make ``folder`` for the domain of its name, from the rows of ``source``, or with an example of its own.

    Raises StorageError where there is something already, RecipeError for a name that is none, DataError for rows of
    which no models can be proposed, and where none fits them.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise RecipeError(f"{name!r} is no name for a domain", hint="use letters, digits and . _ - (64 at most)")
    if name in DOMAINS:
        raise RecipeError(f"the domain {name!r} exists already", hint="choose another name")
    with _written_aside(folder) as aside:
        made = Made(folder)
        if source is None:
            example = aside / "example.jsonl"
            example.write_text("".join(example_rows()), encoding="utf-8")
            _fill(aside, SourceConfig(path=str(example)), made)
            example.unlink()
        else:
            _fill(aside, source, made)
    return made


@contextmanager
def _written_aside(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``; it takes its place on success and is deleted on any failure."""
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise StorageError(f"{folder} exists already; nothing was written", hint="choose another name, or move it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            aside = Path(beside) / folder.name
            aside.mkdir()
            yield aside
            if folder.is_dir():
                folder.rmdir()  # it is empty, or this fails
            aside.rename(folder)
    except OSError as error:
        raise StorageError(
            f"could not write {folder}: {error.strerror or error}",
            hint="free disk space or choose a folder you may write to, then run the same command again",
        ) from error


def _fill(folder: Path, source: SourceConfig, made: Made) -> None:
    schema, domain = _propose(folder, source)
    sizes = _sort(folder, source, domain, made)
    answer_room = _rounded(sizes.answer + 16, 32)
    epochs, batch_size = _passes(made.pairs)
    steps = epochs * made.pairs * _TRAINED / batch_size
    values = {
        "name": domain.name,
        "pairs": made.pairs,
        "refused": made.refused.total(),
        "held_out": 0.1 if made.pairs >= _FEW else 0,
        "thinks": sizes.thinks,
        "epochs": epochs,
        "batch_size": batch_size,
        "warmup_steps": min(50, round(steps / 10)),
        "max_length": _rounded(sizes.prompt + len(domain.system.encode()) + 32 + answer_room, 64),
        "num_predict": answer_room,
        "example": shlex.quote(sizes.example or "…"),
        "python_example": repr(sizes.example or "…"),
        "gguf": f"runs/{domain.name}/export/{domain.name}-q4_K_M.gguf",
        "input": schema.input,
        "answer": schema.answer,
    }
    for file in ("recipe.yaml", "test_schema.py", "README.md"):
        text = _templates.get_template(f"{file}.jinja").render(values)
        (folder / file).write_text(text, encoding="utf-8")


def _propose(folder: Path, source: SourceConfig) -> tuple[Schema, AnyDomain]:
    """Write schema.py and load it."""
    sides = read_sides(source)
    faults: list[Fault] = []
    given, answer = (_proposed(side, faults) for side in (sides.input, sides.answer))
    if faults:
        raise DataError(
            f"{source.path}: no models can be proposed from {sides.rows:,} rows",
            faults=faults[:SHOWN],
            hint="correct or leave out these fields or rows, or write schema.py by hand: drivecoach init NAME without "
            "--from makes one to start from",
        )
    schema = write_python(folder.name, _system(sides.system, folder.name, answer), given, answer, sides.rows)
    (folder / "schema.py").write_text(schema.text, encoding="utf-8")
    return schema, load_domain(f"{folder / 'schema.py'}:domain")


def _proposed(side: Side, faults: list[Fault]) -> ProposedSide:
    records = side.records(faults)
    if records is None:
        wrapped = f" ({side.in_words()})" if side.forms["wrapped"] else ""
        return ProposedSide(None, f"free text{wrapped}, {in_words(side.texts, 'row', side.texts.seen)}")
    model = propose(records, side.title, faults)
    if not model.fields and not faults:
        faults.append(Fault(side.title, "objects without keys", "at least one key"))
    return ProposedSide(model, side.in_words())


def _system(common: str, name: str, answer: ProposedSide) -> str:
    """The system message that all rows have, where one can be served; else one to go on from."""
    try:
        check_text("chat.system", common)
    except RecipeError:
        common = ""
    return common or f"You are {name}." + (" Answer with one JSON object." if answer.model else "")


def _sort(folder: Path, source: SourceConfig, domain: AnyDomain, made: Made) -> _Sizes:
    """Write pairs.jsonl with the rows that fit, rejects.jsonl with the others and why."""
    sizes = _Sizes()
    rejects = folder / REJECTS
    with (
        (folder / "pairs.jsonl").open("w", encoding="utf-8") as good,
        rejects.open("w", encoding="utf-8") as bad,
    ):
        for verdict in scan([source], domain):
            made.rows += 1
            row = verdict if isinstance(verdict, Refusal) else _canonical(verdict.pair, domain, sizes)
            if isinstance(row, Refusal):
                made.refused[row.kind] += 1
                if len(made.refusals) < SHOWN:
                    made.refusals.append(row)
                bad.write(json_line(row.to_json()))
            else:
                made.pairs += 1
                good.write(json_line(row))
    if not made.refused:
        rejects.unlink()
    if not made.pairs:
        raise DataError(
            f"{source.path}: none of {made.rows:,} rows can be used",
            faults=[Fault(f"row {row.row}", f"{row.kind}: {row.reason}") for row in made.refusals],
            hint=("a conflict is one input with different answers; " if made.refused["conflict"] else "")
            + "correct the rows and run the same command again",
        )
    return sizes


def _canonical(pair: Pair, domain: AnyDomain, sizes: _Sizes) -> JsonObject | Refusal:
    """The row of an accepted pair, its input and answer as the domain writes them."""
    parts = split(pair.output)
    try:
        answer = domain.write_answer(domain.read_answer(parts.text))
        refuse_control_tokens("input", pair.input)
        refuse_control_tokens("output", answer)
        again = domain.write_input(domain.read_input(pair.input)), domain.write_answer(domain.read_answer(answer))
    except InputError as error:
        again, answer = ("", ""), str(error)
    if again != (pair.input, answer):
        value: JsonObject = {"input": pair.input, "output": pair.output}
        return Refusal(pair.row, "canonical", f"what is written of it is not read again as the same {answer}", value)
    sizes.answer = max(sizes.answer, len(answer.encode()))
    sizes.thinks = sizes.thinks or bool(parts.thinking)
    if not sizes.example and pair.input.isprintable() and "`" not in pair.input:
        sizes.example = pair.input
    history = list(pair.history)
    before = sum(len(turn["content"].encode()) + 32 for turn in history)
    sizes.prompt = max(sizes.prompt, before + len(pair.input.encode()))
    if history and history[0] == {"role": "system", "content": domain.system}:
        del history[0]
    output = f"<think>\n{parts.thinking}\n</think>\n\n{answer}" if parts.thinking else answer
    if not history:
        return {"input": pair.input, "output": output}
    if len(history) == 1 and history[0]["role"] == "system":
        return {"input": pair.input, "output": output, "system": history[0]["content"]}
    turns = [(turn["role"], turn["content"]) for turn in history] + [("user", pair.input), ("assistant", output)]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def _passes(pairs: int) -> tuple[int, int]:
    """Epochs and batch size for about 1,200 steps, as many as the shipped nano recipe takes; 3 to 60 epochs."""
    batch_size = 16 if pairs < 1000 else 32 if pairs < 4000 else 64
    return min(60, max(3, round(_STEPS * batch_size / (_TRAINED * pairs)))), batch_size


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step
