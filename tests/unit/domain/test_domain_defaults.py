"""The defaults that a domain derives from two models: texts, faults, scores, vocabulary, the walk over all inputs."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from drivecoach.domain import Domain, SchemaForm, Tolerance
from drivecoach.errors import InputError, RecipeError
from tests.support.thermostat import THERMOSTAT, Action, Command, Reading

TEXT = Domain("text", str, str)
LINE = "room:living room; temperature:18; window open:false"

readings = st.builds(
    Reading,
    room=st.sampled_from(["kitchen", "living room"]),
    temperature=st.integers(15, 24),
    window_open=st.booleans(),
    boost=st.sampled_from([None, 1, 2]),
)
commands = st.builds(
    Command,
    action=st.sampled_from(list(Action)),
    level=st.floats(0, 10),
    steps=st.lists(st.sampled_from(["open valve", "close valve"]), max_size=2),
    note=st.none() | st.text(max_size=20).filter(lambda text: not re.search("[\ud800-\udfff]", text)),
)


class Address(BaseModel):
    street: str
    floor: int | None = None


class Item(BaseModel):
    name: Literal["tea", "coffee"]
    extras: list[str] = []


class Order(BaseModel):
    items: list[Item]
    deliver_to: Address | None = None
    on: date | None = None


ORDER = Domain("order", str, Order)


def faults_of(read: Any, text: str) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        read(text)
    assert caught.value.hint
    return {fault.where: fault.found for fault in caught.value.faults}


@given(readings)
def test_an_input_has_one_text_and_comes_back_from_it(value: Reading) -> None:
    text = THERMOSTAT.write_input(value)
    assert THERMOSTAT.read_input(text) == value
    assert THERMOSTAT.write_input(THERMOSTAT.read_input(text)) == text
    assert THERMOSTAT.read_input(value.model_dump_json(by_alias=True)) == value
    record = {name: str(part) for name, part in value.model_dump(exclude_none=True).items()}
    assert THERMOSTAT.read_input(THERMOSTAT.record_text(record)) == value


@given(commands)
def test_an_answer_has_one_text_and_comes_back_from_it(answer: Command) -> None:
    text = THERMOSTAT.write_answer(answer)
    assert THERMOSTAT.read_answer(text) == answer
    turned = json.dumps(dict(reversed(json.loads(text).items())), indent=1)
    assert THERMOSTAT.write_answer(THERMOSTAT.read_answer(turned)) == text
    assert ("note" in json.loads(text)) == (answer.note is not None)


def test_lines_are_read_with_tolerance_and_written_in_one_way() -> None:
    given = "  window open ：false；temperature: 18 ;room:living room;\n"
    assert THERMOSTAT.write_input(THERMOSTAT.read_input(given)) == LINE
    assert THERMOSTAT.read_input("room:kitchen; temperature:１８; window open:no").window_open is False


def test_every_fault_of_an_input_is_named_at_once() -> None:
    text = "room:cellar; temperature:99; window open:maybe; colour:red"
    assert faults_of(THERMOSTAT.read_input, text) == {
        "room": "cellar",
        "temperature": "99",
        "window open": "maybe",
        "colour": "unknown key",
    }
    assert faults_of(THERMOSTAT.read_input, "room:kitchen; room:kitchen; temperature:18; window open:no") == {
        "room": "given twice: kitchen, kitchen"
    }
    assert faults_of(THERMOSTAT.read_input, "room:kitchen") == {"temperature": "missing", "window open": "missing"}


@pytest.mark.parametrize("text", ["<特征>挡位:1挡; 手刹:放下</特征>", "你好", "", '{"gear": 1}', "[1]", "a:b; c:d"])
def test_an_input_of_another_domain_is_one_fault(text: str) -> None:
    assert list(faults_of(THERMOSTAT.read_input, text)) == ["Reading"]


def test_every_fault_of_an_answer_is_named_at_once() -> None:
    text = '{"action": "cool", "level": "3", "steps": ["open valve", "jump"], "nota": "x"}'
    assert faults_of(THERMOSTAT.read_answer, text) == {
        "action": "cool",
        "level": "3",
        "steps[1]": "jump",
        "nota": "unknown key",
    }
    nested = '{"items": [{"name": "tea", "size": 3}, {"name": "beer"}], "deliver_to": {}}'
    assert faults_of(ORDER.read_answer, nested) == {
        "items[0].size": "unknown key",
        "items[1].name": "beer",
        "deliver_to.street": "missing",
    }


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_breaks_a_reader(text: str) -> None:
    for read in (THERMOSTAT.read_input, THERMOSTAT.read_answer, ORDER.read_answer):
        with pytest.raises(InputError):
            read(text)


@given(st.integers(0, 60), st.integers(0, 12), st.text(max_size=4))
def test_no_damage_breaks_a_reader(start: int, length: int, patch: str) -> None:
    answer = THERMOSTAT.write_answer(Command(action=Action.HEAT, level=2.5, steps=["open valve"], note="x"))
    for domain_read, write, text in (
        (THERMOSTAT.read_input, THERMOSTAT.write_input, LINE),
        (THERMOSTAT.read_answer, THERMOSTAT.write_answer, answer),
    ):
        try:
            value = domain_read(text[:start] + patch + text[start + length :])
        except InputError:
            continue
        assert domain_read(write(value)) == value  # type: ignore[operator]


def test_text_is_canonical_and_never_empty() -> None:
    assert TEXT.read_input("  e\u0301 ") == "é"
    for read in (TEXT.read_input, TEXT.read_answer):
        with pytest.raises(InputError):
            read(" \n")
    assert TEXT.compare("a", "b") == {"answer": False}
    assert TEXT.schemas() == {}


def test_answers_are_compared_field_by_field_within_the_tolerance() -> None:
    expected = Command(action=Action.OFF, level=4, steps=["open valve"])
    near = expected.model_copy(update={"level": 4.5})
    assert all(THERMOSTAT.compare(expected, near).values())
    far = expected.model_copy(update={"level": 4.6, "action": Action.HEAT})
    assert THERMOSTAT.compare(expected, far) == {
        "answer": False,
        "action": False,
        "level": False,
        "steps": True,
        "note": True,
    }
    assert not any(THERMOSTAT.compare(expected, None).values())
    order = Order(items=[Item(name="tea")], deliver_to=Address(street="A 1"))
    moved = order.model_copy(update={"deliver_to": Address(street="B 2")})
    parts = ORDER.compare(order, moved)
    assert (parts["answer"], parts["items"], parts["deliver_to.street"], parts["on"]) == (False, True, False, True)


def test_a_domain_says_which_side_is_the_dangerous_one() -> None:
    off = Command(action=Action.OFF, level=0, steps=[])
    heat = off.model_copy(update={"action": Action.HEAT})
    assert THERMOSTAT.is_below(heat, off) and not THERMOSTAT.is_below(off, heat)
    assert not THERMOSTAT.is_below(heat, heat)
    assert not TEXT.is_below("a", "b"), "free text has no levels"


def test_levels_that_a_domain_does_not_keep_are_named() -> None:
    class Half(Domain[str, str]):
        levels = ("low", "high")

    class Odd(Half):
        def level(self, answer: str) -> str:
            return answer

    with pytest.raises(RecipeError, match="does not say which one") as caught:
        Half("half", str, str).is_below("a", "b")
    assert "low, high" in caught.value.hint
    with pytest.raises(RecipeError, match="'middle'"):
        Odd("odd", str, str).is_below("low", "middle")


def test_all_inputs_are_walked_where_they_can_be_counted() -> None:
    assert not THERMOSTAT.is_finite  # the temperature is a number

    class Switches(BaseModel):
        one: Literal["a", "b"]
        two: bool
        three: Literal[1, 2] | None = None

        @model_validator(mode="after")
        def _possible(self) -> Switches:
            if self.one == "a" and self.two:
                raise ValueError("a is never on")
            return self

    class Taught(Domain[Switches, str]):
        def teach(self, value: Switches) -> str:
            return value.one

    switches = Taught("switches", Switches, str)
    walked = list(switches.inputs())
    assert len(walked) == 9
    assert len({switches.write_input(value) for value in walked}) == 9
    assert [len(switches.uniform(count, set())) for count in (4, 99)] == [4, 9]
    drawn = [pair.input for pair in switches.draw(5, seed=1)]
    assert drawn == [pair.input for pair in switches.draw(9, seed=1)][:5]
    with pytest.raises(ValueError, match="from 1 to 9"):
        switches.draw(10, seed=1)
    with pytest.raises(RecipeError, match="cannot draw"):
        ORDER.draw(1, seed=1)


def test_pieces_cover_the_fixed_parts_of_every_text() -> None:
    pieces = THERMOSTAT.vocabulary()
    assert len(set(pieces)) == len(pieces)
    cut = re.compile("|".join(map(re.escape, sorted(pieces, key=len, reverse=True))))
    answer = THERMOSTAT.write_answer(Command(action=Action.HEAT, level=4, steps=["open valve", "close valve"]))
    assert cut.sub("", answer) == "4.0"
    assert cut.sub("", LINE) == "18"
    order = ORDER.write_answer(Order(items=[Item(name="tea", extras=["x", "y"]), Item(name="coffee")]))
    assert cut_of(ORDER).sub("", order) == "xy"


def cut_of(domain: Domain[Any, Any]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(domain.vocabulary(), key=len, reverse=True))))


def test_labels_count_inputs_and_answers() -> None:
    reading = THERMOSTAT.read_input(LINE)
    labels = THERMOSTAT.describe(reading, THERMOSTAT.teach(reading))
    assert labels["room"] == "living room"
    assert (labels["action"], labels["steps"], labels["boost"]) == ("heat", "1 items", "none")


class Recursive(BaseModel):
    inner: Optional[Recursive] = None  # noqa: UP045


class FloatKeys(BaseModel):
    by_level: dict[float, int]


class Anything(BaseModel):
    extra: dict[str, Any]
    union: int | str
    several: set[int]


class Foreign(BaseModel):
    call: complex

    model_config = {"arbitrary_types_allowed": True}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Recursive, {"inner"}),
        (FloatKeys, {"by_level"}),
        (Anything, {"extra", "union", "several"}),
        (int, set()),
    ],
)
def test_a_model_without_one_canonical_text_is_refused_by_field(model: Any, fields: set[str]) -> None:
    for make in (lambda: Domain("x", model, str), lambda: Domain("x", str, model)):
        with pytest.raises(RecipeError) as caught:
            make()
        assert {fault.where for fault in caught.value.faults} == fields
        assert caught.value.hint


def test_a_domain_needs_a_name_that_is_safe_everywhere() -> None:
    for name in ("", "../x", "a b", "x" * 65):
        with pytest.raises(RecipeError, match="no name"):
            Domain(name, str, str)


def test_a_schema_alone_checks_and_orders() -> None:
    schema = Command.model_json_schema()
    domain = Domain("stored", SchemaForm(Reading.model_json_schema(), "input"), SchemaForm(schema, "answer"))
    assert domain.write_input(domain.read_input("temperature:18; room:kitchen; window open:是")) == (
        "room:kitchen; temperature:18; window open:true"
    )
    answer = {"steps": [], "level": 1.5, "action": "off"}
    assert domain.write_answer(domain.read_answer(json.dumps(answer))) == '{"action": "off", "level": 1.5, "steps": []}'
    assert domain.compare(answer, {**answer, "level": 2.0})["answer"]
    assert faults_of(domain.read_answer, '{"action": "cool", "steps": []}') == {"action": "cool", "level": "missing"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    ],
)
def test_a_schema_that_is_none_or_points_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        SchemaForm(schema, "answer")
    assert caught.value.faults


def test_tolerance_is_written_into_the_schema() -> None:
    class Level(BaseModel):
        level: Annotated[float, Tolerance(0.25)]

    assert Domain("level", str, Level).answer.schema["properties"]["level"]["x-tolerance"] == 0.25  # type: ignore[index,call-overload]


def test_a_text_is_spoken_as_it_is_and_of_other_answers_a_subclass_says_what() -> None:
    assert TEXT.speaks and TEXT.spoken("go on") == "go on"
    assert not THERMOSTAT.speaks


def test_an_input_that_came_in_any_form_is_one_text() -> None:
    reading = Reading(room="kitchen", temperature=18, window_open=True)
    forms = (reading, LINE, reading.model_dump(), reading.model_dump(by_alias=True))
    texts = [THERMOSTAT.text_of(given) for given in forms]
    assert texts[1] == LINE
    assert [THERMOSTAT.read_input(text) for text in (texts[0], *texts[2:])] == [reading] * 3
    with pytest.raises(InputError):
        THERMOSTAT.read_input(THERMOSTAT.text_of(3))  # type: ignore[arg-type]
