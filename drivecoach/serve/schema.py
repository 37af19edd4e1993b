"""JSON Schemas of clients: bounded, and tried in a process of their own before the engine sees them.

The engine compiles a schema inside the server's process, where one that asks for a billion items ends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from drivecoach.runtime.grammars import lenient
from drivecoach.serve import trial
from drivecoach.serve.wire import WireError

SIZE = 64 * 1024
"""Bytes of a schema as JSON."""
DEPTH = 64
"""How deep its JSON may nest; a property takes two levels."""
REFERENCES = 200
"""How often it may say ``$ref``, and so how far references can lead from one to the next."""
ITEMS, CHARACTERS, PATTERN = 10_000, 100_000, 1_000
"""What it may ask for at most of a list or an object, of a text, and how long a regular expression may be."""
_MOST = dict.fromkeys(("minItems", "maxItems", "minProperties", "maxProperties"), ITEMS)
_MOST |= dict.fromkeys(("minLength", "maxLength"), CHARACTERS)
_TRIALS = threading.Semaphore(2)
_WAIT = 5 * trial.SECONDS


def check_schema(schema: dict[str, Any]) -> None:
    """Raise WireError 400 for a schema that is past the bounds, or that the engine cannot hold; takes some 50 ms."""
    reason = next(_beyond(schema), "")
    if not reason:
        text = json.dumps(lenient(schema))
        reason = f"the schema is larger than {SIZE} bytes" if len(text) > SIZE else _refusal(text)
    if reason:
        raise WireError(400, f"invalid format: {reason}")


def _beyond(schema: dict[str, Any]) -> Iterator[str]:
    left: list[tuple[Any, int]] = [(schema, 1)]
    references = 0
    while left:
        value, depth = left.pop()
        if depth > DEPTH:
            yield f"the schema is nested deeper than {DEPTH} levels"
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]
        elif isinstance(value, dict):
            left += [(inner, depth + 1) for inner in value.values()]
            references += "$ref" in value
            yield from _faults(value)
    if references > REFERENCES:
        yield f"the schema has more than {REFERENCES} references"


def _faults(part: dict[str, Any]) -> Iterator[str]:
    for key, most in _MOST.items():
        number = part.get(key)
        if isinstance(number, int | float) and not 0 <= number <= most:
            yield f"{key} may be from 0 to {most}"
    reference = part.get("$ref", "#")
    if isinstance(reference, str) and not reference.startswith("#"):
        yield "a $ref leads out of the schema"
    named = part.get("patternProperties")
    for pattern in [part.get("pattern"), *(named if isinstance(named, dict) else ())]:
        if isinstance(pattern, str) and len(pattern) > PATTERN:
            yield f"a pattern may have {PATTERN} characters"


@lru_cache(512)
def _refusal(text: str) -> str:
    """What the engine's compiler says against a schema, first line only; "" where nothing."""
    with _TRIALS:
        try:
            ended = subprocess.run(  # noqa: S603  # our own file
                [sys.executable, "-P", trial.__file__], input=text.encode(), capture_output=True, timeout=_WAIT
            )
        except subprocess.TimeoutExpired:
            return "the schema takes too long to compile"
    if ended.returncode < 0:  # ended by a signal
        return "the schema takes too much memory or time to compile"
    if ended.returncode:
        raise WireError(500, "the schema could not be tried")
    said = next(iter(ended.stdout.decode(errors="replace").strip().splitlines()), "")
    return "no answer can follow the schema" if said == "NoExtensionBias" else said[:300]
