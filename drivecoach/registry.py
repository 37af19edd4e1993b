"""The tables of what can be chosen by name, and the one function that resolves a choice."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from drivecoach.domain import AnyDomain as Domain
from drivecoach.errors import RecipeError

DOMAINS = {"driving": "drivecoach.domains.driving:DRIVING", "text": "drivecoach.domains.text:TEXT"}
BACKENDS = {"peft": "drivecoach.train.peft_backend", "unsloth": "drivecoach.train.unsloth_backend"}
RUNTIMES = {
    "llamacpp": "drivecoach.runtime.llamacpp:LlamaCpp",
    "ollama": "drivecoach.runtime.ollama:Ollama",
}


def load(table: dict[str, str], name: str) -> Any:
    """Import what ``table`` lists under ``name``; an unknown name is a RecipeError that lists the known ones."""
    try:
        module, _, attribute = table[name].partition(":")
    except KeyError:
        raise RecipeError(f"there is no {name!r}", hint="choose one of: " + ", ".join(sorted(table))) from None
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def load_domain(name: str) -> Domain:
    """The domain listed under ``name``."""
    domain: Domain = load(DOMAINS, name)
    return domain
