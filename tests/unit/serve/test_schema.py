"""JSON Schemas of clients: what is past the bounds, or what the engine cannot hold, is refused; the server goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.serve import schema as bounds
from drivecoach.serve.model import ServedModel
from drivecoach.serve.schema import check_schema
from drivecoach.serve.wire import WireError
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def chain(length: int) -> dict[str, Any]:
    links = {f"a{place}": {"$ref": f"#/$defs/a{place + 1}"} for place in range(length)}
    return {"$defs": {**links, f"a{length}": {"type": "string"}}, "$ref": "#/$defs/a0"}


PAST_THE_BOUNDS = [
    ({"type": "array", "items": {}, "maxItems": 1_000_000_000}, "maxItems"),
    ({"type": "array", "items": {}, "minItems": 1e300}, "minItems"),
    ({"type": "array", "items": {}, "maxItems": float("inf")}, "maxItems"),
    ({"type": "object", "properties": {"x": {"type": "string", "maxLength": 10**9}}}, "maxLength"),
    ({"type": "array", "minItems": -1}, "minItems"),
    (nested(80), "nested deeper"),
    (chain(400), "references"),
    ({"$ref": "https://example.com/schema.json"}, "leads out"),
    ({"$ref": "file:///etc/passwd"}, "leads out"),
    ({"type": "string", "pattern": "a" * 5000}, "pattern"),
    ({"patternProperties": {"a" * 5000: {}}}, "pattern"),
    ({"enum": [str(number) for number in range(20_000)]}, "larger than"),
]
NOT_HELD = [
    {"$ref": "#"},
    {"$ref": "#/$defs/nowhere"},
    {"type": "frob"},
    {"type": 5},
    {"enum": []},
    {"properties": [1]},
    {"type": "string", "pattern": "^((("},
    {"type": "string", "pattern": "^a{9999999999999}$"},
    {"type": "integer", "minimum": 10, "maximum": 1},
    {"type": "array", "maxItems": 1.5},
    {"allOf": [{"anyOf": [{"properties": {f"p{j}": {}}} for j in range(10)]} for _ in range(10)]},
    {"enum": ["\ud800"]},
]
HELD = [
    {},
    {"type": "object"},
    DRIVING.answer.schema,
    {"type": "array", "items": {}, "maxItems": 2000},
    {"$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "$ref": "#/$defs/tree"},
    chain(100),
    nested(20),
    {"oneOf": [{"type": "string"}, {"type": "integer"}], "x-guidance": {"lenient": False}, "uniqueItems": True},
    {"type": "string", "pattern": "^(((a{1,1000}b?){1,1000}c?){1,1000})$"},
]


@pytest.mark.parametrize(("schema", "words"), PAST_THE_BOUNDS)
def test_what_is_past_the_bounds_is_refused_without_being_compiled(
    schema: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_refusal", lambda text: pytest.fail(text[:100]))
    with pytest.raises(WireError, match=words) as caught:
        check_schema(schema)
    assert caught.value.status == 400
    assert len(caught.value.message) < 400


def refused(schema: dict[str, Any]) -> bool:
    try:
        check_schema(schema)
    except WireError as error:
        assert error.status == 400
        return True
    return False


def test_what_the_engine_cannot_hold_is_refused_and_the_rest_is_not() -> None:
    """Without this the engine would drop such a schema in silence, and answer without any."""
    with ThreadPoolExecutor(4) as pool:
        assert [schema for schema, no in zip(NOT_HELD, pool.map(refused, NOT_HELD), strict=True) if not no] == []
        assert [schema for schema, no in zip(HELD, pool.map(refused, HELD), strict=True) if no] == []


def test_a_schema_that_takes_all_memory_ends_only_the_process_that_tries_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_MOST", {})
    with pytest.raises(WireError, match="too much memory or time"):
        check_schema({"type": "array", "items": {}, "maxItems": 1_000_000_000})


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = write_scripted_gguf(tmp_path_factory.mktemp("schema") / "m.gguf", ANSWER, chat=Chat(DRIVING.system))
    with serving(ServedModel(file)) as address:
        yield address


@pytest.mark.parametrize("stream", [True, False])
def test_a_server_refuses_it_at_every_endpoint_and_answers_the_next(url: str, stream: bool) -> None:
    bad = {"type": "array", "items": {}, "maxItems": 1_000_000_000}
    messages = [{"role": "user", "content": "x"}]
    asked = {"model": "m", "stream": stream, "prompt": "x", "messages": messages, "format": bad}
    asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": bad}}
    for path in ("/api/generate", "/api/chat", "/v1/chat/completions"):
        answer = httpx.post(url + path, json=asked)
        assert answer.status_code == 400, path
        assert "maxItems may be from 0 to 10000" in json.dumps(answer.json())
    right = httpx.post(f"{url}/api/generate", json={**asked, "format": DRIVING.answer.schema, "stream": False})
    assert DRIVING.read_answer(right.json()["response"]).level == "提示"
