"""Pairs of one's own beside the domain's rules: where the two say different things, both are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, JsonValue

from drivecoach.chat.template import split
from drivecoach.data.check import Pair
from drivecoach.domain import AnyDomain
from drivecoach.files import write_lines

DIFFERENCES = "differences.jsonl"
_NAMED = 3


class Difference(BaseModel):
    """A pair that says something else than the rules: a line of the file of differences."""

    split: str
    row: int
    """The pair's row in its source."""
    input: str
    pair: JsonValue
    rules: JsonValue


class Differing(BaseModel):
    """How many pairs say something else than the rules."""

    count: int
    among: int
    first: list[str]
    """The first few of their inputs."""
    as_pairs: int | None = None
    """Answers of the model that are the pairs'; None where it was not asked for these inputs."""
    as_rules: int | None = None
    """Answers of the model that are the rules'."""

    @classmethod
    def of_inputs(cls, inputs: Sequence[str], among: int) -> Self | None:
        """The inputs that differ, counted, the first of them named; None where there are none."""
        return cls(count=len(inputs), among=among, first=list(inputs[:_NAMED])) if inputs else None


def compare(
    domain: AnyDomain, splits: Mapping[str, Sequence[Pair]], folder: Path, say: Callable[[str], None]
) -> Differing | None:
    """Hold every pair against the rules; those that differ go into the file of differences, and a note names it."""
    found = list(_differences(domain, splits))
    write_lines(folder / DIFFERENCES, (difference.model_dump_json() for difference in found))
    differing = Differing.of_inputs([difference.input for difference in found], sum(map(len, splits.values())))
    if differing is not None:
        say(
            f"note: {differing.count:,} of {differing.among:,} pairs say something else than the rules of "
            f"{domain.name}: {folder / DIFFERENCES}. The test rows are scored by the pairs, uniform by the rules; "
            "docs/own-domain.md says which of the two to correct"
        )
    return differing


def _differences(domain: AnyDomain, splits: Mapping[str, Sequence[Pair]]) -> Iterator[Difference]:
    """The rules know nothing of turns before an input: pairs with such turns are left out."""
    if not domain.has_teacher:
        return
    for name, pairs in splits.items():
        for pair in pairs:
            taught = None if pair.history else domain.teach(domain.read_input(pair.input))
            if taught is None:
                continue
            given = domain.read_answer(split(pair.output).text)
            if not all(domain.compare(taught, given).values()):
                yield Difference(
                    split=name,
                    row=pair.row,
                    input=pair.input,
                    pair=domain.answer.dump(given),
                    rules=domain.answer.dump(taught),
                )
