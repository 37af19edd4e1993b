"""The certificate of a verification and its counterexamples: their form, their seal, reading and writing them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from drivecoach.errors import DataError
from drivecoach.files import sha256, write_json, write_lines

CERTIFICATE = "certificate.json"
COUNTEREXAMPLES = "counterexamples.jsonl"
FOLDER = "verify"
"""Where both lie in a run's folder, and beside a GGUF file."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counterexample(_Part):
    """One wrong answer: a line of the file beside the certificate."""

    input: str
    """Canonical."""
    expected: JsonValue
    given: JsonValue
    """None where the answer does not follow the schema; ``said`` tells what came."""
    said: str = ""
    """What the model wrote, where that is no answer."""
    rule: str
    """The id of the rule that gives the right answer; empty where the domain has no rules."""
    item: str
    """By what inputs are grouped beside rules, see `Domain.map_by`."""
    lowered: bool
    """The right level is the gravest, and the answer's is below it."""
    below: bool
    """The answer's level is below the right one, whatever that is."""
    violations: list[str]
    """Ids of the invariants that the answer breaks."""
    log_probability: float | None
    """How likely the model thought what it said, natural logarithm; None where the runtime does not tell."""


class Counts(_Part):
    """How many states there are, and how many of them were answered in which wrong way."""

    states: int = 0
    wrong: int = 0
    lowered: int = 0
    violations: int = 0
    """Answers that break an invariant."""

    @property
    def right(self) -> float:
        """The share of right answers."""
        return 1 - self.wrong / self.states if self.states else 0.0


class Cell(Counts):
    """The counts of one rule in one item."""

    rule: str
    item: str


class Digests(_Part):
    """SHA-256 of all that the counts depend on."""

    model: str
    """The GGUF file; a server's model by the digest that the server tells."""
    template: str
    """The chat: template, system message, end."""
    rules: str
    """The source code of the domain: its models, its teacher and its invariants."""
    domain: str
    """Name and both JSON Schemas."""
    inputs: str
    """Every canonical input with its right answer, in the order in which they were walked."""
    counterexamples: str
    """The file of counterexamples."""


class Certificate(_Part):
    """What came of answering every input that a domain has."""

    form: Literal[1] = 1
    """Another form of certificate has another number."""
    date: datetime
    drivecoach: str
    engine: str
    """What answered, with its version, such as ``xllamacpp 2026.10.11549``."""
    target: str
    """The model's name: a file name without its folder, or ``ollama:goDrive``."""
    domain: str
    digests: Digests
    states: int
    wrong: int
    below: int
    """Answers whose level is below the right one."""
    lowered: int
    """Of these, the answers where the right level is the gravest."""
    violations: dict[str, int]
    """Id of each invariant that was broken to the number of answers that break it."""
    valid: int
    """Answers that follow the schema and break no invariant, right or wrong."""
    rules: dict[str, Counts]
    items: dict[str, Counts]
    cells: list[Cell]
    """Every rule in every item where it answers."""
    clean: bool
    """No wrong answer at all."""
    seal: str = ""
    """SHA-256 of all the rest: what is edited by hand shows. It is no signature."""

    def sealed(self) -> Certificate:
        """The same with its seal."""
        return self.model_copy(update={"seal": self._seal()})

    @property
    def is_sealed(self) -> bool:
        """Whether nothing was edited since it was made."""
        return self.seal == self._seal()

    @property
    def safe(self) -> bool:
        """Whether no danger was lowered and no invariant broken, whatever else is wrong."""
        return not self.lowered and not self.violations

    def _seal(self) -> str:
        content = self.model_dump(mode="json", exclude={"seal"})
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        """One line: what a person who deploys the model wants to know."""
        if self.clean:
            return f"all {self.states:,} states of {self.domain} answered right ({self.date:%Y-%m-%d})"
        return (
            f"{self.wrong:,} of all {self.states:,} states of {self.domain} answered wrong "
            f"({1 - self.wrong / self.states:.3%} right), {self.lowered:,} lowered dangers, "
            f"{sum(self.violations.values()):,} invariant violations ({self.date:%Y-%m-%d})"
        )


def write(certificate: Certificate, folder: Path) -> None:
    """Write the certificate into ``folder``, sealed; its counterexamples lie there already."""
    write_json(folder / CERTIFICATE, certificate.sealed().model_dump(mode="json"))


def write_counterexamples(found: Iterable[Counterexample], folder: Path) -> str:
    """Write the counterexamples into ``folder``; the digest of the file comes back."""
    write_lines(folder / COUNTEREXAMPLES, (one.model_dump_json() for one in found))
    return sha256(folder / COUNTEREXAMPLES)


def read(path: Path) -> Certificate:
    """The certificate in a file, or in a folder that holds one. Raises DataError for one that is none or was edited."""
    path = path / CERTIFICATE if path.is_dir() else path
    try:
        found = Certificate.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no certificate at {path}", hint="make one: drivecoach verify RUN") from None
    except (OSError, ValidationError, ValueError) as error:
        raise DataError(f"{path} is no certificate of this form", hint="make one: drivecoach verify RUN") from error
    if not found.is_sealed:
        raise DataError(
            f"{path} was edited after it was made: its seal does not fit what it says",
            hint="make it again: drivecoach verify RUN",
        )
    return found


def read_counterexamples(folder: Path) -> Iterator[Counterexample]:
    """The counterexamples in ``folder``, one by one."""
    with (folder / COUNTEREXAMPLES).open(encoding="utf-8") as stream:
        for line in stream:
            yield Counterexample.model_validate_json(line)


def certificate_of(gguf: Path) -> Certificate | None:
    """The certificate of this very file, in the run that it lies in or beside it; None where there is none that fits.

    One that was edited counts as none.
    """
    for folder in (gguf.parent.parent / FOLDER, gguf.with_suffix(".verify")):
        if (folder / CERTIFICATE).is_file():
            try:
                found = read(folder)
            except DataError:
                continue
            if found.digests.model == sha256(gguf):
                return found
    return None
