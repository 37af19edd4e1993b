"""POST /coach: states in every form, every fault named, the guard, many at once; and its OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.infer import Guard, strictest
from drivecoach.runtime import open_runtime
from drivecoach.serve.current import Served
from drivecoach.serve.limits import LIMITS, Limits
from drivecoach.serve.model import ServedModel
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving
from tests.support.thermostat import THERMOSTAT

MILD = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
LINE = (
    "<特征>场地类型:科目三; 当前项目:起步; 车辆类型:手动挡; 挡位:空挡; 手刹:拉起; 发动机:打火; 安全带:系上; 车门:关闭; "
    "离合:未踩; 刹车:未踩; 油门:踩下; 速度:静止; 时间特征:白天</特征>"
)
MOVING = LINE.replace("速度:静止", "速度:适中").replace("挡位:空挡", "挡位:2挡").replace("手刹:拉起", "手刹:放下")
DANGER = MOVING.replace("车门:关闭", "车门:打开")
STATE = DRIVING.input.dump(DRIVING.read_input(LINE))
ENGLISH = {field: STATE[alias] for field, alias in DRIVING.input.names.items()}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("coach") / "m.gguf", MILD, chat=Chat(DRIVING.system))


@pytest.fixture(scope="module")
def url(gguf: Path) -> Iterator[str]:
    with serving(ServedModel(gguf)) as address:
        yield address


def test_a_state_in_every_form_gives_the_same_instruction(url: str) -> None:
    text, form = {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        httpx.post(f"{url}/coach", json=STATE),
        httpx.post(f"{url}/coach", json=ENGLISH),
        httpx.post(f"{url}/coach", json=LINE),
        httpx.post(f"{url}/coach", json={"input": LINE}),
        httpx.post(f"{url}/coach", json={"input": ENGLISH}),
        httpx.post(f"{url}/coach", content=LINE.encode(), headers=text),
        httpx.post(f"{url}/coach", content=json.dumps(STATE).encode(), headers=text),
        httpx.post(f"{url}/coach", content=LINE.encode(), headers=form),
    ]
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        body = answer.json()
        assert body["answer"] == json.loads(MILD)
        assert (body["input"], body["status"], body["source"], body["violations"]) == (LINE, "valid", "model", [])
        assert body["milliseconds"] > 0


def test_every_fault_of_a_state_is_named(url: str) -> None:
    bad = {**STATE, "场地类型": "科目九", "颜色": "红"}
    del bad["时间特征"]
    answer = httpx.post(f"{url}/coach", json=bad)
    assert answer.status_code == 422
    faults = {fault["where"]: fault["found"] for fault in answer.json()["faults"]}
    assert faults.keys() == {"场地类型", "颜色", "时间特征"}
    assert faults["场地类型"] == "科目九"
    assert answer.json()["hint"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("你好".encode(), 422),
        (b'"hello"', 422),
        (b'{"\xe5\x9c\xba\xe5\x9c\xb0\xe7\xb1\xbb\xe5\x9e\x8b": 1}', 422),
        (b'{"gear": "x", "gear": "y"}', 422),
        (b"{}", 422),
        (b'{"input": ["x"]}', 422),
        (b'{"input": null}', 422),
        (b'"\\ud800"', 422),
        (b"{", 400),
        (b'{"gear": NaN}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b"  ", 400),
        (b"[]", 400),
        (b"[" + b"1," * 300 + b"1]", 413),
    ],
)
def test_what_is_no_state_is_refused_in_words(url: str, body: bytes, status: int) -> None:
    answer = httpx.post(f"{url}/coach", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_an_answer_below_the_rules_is_replaced_and_counted(url: str) -> None:
    before = replaced(url)
    body = httpx.post(f"{url}/coach", json=DANGER).json()
    right = DRIVING.teach(DRIVING.read_input(DANGER))
    assert (body["source"], body["status"]) == ("rules", "valid")
    assert body["answer"] == DRIVING.answer.dump(right) and body["answer"]["级别"] == "危险"
    assert body["reason"].startswith("replaced: ")
    assert replaced(url) == before + 1


def replaced(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("drivecoach_guard_replacements_total")))


def test_without_replacing_a_broken_invariant_is_marked(gguf: Path) -> None:
    with serving(ServedModel(gguf), guard="flag") as url:
        body = httpx.post(f"{url}/coach", json=DANGER).json()
    assert (body["source"], body["status"], body["answer"]) == ("model", "invalid", json.loads(MILD))
    assert body["violations"] and body["reason"].startswith("invariants: ")
    assert all(broken["id"] and broken["text"] for broken in body["violations"])


def test_a_bad_state_among_many_touches_no_other(url: str) -> None:
    sent = [LINE, "你好", DANGER, {"input": STATE}, None, {**STATE, "挡位": "9挡"}, ENGLISH]
    answer = httpx.post(f"{url}/coach", json=sent)
    assert answer.status_code == 200
    rows = answer.json()["outcomes"]
    assert [row["row"] for row in rows] == list(range(1, 8))
    assert [row["status"] for row in rows] == ["valid", "failed", "valid", "valid", "failed", "failed", "valid"]
    assert [row["source"] for row in rows if row["status"] == "valid"] == ["model", "rules", "model", "model"]
    assert [fault["where"] for fault in rows[5]["faults"]] == ["挡位"]
    assert rows[1]["answer"] is None and "input: " in rows[1]["reason"]


def test_more_states_than_wait_at_once_are_all_answered(gguf: Path) -> None:
    model = ServedModel(gguf)
    model.runtime.slots = 2
    with serving(model, limits=Limits(queue=0)) as url:
        rows = httpx.post(f"{url}/coach", json=[LINE] * 40, timeout=60).json()["outcomes"]
    assert {row["status"] for row in rows} == {"valid"}


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from([LINE]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_body_is_a_fault_of_the_server(url: str, body: bytes) -> None:
    answer = httpx.post(f"{url}/coach", content=body)
    assert answer.status_code in (200, 400, 413, 422)
    assert isinstance(answer.json(), dict)


def test_the_rules_alone_are_served_through_coach(url: str) -> None:
    runtime = open_runtime("rules")
    with serving(Served(runtime, DRIVING, "strict", LIMITS)) as address:
        body = httpx.post(f"{address}/coach", json=DANGER).json()
        assert (body["status"], body["source"], body["answer"]["级别"]) == ("valid", "rules", "危险")
        for path in ("/api/tags", "/", "/v1/models", "/api/ps"):
            answer = httpx.get(address + path)
            assert answer.status_code == 404 and "/coach" in answer.text
        asked = httpx.post(f"{address}/api/generate", json={"model": "rules:driving", "prompt": LINE})
        assert asked.status_code == 404 and "/coach" in asked.json()["error"]
        assert "drivecoach_model{" in httpx.get(f"{address}/metrics").text


def test_a_domain_without_a_teacher_is_only_flagged(tmp_path: Path) -> None:
    """Its domain is not installed here, so that it is known by its schemas alone."""
    said = '{"action": "off", "level": 0, "steps": []}'
    file = write_scripted_gguf(tmp_path / "t.gguf", said, chat=Chat("x"), domain=THERMOSTAT)
    from drivecoach.domains.stored import find_domain

    model = ServedModel(file)
    domain = find_domain(model.runtime.metadata, "t").domain
    assert strictest(domain) == "flag"
    with serving(model, guard=strictest(domain)) as url:
        body = httpx.post(f"{url}/coach", json={"room": "kitchen", "temperature": 20, "window open": False}).json()
    assert body["source"] == "model"


def resolve(description: dict[str, Any], value: Any) -> Any:
    """References put in their places, so that a validator needs nothing else."""
    if isinstance(value, list):
        return [resolve(description, item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].removeprefix("#/components/schemas/")
        return resolve(description, description["components"]["schemas"][name])
    return {key: resolve(description, item) for key, item in value.items()}


def test_the_description_holds_for_what_is_sent_and_answered(url: str) -> None:
    description = httpx.get(f"{url}/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    for schema in description["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    post = description["paths"]["/coach"]["post"]
    asked = Draft202012Validator(resolve(description, post["requestBody"]["content"]["application/json"]["schema"]))
    for body in (STATE, ENGLISH, LINE, {"input": LINE}, {"input": STATE}, [LINE, STATE]):
        assert asked.is_valid(body), body
    for body in ({**STATE, "场地类型": "x"}, {"gear": "1挡"}, 5, [], {"input": 5}):
        assert not asked.is_valid(body), body
    bodies = {"200": [STATE, DANGER, [LINE, "x"]], "422": ["x", {}], "400": [[]], "413": [["x"] * 300]}
    for status, sent in bodies.items():
        content = post["responses"][status]["content"]["application/json"]["schema"]
        for body in sent:
            answer = httpx.post(f"{url}/coach", json=body)
            assert str(answer.status_code) == status
            Draft202012Validator(resolve(description, content)).validate(answer.json())
    for path in description["paths"]:
        assert httpx.request("POST" if path == "/coach" else "GET", url + path).status_code != 404


@pytest.mark.parametrize("guard", ["strict", "replace"])
def test_a_guard_that_cannot_be_is_refused_before_anything_is_served(tmp_path: Path, guard: Guard) -> None:
    from drivecoach.domains.text import TEXT
    from drivecoach.errors import RecipeError

    with pytest.raises(RecipeError, match="needs a teacher"):
        Served(open_runtime("rules"), TEXT, guard, LIMITS)
