"""What a domain is: two Pydantic models and a system message; everything else has a default derived from the models."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import JsonValue
from pydantic.json_schema import GetJsonSchemaHandler, JsonSchemaValue
from pydantic_core import CoreSchema

from drivecoach.domain import line, scores
from drivecoach.domain.cockpit import Cockpit
from drivecoach.domain.expectation import Expectation
from drivecoach.domain.explanation import Explanation, RuleTable
from drivecoach.domain.form import Form, ModelForm, form_of, snake_case
from drivecoach.domain.node import TOLERANCE, JsonObject, Node
from drivecoach.domain.pieces import answer_pieces, input_pieces
from drivecoach.domain.reading import read_json
from drivecoach.errors import InputError, RecipeError

Input = TypeVar("Input")
Answer = TypeVar("Answer")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST = 10_000_000
"""A space with more inputs than this is not walked."""
_SEED = 20_240_601


@dataclass(frozen=True)
class Violation:
    """One invariant that an answer breaks."""

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


@dataclass(frozen=True)
class Tolerance:
    """``Annotated[float, Tolerance(0.5)]``: how far a number of an answer may be off and still count as right."""

    by: float

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core), TOLERANCE: self.by}


@dataclass(frozen=True)
class Pair(Generic[Input, Answer]):
    """One drawn training pair."""

    input: Input
    answer: Answer
    thinking: str = ""
    """The reasoning that leads to the answer, if the domain can give one."""
    group: str = ""
    """What the data card counts pairs by, such as the id of a rule."""


class Domain(Generic[Input, Answer]):
    """A field of knowledge: what goes in, what comes out, and what is known about right and wrong.

    ``Domain("thermostat", Reading, Command, "You control …")`` is a whole one; ``str`` in place of a model is free
    text. Subclasses override what they know better: `violations` (invariants), `teach` (the right answer), ``levels``
    and `level` (how grave an answer is), `spoken` (what a voice says), `cockpit` (a simulator to drive in), ``about``
    and ``not_for`` (what a card says), ``map_by`` and ``expectations`` (what an evaluation looks at), or how inputs and
    answers are read and written.

    Raises RecipeError for a name that is no file name, for models that cannot be written in one canonical way, and for
    a ``map_by`` that is no closed field.
    """

    levels: Sequence[str] = ()
    """How grave answers can be, from the mildest to the one that must never be lost; empty where nobody can say."""
    about: str = ""
    """What a model of this domain is for, in words for its card; empty for a general sentence."""
    not_for: str = ""
    """What it must not be used for, in words for its card; empty for a general sentence."""
    map_by: str = ""
    """The closed field of the input by which maps of right and wrong are cut, beside the rules; empty for no map."""
    expectations: Sequence[Expectation] = ()
    """How answers must behave when inputs are changed; `drivecoach evaluate` tries each."""

    def __init__(
        self, name: str, input: type[Input] | Form[Input], answer: type[Answer] | Form[Answer], system: str = ""
    ) -> None:
        if not NAME.fullmatch(name):
            raise RecipeError(f"{name!r} is no name for a domain", hint="use letters, digits and . _ - (64 at most)")
        self.name = name
        self.system = system
        """The system message of a model tuned for this domain."""
        self.input: Form[Input] = form_of(input)
        mapped = self.input.node.fields.get(self.map_by)
        if self.map_by and (mapped is None or mapped.kind != "closed"):
            raise RecipeError(
                f"the domain {name} cuts its map by {self.map_by!r}, which is no closed field of its input",
                hint="set map_by to one of: "
                + (", ".join(key for key, node in self.input.node.fields.items() if node.kind == "closed") or "''"),
            )
        self.answer: Form[Answer] = form_of(answer)

    # --- texts ---

    def read_input(self, text: str) -> Input:
        """An input from a line ``key:value; …``, a JSON object, or plain text where the input is text.

        Raises InputError with every fault.
        """
        node = self.input.node
        if node.kind == "text":
            return self.input.parse(text)
        if line.has_line(node) and not text.lstrip().startswith("{"):
            record = line.read_line(text, node, self.input.title)
        else:
            value = read_json(text, self.input.title, node)
            if not isinstance(value, dict):
                return self.input.parse(value)
            record = self.input.rename(value)
        return self.input.parse(line.coerced(node, record))

    def write_input(self, value: Input) -> str:
        """The one canonical text of an input: a line where all fields are closed sets and numbers, else JSON."""
        dumped = self.input.dump(value)
        if isinstance(dumped, dict) and line.is_written_as_line(self.input.node):
            return line.write_line(dumped)
        return dumped if isinstance(dumped, str) else _json(dumped)

    def read_answer(self, text: str) -> Answer:
        """An answer (without its reasoning) from its JSON; keys in any order, nothing else tolerated.

        Raises InputError with every fault.
        """
        if self.answer.node.kind == "text":
            return self.answer.parse(text)
        return self.answer.parse(read_json(text, self.answer.title, self.answer.node))

    def write_answer(self, value: Answer) -> str:
        """The one canonical text of an answer."""
        dumped = self.answer.dump(value)
        return dumped if isinstance(dumped, str) else _json(dumped)

    def record_text(self, record: Mapping[str, Any]) -> str:
        """The text of an input that came as a record, such as a row of a table; it is not judged here."""
        if self.input.node.kind == "text":
            return str(record.get("input", ""))
        named = self.input.rename({str(key): value for key, value in record.items() if key})
        return json.dumps(named, ensure_ascii=False, default=str)

    def text_of(self, given: Input | str | Mapping[str, object]) -> str:
        """The text of an input that came as text, as a record, or as the domain's model; it is not judged here."""
        if isinstance(given, str):
            return given
        if isinstance(given, Mapping):
            return self.record_text(given)
        if isinstance(self.input, ModelForm) and not isinstance(given, self.input.model):
            return repr(given)  # no input, which its reader says in the domain's words
        return self.write_input(given)

    def record_keys(self) -> list[list[str]]:
        """The keys that a record must have, once for every set of names that is understood."""
        node = self.input.node
        if node.kind == "text":
            return [["input"]]
        canonical = [name for name in node.fields if name in node.required]
        if isinstance(self.input, ModelForm):
            names = {alias: name for name, alias in self.input.names.items()}
            others = [names[alias] for alias in canonical]
            return [canonical] if others == canonical else [canonical, others]
        return [canonical]

    # --- what is known; a subclass overrides what it knows ---

    def violations(self, value: Input, answer: Answer) -> Sequence[Violation]:
        """The invariants that ``answer`` breaks for ``value``; empty when it is sound."""
        return ()

    def teach(self, value: Input) -> Answer | None:
        """The right answer; None where nobody can say."""
        return None

    def level(self, answer: Answer) -> str:
        """Which of ``levels`` an answer has; a subclass that names levels overrides it."""
        raise RecipeError(
            f"the domain {self.name} names levels and does not say which one an answer has",
            hint=f"override level(answer) in {type(self).__name__}; it returns one of: {', '.join(self.levels)}",
        )

    def spoken(self, answer: Answer) -> str:
        """The sentence of an answer that a voice says: all of it where answers are text, else a subclass says which."""
        return str(answer)

    @property
    def speaks(self) -> bool:
        """Whether it is known what is spoken."""
        return self.answer.node.kind == "text" or type(self).spoken is not Domain.spoken

    def is_below(self, given: Answer, right: Answer) -> bool:
        """Whether ``given`` errs on the dangerous side: its level is below that of the ``right`` answer."""
        return bool(self.levels) and self._rank(given) < self._rank(right)

    def _rank(self, answer: Answer) -> int:
        found = self.level(answer)
        if found not in self.levels:
            raise RecipeError(
                f"the domain {self.name} says that an answer has the level {found!r}",
                hint=f"correct level(answer) in {type(self).__name__}; it returns one of: {', '.join(self.levels)}",
            )
        return list(self.levels).index(found)

    def explain(self, value: Input) -> Explanation | None:
        """By which rule `teach` answers, and why; None where a domain cannot say."""
        return None

    def rules(self) -> RuleTable | None:
        """Every rule that `teach` goes by; None where it goes by none."""
        return None

    @property
    def cockpit(self) -> Cockpit | None:
        """The page in which a person drives what is coached; None where there is no simulator."""
        return None

    @property
    def has_invariants(self) -> bool:
        """Whether anything is checked beyond the schema."""
        return type(self).violations is not Domain.violations

    @property
    def has_teacher(self) -> bool:
        """Whether somebody knows the right answers."""
        return type(self).teach is not Domain.teach

    # --- derived from the schemas ---

    def compare(self, expected: Answer, given: Answer | None) -> dict[str, bool]:
        """Which parts of an answer are right: ``answer`` (all of it) and each field."""
        return scores.compare(
            self.answer.node, self.answer.dump(expected), None if given is None else self.answer.dump(given)
        )

    def describe(self, value: Input, answer: Answer) -> dict[str, str]:
        """What statistics count: a label and its value for each field of the input, then of the answer."""
        labels = dict(scores.describe(self.input.node, self.input.dump(value), "input"))
        for label, found in scores.describe(self.answer.node, self.answer.dump(answer), "answer"):
            labels[f"answer {label}" if label in labels else label] = found
        return labels

    def vocabulary(self) -> tuple[str, ...]:
        """The pieces of text that a tokenizer made for this domain holds as one token each, without repeats."""
        pieces = [*input_pieces(self.input.node), *answer_pieces(self.answer.node)]
        return tuple(piece for piece in dict.fromkeys(pieces) if piece)

    def schemas(self) -> dict[str, JsonObject]:
        """File name to JSON Schema, of what goes in and what comes out; nothing for free text."""
        forms: tuple[Form[Any], ...] = (self.input, self.answer)
        return {f"{snake_case(form.title)}.schema.json": form.schema for form in forms if form.node.kind != "text"}

    def identity(self) -> dict[str, str]:
        """What tells one state of a domain from another: its name and the digests of both schemas."""
        forms: tuple[Form[Any], ...] = (self.input, self.answer)
        digests = [hashlib.sha256(_json(form.schema).encode()).hexdigest() for form in forms]
        return {"name": self.name, "input": digests[0], "answer": digests[1]}

    # --- the space of inputs ---

    @property
    def is_finite(self) -> bool:
        """Whether all inputs can be walked: closed sets only, no more than ten million combinations."""
        count = _count(self.input.node)
        return count is not None and count <= MOST

    def inputs(self) -> Iterator[Input]:
        """Every input that the model accepts, each once, in a fixed order; none where the space is not finite."""
        if not self.is_finite:
            return
        for value in _walk(self.input.node):
            try:
                yield self.input.parse(value)
            except InputError:  # a combination that the model's own validators refuse
                continue

    def uniform(self, count: int, without: Collection[str]) -> list[tuple[str, Answer]]:
        """Canonical inputs drawn evenly from all but ``without``, with their right answers; [] where nobody knows."""
        if not (self.has_teacher and self.is_finite):
            return []
        left = [(text, value) for value in self.inputs() if (text := self.write_input(value)) not in without]
        chosen = random.Random(_SEED).sample(left, min(count, len(left)))  # noqa: S311  # reproducible, not secret
        taught = ((text, self.teach(value)) for text, value in chosen)
        return [(text, answer) for text, answer in taught if answer is not None]

    def draw(self, count: int, seed: int) -> list[Pair[Input, Answer]]:
        """``count`` different training pairs of the teacher; the same seed draws the same, in the same order.

        Drawn evenly by default. Raises RecipeError where there is no teacher or the space is not finite, ValueError
        for a count that cannot be drawn.
        """
        if not (self.has_teacher and self.is_finite):
            raise RecipeError(
                f"the domain {self.name} cannot draw pairs",
                hint="that needs a teacher (override teach) and inputs of closed sets only; else collect pairs",
            )
        ranked = sorted(self.inputs(), key=lambda value: place(seed, self.write_input(value)))
        answered = ((value, self.teach(value)) for value in ranked)
        drawn = [Pair(value, answer) for value, answer in answered if answer is not None]
        if not 1 <= count <= len(drawn):
            raise ValueError(f"count must be from 1 to {len(drawn)}")
        return drawn[:count]

    def card(self, name: str, summary: Mapping[str, str | int], groups: Mapping[str, int]) -> str:
        """The data card (Markdown) of pairs that `draw` drew into the file ``name``."""
        rows = "\n".join(f"| {key} | {value} |" for key, value in summary.items())
        by_group = "\n\n" + " · ".join(f"{group} {count}" for group, count in groups.items()) if groups else ""
        return (
            f"# {name}\n\nPairs of the domain {self.name}, drawn by a hash of seed and input, answered by its "
            f"teacher.\n\n| | |\n|---|---|\n{rows}\n{by_group}\n"
        )

    # --- what `Coach` returns ---

    def reply(self, answer: Answer, *, violations: Sequence[Violation], latency: float, source: str) -> Answer:
        """What `Coach.ask` returns; a subclass may return a model that carries more. ``latency`` is in seconds."""
        return answer


AnyDomain: TypeAlias = Domain[Any, Any]
"""A domain that was chosen by name: its models are known at run time only."""


def place(seed: int, text: str) -> bytes:
    """A sort key by a hash of seed and text: what is drawn by it does not move when others come or go."""
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()


def share_of(text: str) -> float:
    """Where a text stands from 0 to 1, by its SHA-256 alone: what splits are chosen by."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _count(node: Node) -> int | None:
    """How many values a node has; None where they cannot be counted."""
    if node.kind == "closed":
        return len(node.values) + node.nullable
    if node.kind != "object":
        return None
    total = 1
    for name, part in node.fields.items():
        count = _count(part)
        if count is None:
            return None
        total *= count + (name not in node.required and not part.nullable)
    return total


_LEFT_OUT = object()


def _walk(node: Node) -> Iterator[JsonValue]:
    if node.kind == "closed":
        yield from node.values
        if node.nullable:
            yield None
        return
    choices = [
        [*_walk(part), *([_LEFT_OUT] if name not in node.required and not part.nullable else [])]
        for name, part in node.fields.items()
    ]
    for values in product(*choices):
        yield {name: value for name, value in zip(node.fields, values, strict=True) if value is not _LEFT_OUT}  # type: ignore[misc]
