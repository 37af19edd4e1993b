"""States as a request gives them: its body as JSON or as a line, and each state's text."""

from __future__ import annotations

import json
from typing import Any, Never

from drivecoach.domain import AnyDomain
from drivecoach.errors import Fault, InputError
from drivecoach.serve.wire import WireError


def read_body(body: bytes, content_type: str) -> object:
    """What was sent: JSON, or a line, which no JSON is. Raises WireError 400 for what is neither."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WireError(400, "the body is not UTF-8") from None
    if not text.strip():
        raise WireError(400, 'the body is empty; send a state: a JSON object, "feature:value; …", or a list of these')
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/plain" or (kind != "application/json" and text.lstrip()[0] not in '{["'):
        return text  # curl -d "$LINE" says that it is a form
    try:
        return json.loads(text, object_pairs_hook=_Record, parse_constant=_no_constant)
    except RecursionError:
        raise WireError(400, "the body is no JSON: nested too deep") from None
    except ValueError as error:
        raise WireError(400, f"the body is no JSON: {error}; a bare line is text/plain") from None


class _Record(dict[str, Any]):
    """A JSON object that remembers which keys it gave twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        keys = [key for key, _ in pairs]
        self.twice = [key for key in self if keys.count(key) > 1] if len(keys) > len(self) else []


def state_text(given: object, domain: AnyDomain) -> str:
    """The text of one state as it was sent: a line, an object by names, or either under ``input``."""
    if isinstance(given, _Record) and given.twice:
        faults = [Fault(key[:60], "given twice", "once") for key in given.twice]
        raise InputError("keys are given twice", hint="give each key once", faults=faults)
    if isinstance(given, _Record) and given.keys() == {"input"} and "input" not in domain.input.node.fields:
        return state_text(given["input"], domain) if not isinstance(given["input"], list) else _refuse(given, domain)
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and domain.input.node.kind != "text":
        return json.dumps(given, ensure_ascii=False)
    return _refuse(given, domain)


def _refuse(given: object, domain: AnyDomain) -> Never:
    fault = Fault(domain.input.title, shown_state(given), domain.input.node.allowed)
    raise InputError(
        f"not a valid {domain.input.title}", hint='give a line, an object, or {"input": …}', faults=[fault]
    )


def _no_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON value")


def shown_state(given: object) -> str:
    """A state as it was sent, cut short."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return text[:200]
