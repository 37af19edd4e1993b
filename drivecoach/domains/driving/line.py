"""The feature line ``<特征>场地类型:…; …; 时间特征:…</特征>``: tolerant reading, one canonical form out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from operator import add, attrgetter
from typing import cast

from pydantic import JsonValue

from drivecoach.domains.driving.state import State, VehicleState, features_of
from drivecoach.errors import Fault, InputError
from drivecoach.text import shown

OPENING, CLOSING = "<特征>", "</特征>"
MAX_LINE = 2_000
"""Longest text (characters) that is read at all; a canonical line has under 200."""

_SEPARATOR = re.compile(r"[;,、]")


def read_line(text: str, model: type[State]) -> State:
    """Read a feature line into a state.

    Accepted: full- and half-width forms, any spacing (also inside), any order of the pairs, ``;`` ``,`` or
    ``、`` between them, a trailing separator. The two tags may be left out together, as the pairs name
    themselves; one tag without the other, or text outside the tags, is a fault. ``离合:未踩`` of an automatic
    is read as ``无``.

    Raises ``InputError`` with every fault at once: missing, repeated or unknown features, unknown values, and
    impossible combinations of the values that could be read; a text without any feature is one fault.
    """
    if model is VehicleState and (canonical := _canonical(text)):
        return cast(State, canonical)
    check_length(text, model)
    features, faults = features_of(model), list[Fault]()
    found: dict[str, list[str]] = {}
    for piece in _SEPARATOR.split(_body(_plain(text), faults)):
        name, colon, value = piece.partition(":")
        if not piece:
            continue
        if not colon:
            faults.append(Fault("line", shown(piece), "特征:值"))
        else:
            found.setdefault(name, []).append(value)
    for name, given in found.items():
        if name in features and len(given) > 1:
            faults.append(Fault(name, "given twice: " + ", ".join(map(shown, given)), "once"))
    if not found.keys() & features.keys():
        raise _refused(model, [_foreign(shown(text) or "(empty)", model)])
    return _judged({name: given[0] for name, given in found.items()}, model, faults)


_ATTRIBUTES = tuple(VehicleState.model_fields)


def _canonical(text: str) -> VehicleState | None:
    """The state of a line as `write_line` writes it, some ten times as fast; None for any other text."""
    pieces = text[len(OPENING) : -len(CLOSING)].split("; ")
    known = _pieces()
    if len(pieces) != len(known) or not (text.startswith(OPENING) and text.endswith(CLOSING)):
        return None
    found = list(map(dict.get, known, pieces))
    site, item, vehicle, gear, _, _, _, _, clutch, *_ = found
    if None in found or not _are_possible(site, item, vehicle, gear, clutch):
        return None
    made = VehicleState.__new__(VehicleState)
    made.__setstate__(
        {
            "__dict__": dict(zip(_ATTRIBUTES, found, strict=True)),
            "__pydantic_fields_set__": set(_ATTRIBUTES),
            "__pydantic_extra__": None,
            "__pydantic_private__": None,
        }
    )
    return made


@cache
def _pieces() -> list[dict[str, str]]:
    """For every feature in its order: each ``特征:值`` and its value."""
    features = features_of(VehicleState).items()
    return [{f"{name}:{value}": value for value in feature.values} for name, feature in features]


@cache
def _are_possible(site: str, item: str, vehicle: str, gear: str, clutch: str) -> bool:
    """Whether these go together: no other features of `VehicleState` can contradict each other."""
    return not VehicleState.contradictions(
        {"场地类型": site, "当前项目": item, "车辆类型": vehicle, "挡位": gear, "离合": clutch}
    )


def read_record(record: Mapping[str, JsonValue], model: type[State]) -> State:
    """Read a record, one key a feature, by Chinese names; values as tolerantly as in a line.

    Raises ``InputError`` with every fault at once.
    """
    if not record.keys() & features_of(model).keys():
        keys = ", ".join(map(shown, list(record)[:8]))
        raise _refused(model, [_foreign(f"keys {keys}" if keys else "{}", model)])
    texts = {
        name: _plain(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in record.items()
    }
    return _judged(texts, model, [])


def check_length(text: str, model: type[VehicleState]) -> None:
    """Raises InputError for a text that is too long to be a state."""
    if len(text) > MAX_LINE:
        raise _refused(model, [Fault("line", f"{len(text)} characters", f"at most {MAX_LINE} characters")])


def write_line(state: VehicleState) -> str:
    """The canonical line of a state: fixed order, ``; `` between pairs, half-width punctuation."""
    names, values = _columns(type(state))
    return OPENING + "; ".join(map(add, names, values(state))) + CLOSING


@cache
def _columns(model: type[VehicleState]) -> tuple[list[str], attrgetter[tuple[str, ...]]]:
    """Each feature's name with its colon, and what reads all values of a state in the same order."""
    features = features_of(model)
    return [f"{name}:" for name in features], attrgetter(*(known.attribute for known in features.values()))


def _judged(given: Mapping[str, str], model: type[State], faults: list[Fault]) -> State:
    """The state of values by feature name; raises InputError with ``faults`` and all that are found here."""
    features = features_of(model)
    for name in given.keys() - features.keys():
        faults.append(Fault(shown(name) or "(no name)", shown(given[name]), f"features: {', '.join(features)}"))
    values = {name: given[name] for name in features if name in given}
    if values.get("车辆类型") == "自动挡" and values.get("离合") == "未踩":
        values["离合"] = "无"  # an OBD box reports the missing pedal as a free one
    told = {fault.where for fault in faults}
    for name, known in features.items():
        if name not in values:
            faults.append(Fault(name, "missing", ", ".join(known.values)))
        elif values[name] not in known.values and name not in told:
            faults.append(Fault(name, shown(values[name]) or "(empty)", ", ".join(known.values)))
    faults += model.contradictions({name: value for name, value in values.items() if name not in told})
    if faults:
        raise _refused(model, faults)
    return model.model_validate(values)


def _refused(model: type[VehicleState], faults: list[Fault]) -> InputError:
    count = len(features_of(model))
    hint = f"give the {count} features as 特征:值 pairs separated by ; between {OPENING} and {CLOSING}, or as JSON"
    return InputError("this is not a legal state of the car", hint=hint, faults=faults)


def _foreign(found: str, model: type[VehicleState]) -> Fault:
    return Fault(model.__name__, found, f"features: {', '.join(features_of(model))}")


def _plain(text: str) -> str:
    """Half-width forms, no white space and no invisible characters: neither occurs in a feature or value."""
    half = "".join(unicodedata.normalize("NFKC", text).split())
    return half if half.isprintable() else "".join(c for c in half if unicodedata.category(c) != "Cf")


def _body(line: str, faults: list[Fault]) -> str:
    body = line.removeprefix(OPENING).removesuffix(CLOSING)
    if line.startswith(OPENING) != line.endswith(CLOSING):
        faults.append(Fault(OPENING, "one tag without the other", f"{OPENING}…{CLOSING}"))
    if "<" in body or ">" in body:
        faults.append(Fault(OPENING, "a tag inside or text outside the tags", f"one {OPENING}…{CLOSING}"))
    return re.sub(r"</?特征>", ";", body)
