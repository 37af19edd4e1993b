"""Every input that a domain has with its right answer, and the digests of all that says what is right."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.chat import Chat
from drivecoach.domain import AnyDomain
from drivecoach.domain.form import ModelForm
from drivecoach.domain.node import text_of
from drivecoach.errors import RecipeError


@dataclass(frozen=True)
class State:
    """One input and what is right for it."""

    value: Any
    input: str
    """Canonical."""
    right: Any
    text: str
    """The right answer's one canonical text."""


def check_countable(domain: AnyDomain) -> None:
    """Raise RecipeError for a domain whose inputs cannot all be walked, or whose right answers nobody knows."""
    if not (domain.is_finite and domain.has_teacher):
        lacks = "a teacher" if domain.is_finite else "inputs that can be counted"
        raise RecipeError(
            f"not every answer of the domain {domain.name} can be verified: it lacks {lacks}",
            hint="that needs inputs of closed sets and teach(value) (see docs/own-domain.md); "
            "else measure held-out rows: drivecoach evaluate RUN",
        )


def states(domain: AnyDomain) -> Iterator[State]:
    """Every input with a right answer, in the domain's fixed order."""
    for value in domain.inputs():
        right = domain.teach(value)
        if right is not None:
            yield State(value, domain.write_input(value), right, domain.write_answer(right))


def rule_of(domain: AnyDomain, value: Any) -> str:
    """The id of the rule that gives the right answer; empty where the domain has no rules."""
    explained = domain.explain(value)
    return explained.rule if explained else ""


def item_of(domain: AnyDomain, value: Any) -> str:
    """The value of the field by which the domain's map is cut; empty where it has none."""
    dumped = domain.input.dump(value) if domain.map_by else {}
    return text_of(dumped.get(domain.map_by, "")) if isinstance(dumped, dict) else ""


def template_digest(chat: Chat | None) -> str:
    """What tells one way of asking from another; empty where only a server knows it."""
    if chat is None:
        return ""
    return _digest({"template": chat.source, "system": chat.system, "end": chat.end, "thinking": chat.thinking})


def domain_digest(domain: AnyDomain) -> str:
    """Name and both JSON Schemas."""
    return _digest(domain.identity())


def rules_digest(domain: AnyDomain) -> str:
    """The source code in which a domain's models, teacher and invariants are written.

    The files of the domain's class and models, each with the rest of its package. What else it may import is not
    followed; that the teacher answers as before is told by the digest of all right answers.
    """
    forms = (domain.input, domain.answer)
    kinds = [*type(domain).__mro__, *(form.model for form in forms if isinstance(form, ModelForm))]
    own = {kind.__module__ for kind in kinds if not kind.__module__.startswith(("drivecoach.domain.", "pydantic"))}
    whole = hashlib.sha256()
    for module in sorted(own):
        found = sys.modules.get(module)
        if found is None or not getattr(found, "__file__", None):
            continue
        file = Path(inspect.getfile(found))
        in_package = (file.parent / "__init__.py").is_file()
        for path in sorted(file.parent.rglob("*.py")) if in_package else [file]:
            whole.update(f"{path.relative_to(file.parent).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()


def add_to(digest: Any, state: State) -> None:
    """Let a running digest of all inputs and right answers go on by one."""
    digest.update(f"{state.input}\n{state.text}\n".encode())


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
