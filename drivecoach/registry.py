"""The tables of what can be chosen by name, and the one function that resolves a choice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, Protocol

from drivecoach.errors import RecipeError

DOMAINS = {"driving": "drivecoach.domains.driving", "text": "drivecoach.domains.text"}
BACKENDS = {"peft": "drivecoach.train.peft_backend", "unsloth": "drivecoach.train.unsloth_backend"}
RUNTIMES = {
    "llamacpp": "drivecoach.runtime.llamacpp:LlamaCpp",
    "ollama": "drivecoach.runtime.ollama:Ollama",
}


class Domain(Protocol):
    """What a field of knowledge gives the rest of the program; a module with these names is one.

    Everything outside ``drivecoach.domains.driving`` talks to the driving knowledge through these names alone.
    """

    NAME: str
    """Its name in recipes, as in DOMAINS."""

    SYSTEM: str
    """The system message of a model tuned for this domain."""

    def read_input(self, text: str) -> Any:
        """Parse a user's text; raises InputError with every fault."""

    def write_input(self, value: Any) -> str:
        """The one canonical text of a parsed input."""

    def read_answer(self, text: str) -> Any:
        """Parse an answer (without its reasoning); raises InputError with every fault."""

    def write_answer(self, value: Any) -> str:
        """The one canonical text of a parsed answer."""

    def violations(self, value: Any, answer: Any) -> list[Any]:
        """The invariants that ``answer`` breaks for the input ``value``; empty when it is safe."""

    def describe(self, value: Any, answer: Any) -> dict[str, str]:
        """What statistics count: a label and its value for the input and the answer."""

    def compare(self, expected: Any, given: Any) -> dict[str, bool]:
        """Which parts of an answer agree, and whether it errs on the dangerous side (``unsafe``)."""

    def vocabulary(self) -> tuple[str, ...]:
        """The pieces of text that a tokenizer made for this domain holds as one token each."""

    def uniform(self, count: int, without: Collection[str]) -> list[tuple[str, Any]]:
        """Inputs drawn evenly from all that exist, with their right answers; empty where nobody can say."""

    def rule_answer(self, value: Any) -> Any:
        """The rules' own answer for an input; None where there are no rules."""

    def write_record(self, record: Mapping[str, Any]) -> str:
        """The text of an input that came as a record of keys and values; it is not checked here."""

    def record_keys(self) -> list[list[str]]:
        """The keys of such a record, once for every set of names that is understood."""

    def answer_schema(self) -> dict[str, Any]:
        """JSON Schema of an answer."""

    def schemas(self) -> dict[str, dict[str, Any]]:
        """File name to JSON Schema, of what goes in and what comes out."""


def load(table: dict[str, str], name: str) -> Any:
    """Import what ``table`` lists under ``name``; an unknown name is a RecipeError that lists the known ones."""
    try:
        module, _, attribute = table[name].partition(":")
    except KeyError:
        raise RecipeError(f"there is no {name!r}", hint="choose one of: " + ", ".join(sorted(table))) from None
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def load_domain(name: str) -> Domain:
    """The domain module listed under ``name``."""
    domain: Domain = load(DOMAINS, name)
    return domain
