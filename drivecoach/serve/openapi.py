"""The OpenAPI description of /coach and /live, made from the domain's schemas: what goes in, and what comes out."""

from __future__ import annotations

from typing import Any, cast, get_args

from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domain.form import ModelForm
from drivecoach.infer import Status
from drivecoach.live import Settings
from drivecoach.serve.limits import Limits

_TEXT: JsonObject = {"type": "string"}
_SESSION: JsonObject = {
    "name": "session",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}


def describe(domain: AnyDomain, limits: Limits, version: str) -> dict[str, Any]:
    """The description of a server for ``domain``, as OpenAPI 3.1, whose schemas are JSON Schema of draft 2020-12."""
    state = _reference("State")
    problem = {"description": "what was sent is no state", "content": _json(_reference("Problem"))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"drivecoach: {domain.name}",
            "version": version,
            "description": "Checked instructions. A state is validated, and the answer held against schema, invariants "
            "and rules before it is sent.",
        },
        "paths": {
            "/coach": {
                "post": {
                    "summary": "One state, or a list of them, answered behind the guard",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    "oneOf": [
                                        state,
                                        {"type": "array", "items": state, "minItems": 1, "maxItems": limits.states},
                                    ]
                                }
                            },
                            "text/plain": {"schema": _TEXT},
                        },
                    },
                    "responses": {
                        "200": {
                            "description": "the outcome, or one for each state of a list in its order",
                            "content": _json({"oneOf": [_reference("Outcome"), _reference("Outcomes")]}),
                        },
                        "400": {"description": "no JSON, no text or no state", "content": _json(_reference("Error"))},
                        "413": {"description": "too large, or too many states", "content": _json(_reference("Error"))},
                        "422": problem,
                        "502": {"description": "the model does not answer", "content": _json(_reference("Problem"))},
                        "503": {"description": "too many requests wait", "content": _json(_reference("Error"))},
                        "504": {"description": "the answer took too long", "content": _json(_reference("Error"))},
                    },
                }
            },
            "/live/{session}": {
                "parameters": [_SESSION],
                "post": {
                    "summary": "Begin a live session with settings of its own, or change them",
                    "requestBody": {"content": _json(Settings.model_json_schema())},
                    "responses": {**_told("200", "422", "503"), "400": {"description": "a name or body that is none"}},
                },
                "delete": {"summary": "End a live session", "responses": _told("200", "404")},
            },
            "/live/{session}/state": {
                "parameters": [_SESSION],
                "post": {
                    "summary": "A state of a live session, alone or with its time, or a list of them",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    "anyOf": [_timed(state), {"type": "array", "items": _timed(state)}],
                                }
                            },
                            "text/plain": {"schema": _TEXT},
                        },
                    },
                    "responses": {
                        "202": {"description": "what was taken, and what could not be read"},
                        "422": {"description": "nothing was taken"},
                        "503": {"description": "too many live sessions", "content": _json(_reference("Error"))},
                    },
                },
            },
            "/live/{session}/events": {
                "parameters": [_SESSION],
                "get": {
                    "summary": "What to say and when, as server-sent events (say, silent, trouble, end)",
                    "responses": {
                        "200": {"description": "without end", "content": {"text/event-stream": {"schema": _TEXT}}},
                        "503": {"description": "too many readers", "content": _json(_reference("Error"))},
                    },
                },
            },
            "/health": {"get": {"summary": "503 while no requests are taken", "responses": _told("200", "503")}},
            "/metrics": {"get": {"summary": "counters in Prometheus' text form", "responses": _told("200")}},
        },
        "components": {"schemas": _schemas(domain)},
    }


def _schemas(domain: AnyDomain) -> dict[str, Any]:
    said: JsonObject = {"type": "string", "description": "what is wrong, in words"}
    violation: JsonObject = {"type": "object", "properties": {"id": _TEXT, "text": _TEXT}, "required": ["id", "text"]}
    fault: JsonObject = {
        "type": "object",
        "properties": {"where": _TEXT, "found": _TEXT, "allowed": _TEXT},
        "required": ["where", "found", "allowed"],
    }
    faults: JsonObject = {"type": "array", "items": fault}
    outcome: dict[str, Any] = {
        "type": "object",
        "properties": {
            "input": {**_TEXT, "description": "the state in its one canonical form"},
            "status": {"enum": list(get_args(Status))},
            "source": {"enum": ["model", "rules"], "description": "who answered"},
            "answer": {"anyOf": [_reference("Answer"), {"type": "null"}]},
            "violations": {"type": "array", "items": violation},
            "thinking": _TEXT,
            "reason": {**_TEXT, "description": "why it is not valid, or what was replaced; else empty"},
            "milliseconds": {"type": "number"},
            "row": {"type": "integer", "description": "of a list: its place, from 1"},
            "faults": {**faults, "description": "of a list: what is wrong with a state that was not answered"},
        },
        "required": ["input", "status", "source", "answer", "violations", "reason", "milliseconds"],
    }
    return {
        "State": _state(domain),
        "Answer": domain.answer.schema,
        "Outcome": outcome,
        "Outcomes": {
            "type": "object",
            "properties": {"outcomes": {"type": "array", "items": _reference("Outcome")}},
            "required": ["outcomes"],
        },
        "Problem": {
            "type": "object",
            "properties": {"error": said, "hint": _TEXT, "faults": faults},
            "required": ["error", "hint", "faults"],
        },
        "Error": {"type": "object", "properties": {"error": said}, "required": ["error"]},
    }


def _state(domain: AnyDomain) -> JsonObject:
    """A state by the keys of its schema, by the names of its fields, as a line, or any of these under ``input``."""
    forms: list[Any] = [] if domain.input.node.kind == "text" else [domain.input.schema]
    if isinstance(domain.input, ModelForm):
        fields = {alias: name for name, alias in domain.input.names.items()}
        if any(alias != name for alias, name in fields.items()):
            forms.append(_renamed(domain.input.schema, fields))
    line: JsonObject = {**_TEXT, "description": "a state as one line of text"}
    given: JsonObject = {"anyOf": [*forms, line]}
    under: JsonObject = {
        "type": "object",
        "properties": {"input": given},
        "required": ["input"],
        "additionalProperties": False,
    }
    return {"anyOf": [*forms, line, under]}


def _timed(state: dict[str, Any]) -> dict[str, Any]:
    seconds: JsonObject = {"type": "number", "minimum": 0, "description": "the sender's clock, in seconds"}
    with_time = {"type": "object", "properties": {"time": seconds, "state": state}, "required": ["time", "state"]}
    return {"anyOf": [state, with_time]}


def _renamed(schema: JsonObject, names: dict[str, str]) -> JsonObject:
    properties = cast(JsonObject, schema.get("properties", {}))
    required = cast(list[str], schema.get("required", []))
    return {
        **schema,
        "title": f"{schema.get('title', 'State')} by English names",
        "properties": {names.get(key, key): value for key, value in properties.items()},
        "required": [names.get(key, key) for key in required],
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _told(*statuses: str) -> dict[str, Any]:
    return {status: {"description": "as said"} for status in statuses}
