"""Reading rows for what they show: inputs as lines, JSON objects or free text; answers as JSON objects or free text."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from drivecoach.chat.template import refuse_control_tokens, split
from drivecoach.config import SourceConfig
from drivecoach.data.formats import Malformed, read_example
from drivecoach.data.sources import open_source
from drivecoach.domain import JsonObject
from drivecoach.domain.node import Node
from drivecoach.domain.reading import read_json
from drivecoach.errors import DataError, Fault, InputError
from drivecoach.propose.evidence import Evidence

CLEAR = 0.9
"""The share of rows, or of a field's values, that must be of one kind."""
KEYS = 60
"""More keys than this that come and go are a dict, which is not supported."""
_REPEATED = 0.3
"""Keys of lines stand in this share of the rows on average; in free text with colons they do not."""
_SHOWN = 20

_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_BOOLS: dict[str, JsonValue] = {"true": True, "false": False}

_WRAPPED = re.compile(r"\s*<([^<>/\s]+)>.*</\1>\s*", re.DOTALL)

Form = Literal["JSON", "line", "wrapped", "text"]
_FORMS: dict[Form, str] = {
    "JSON": "JSON objects",
    "line": "lines of key:value",
    "wrapped": "texts in <x>…</x>, which are not looked into",
    "text": "other texts",
}


@dataclass
class Side:
    """All inputs, or all answers, of a file."""

    title: str
    takes_lines: bool
    forms: Counter[Form] = field(default_factory=Counter)
    first: dict[Form, int] = field(default_factory=dict)
    """The first row of each form."""
    texts: Evidence = field(default_factory=Evidence)
    """The whole texts."""
    _meant: Evidence = field(default_factory=Evidence)
    _spelled: Evidence = field(default_factory=Evidence)
    """As ``_meant``, but numbers and booleans of lines are texts."""

    def see(self, row: int, text: str) -> None:
        """Add the text of one row."""
        form: Form = "text"
        if (record := _json_object(text, self.title)) is not None:
            form = "JSON"
            self._meant.see(record)
            self._spelled.see(record)
        elif self.takes_lines and _WRAPPED.fullmatch(text):
            form = "wrapped"  # as a line it would have a key "<x>key" and a value "value</x>"
        elif self.takes_lines and (pieces := _pieces(text)):
            form = "line"
            self._meant.see({key: _meaning(piece) for key, piece in pieces.items()})
            self._spelled.see({key: piece if _meaning(piece) is not None else None for key, piece in pieces.items()})
        self.texts.see(text)
        self.forms[form] += 1
        self.first.setdefault(form, row)

    def records(self, faults: list[Fault]) -> Evidence | None:
        """What the objects show; None for free text. A mixture of both is added to ``faults``."""
        total = self.forms.total()
        if self.forms["JSON"] < total * (1 - CLEAR) and not self._is_lines():
            return None
        if self.forms["text"] + self.forms["wrapped"] > total * (1 - CLEAR):
            first = ", ".join(f"{form} first in row {row}" for form, row in self.first.items())
            faults.append(Fault(self.title, f"{self.in_words()} ({first})", "one form in at least 9 of 10 rows"))
            return None
        found = Evidence(Counter(self._meant.kinds))
        for key, meant in self._meant.fields.items():
            found.fields[key] = self._spelled.fields[key] if _are_texts(meant) else meant
        return found

    def in_words(self) -> str:
        """How many rows are of which form."""
        return ", ".join(f"{self.forms[form]:,} {words}" for form, words in _FORMS.items() if self.forms[form])

    def _is_lines(self) -> bool:
        """Whether the lines are meant as such: few keys, at least two, that stand in many rows."""
        lines = self.forms["line"]
        fields = self._meant.fields
        if lines < self.forms.total() * CLEAR or not 2 <= len(fields) <= KEYS:
            return False
        return sum(field.seen + field.nulls for field in fields.values()) >= _REPEATED * len(fields) * lines


@dataclass
class Sides:
    """What a file shows."""

    rows: int
    input: Side
    answer: Side
    system: str
    """The system message that all rows have; empty where they have none, or several."""


def read_sides(source: SourceConfig) -> Sides:
    """Read all rows of ``source``; rows that cannot be read show nothing.

    Raises DataError for what is no data file, and where no row can be read, with the first reasons.
    """
    inputs, answers = Side("input", True), Side("answer", False)
    systems: Counter[str] = Counter()
    faults: list[Fault] = []
    rows = 0
    for row in open_source(source):
        rows += 1
        try:
            if row.problem:
                raise Malformed(row.problem)
            example = read_example(row.value, source.format, source.columns)
            answer = split(example.output).text
            for text in (*(turn["content"] for turn in example.history), example.input, answer):
                refuse_control_tokens("row", text)
        except (Malformed, InputError) as error:
            if len(faults) < _SHOWN:
                faults.append(Fault(f"row {row.number}", str(error), "input and output"))
            continue
        inputs.see(row.number, example.input)
        answers.see(row.number, answer)
        systems[next((turn["content"] for turn in example.history if turn["role"] == "system"), "")] += 1
    if not inputs.texts.seen:
        raise DataError(
            f"{source.path}: none of {rows:,} rows has an input and an output",
            faults=faults,
            hint="both are texts (an object is given as JSON text); other columns are named with "
            "--column input=THEIRS --column output=THEIRS",
        )
    return Sides(rows, inputs, answers, next(iter(systems)) if len(systems) == 1 else "")


def _json_object(text: str, title: str) -> JsonObject | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = read_json(text, title, Node("any"))
        if "\\u" in text:  # half a surrogate pair, which no other text can hold
            json.dumps(value, ensure_ascii=False).encode()
    except (InputError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None


def _pieces(text: str) -> dict[str, str] | None:
    """The pieces of a line as `drivecoach.domain.line` reads them; None for what is no line."""
    found: dict[str, str] = {}
    for piece in re.split("[;\n]", unicodedata.normalize("NFKC", text)):
        key, colon, value = (part.strip() for part in piece.partition(":"))
        if not piece.strip():
            continue
        if not colon or not key or key in found:
            return None
        found[key] = value
    return found


def _are_texts(meant: Evidence) -> bool:
    """Whether a key of lines holds texts: not nearly always a number or a boolean, or digits that are an identifier."""
    plain = max(meant.kinds["bool"], meant.kinds["int"] + meant.kinds["float"])
    return plain < CLEAR * meant.seen or any(isinstance(text, str) and text.isdigit() for text in meant.values)


def _meaning(text: str) -> JsonValue:
    """What a text of a line means: a number, a boolean, nothing, or itself."""
    if text in ("", "null"):
        return None
    if _NUMBER.fullmatch(text):
        value: JsonValue = json.loads(text.removeprefix("+"))
        return value if abs(float(str(value))) < float("inf") else text
    return _BOOLS.get(text.lower(), text)
