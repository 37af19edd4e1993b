"""A model says which domain it is for: what its metadata keeps, and the domain that is found by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from drivecoach.domain import AnyDomain, Domain
from drivecoach.domain.base import NAME
from drivecoach.domain.form import Form, TextForm
from drivecoach.domains.load import DOMAINS, load_domain, schema_form
from drivecoach.errors import ModelError

DOMAIN, _INPUT, _ANSWER, _OWN = (
    "drivecoach.domain",
    "drivecoach.input_schema",
    "drivecoach.answer_schema",
    "drivecoach.own_texts",
)


@dataclass(frozen=True)
class Found:
    """The domain of a model, and what one should know about how it was found (empty: nothing)."""

    domain: AnyDomain
    note: str = ""


def metadata(domain: AnyDomain) -> dict[str, str | bool]:
    """The fields that a model keeps of its domain: its name, its JSON Schemas, whether it writes inputs its own way.

    Such a domain cannot be told by its schema alone: without it, inputs go in as they are.
    """
    return {
        DOMAIN: domain.name,
        _INPUT: json.dumps(domain.input.schema, ensure_ascii=False),
        _ANSWER: json.dumps(domain.answer.schema, ensure_ascii=False),
        _OWN: type(domain).write_input is not Domain.write_input,
    }


def find_domain(fields: Mapping[str, object], model: str, override: str | None = None) -> Found:
    """The domain of the model called ``model`` with the metadata ``fields``; ``override`` names another.

    Only names are looked up, shipped ones and those of installed packages: a model never causes a file to be loaded.
    A runtime in this process may hold its domain itself; metadata of a file or a server cannot, they are texts.
    Where the domain is not installed, its JSON Schemas check the answers. Raises ModelError for a model that does not
    say its domain.
    """
    name = fields.get(DOMAIN)
    if override is not None:
        domain = load_domain(override)
        return Found(domain, _difference(domain, fields, model))
    if isinstance(name, Domain):
        return Found(name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ModelError(
            f"{model} does not say which domain it is for",
            hint="name it: --domain driving (from Python: domain=…), or export the model again",
        )
    if name in DOMAINS:
        domain = DOMAINS.load(name)
        return Found(domain, _difference(domain, fields, model))
    if _ANSWER not in fields:
        raise ModelError(
            f"{model} is for the domain {name!r}, which is not installed here",
            hint="install its package, or name its file: --domain schema.py:domain",
        )
    given: Form[JsonValue] = (
        TextForm()  # type: ignore[assignment]
        if fields.get(_OWN)
        else schema_form(_schema(fields, _INPUT, model), "input")
    )
    made = Domain(name, given, schema_form(_schema(fields, _ANSWER, model), "answer"))
    note = (
        f"the domain {name!r} is not installed here: answers are checked by the JSON Schema in {model}, "
        "invariants are not checked (--domain names the domain's file)"
    )
    return Found(made, note)


def _schema(fields: Mapping[str, object], key: str, model: str) -> dict[str, JsonValue]:
    try:
        schema = json.loads(str(fields.get(key)))
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise ModelError(f"{model}: {key} is no JSON Schema", hint="export the model again, or name the --domain")
    return schema


def _difference(domain: AnyDomain, fields: Mapping[str, object], model: str) -> str:
    """Says so where the model was trained for other inputs or answers than the domain has now."""
    changed = [
        side
        for side, key, form in (("inputs", _INPUT, domain.input), ("answers", _ANSWER, domain.answer))
        if key in fields and _bare(_schema(fields, key, model)) != _bare(form.schema)
    ]
    if not changed:
        return ""
    return f"{model} was trained for other {' and '.join(changed)} than the domain {domain.name!r} has now: train again"


def _bare(value: JsonValue) -> JsonValue:
    """A schema without what is only said about it."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if isinstance(value, dict):
        return {
            key: _bare(item)
            for key, item in value.items()
            if not (key in ("title", "description", "examples") and isinstance(item, str | list))
        }
    return value
