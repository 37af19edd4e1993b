"""The feature line ``<特征>场地类型:…; …; 时间特征:…</特征>``: tolerant reading, one canonical form out."""

from __future__ import annotations

import re
import unicodedata

from drivecoach.domains.driving.state import VehicleState, contradictions
from drivecoach.domains.driving.words import ATTRIBUTES, FEATURES
from drivecoach.errors import Fault, InputError
from drivecoach.text import shown

OPENING, CLOSING = "<特征>", "</特征>"
MAX_LINE = 2_000
"""Longest text (characters) that is read at all; a canonical line has under 160."""

_HINT = "give the 13 features as 特征:值 pairs separated by ; between <特征> and </特征>"
_SEPARATOR = re.compile(r"[;,、]")


def parse_line(text: str) -> VehicleState:
    """Read a feature line into a state.

    Accepted: full- and half-width forms, any spacing (also inside), any order of the pairs, ``;`` ``,`` or
    ``、`` between them, a trailing separator. The two tags may be left out together, as the pairs name
    themselves; one tag without the other, or text outside the tags, is a fault. ``离合:未踩`` of an automatic
    is read as ``无``.

    Raises ``InputError`` with every fault at once: missing, repeated or unknown features, unknown values, and
    impossible combinations of the values that could be read.
    """
    if len(text) > MAX_LINE:
        fault = Fault("line", f"{len(text)} characters", f"at most {MAX_LINE} characters")
        raise InputError("feature line is too long", hint=_HINT, faults=[fault])
    faults: list[Fault] = []
    found: dict[str, list[str]] = {}
    for piece in _SEPARATOR.split(_body(_plain(text), faults)):
        name, colon, value = piece.partition(":")
        if not piece:
            continue
        if not colon:
            faults.append(Fault("line", shown(piece), "特征:值"))
        elif name not in FEATURES:
            faults.append(Fault(shown(name) or "(no name)", shown(value), f"features: {', '.join(FEATURES)}"))
        else:
            found.setdefault(name, []).append(value)
    values: dict[str, str] = {}
    for name, allowed in FEATURES.items():
        given = found.get(name, [])
        if len(given) == 1:
            values[name] = given[0]
        elif given:
            faults.append(Fault(name, "given twice: " + ", ".join(map(shown, given)), "once"))
        else:
            faults.append(Fault(name, "missing", ", ".join(allowed)))
    if values.get("车辆类型") == "自动挡" and values.get("离合") == "未踩":
        values["离合"] = "无"  # an OBD box reports the missing pedal as a free one
    faults += [
        Fault(name, shown(value) or "(empty)", ", ".join(FEATURES[name]))
        for name, value in values.items()
        if value not in FEATURES[name]
    ]
    faults += contradictions(values)
    if faults:
        raise InputError("feature line is not a legal state", hint=_HINT, faults=faults)
    return VehicleState.model_validate(values)


def render_line(state: VehicleState) -> str:
    """The canonical line of a state: fixed order, ``; `` between pairs, half-width punctuation."""
    pairs = (f"{name}:{getattr(state, attribute)}" for name, attribute in ATTRIBUTES.items())
    return OPENING + "; ".join(pairs) + CLOSING


def _plain(text: str) -> str:
    """Half-width forms, no white space and no invisible characters: neither occurs in a feature or value."""
    half = unicodedata.normalize("NFKC", text)
    return "".join(c for c in half if not c.isspace() and unicodedata.category(c) != "Cf")


def _body(line: str, faults: list[Fault]) -> str:
    body = line.removeprefix(OPENING).removesuffix(CLOSING)
    if line.startswith(OPENING) != line.endswith(CLOSING):
        faults.append(Fault("<特征>", "one tag without the other", f"{OPENING}…{CLOSING}"))
    if "<" in body or ">" in body:
        faults.append(Fault("<特征>", "a tag inside or text outside the tags", f"one {OPENING}…{CLOSING}"))
    return re.sub(r"</?特征>", ";", body)
