"""The instruction: its JSON form, what is refused, every fault at once, never a traceback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.domains.driving.words import ACTIONS, LEVELS
from drivecoach.errors import InputError

TEXT = '{"动作": ["保持车速", "观察前方"], "级别": "提示", "话术": "车速合适，稳住往前走"}'


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        DRIVING.read_answer(text)
    assert caught.value.hint
    return {fault.where: fault.found for fault in caught.value.faults}


@given(
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6, unique=True),
    st.sampled_from(LEVELS),
    st.text(min_size=1, max_size=39).filter(lambda text: text.strip() and text.isprintable()),
)
def test_round_trip_gives_the_same_text(actions: list[str], level: str, speech: str) -> None:
    text = json.dumps({"动作": actions, "级别": level, "话术": speech}, ensure_ascii=False)
    assert DRIVING.write_answer(DRIVING.read_answer(text)) == text


def test_keys_may_come_in_any_order_and_leave_in_one() -> None:
    fields = json.loads(TEXT)
    turned = json.dumps(dict(reversed(fields.items())), indent=2)
    assert DRIVING.write_answer(DRIVING.read_answer(turned)) == TEXT


def test_every_fault_is_reported_at_once() -> None:
    text = '{"动作": ["保持车速", "翻跟头", 3], "级别": "注意", "语气": "急"}'
    assert faults_of(text) == {
        "动作[1]": "翻跟头",
        "动作[2]": "3",
        "级别": "注意",
        "话术": "missing",
        "语气": "unknown key",
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (TEXT.replace('["保持车速", "观察前方"]', "[]"), "动作"),
        (TEXT.replace('"观察前方"', '"保持车速"'), "动作"),
        (TEXT.replace('["保持车速", "观察前方"]', '"保持车速"'), "动作"),
        (TEXT.replace('["保持车速", "观察前方"]', json.dumps(ACTIONS[:7])), "动作"),
        (TEXT.replace("车速合适，稳住往前走", ""), "话术"),
        (TEXT.replace("车速合适，稳住往前走", "  "), "话术"),
        (TEXT.replace("车速合适，稳住往前走", "稳" * 40), "话术"),
        (TEXT.replace("车速合适，稳住往前走", r"稳住\n走"), "话术"),
        (TEXT.replace("车速合适，稳住往前走", r"\ud800"), "话术"),
        (TEXT.replace('"提示"', "null"), "级别"),
        (TEXT.replace('"级别"', '"level"'), "级别"),
        (TEXT.replace("{", '{"级别": "危险", ', 1), "级别"),
        ("[]", "Instruction"),
        ("3", "Instruction"),
        ("null", "Instruction"),
    ],
)
def test_each_broken_field_is_named(text: str, where: str) -> None:
    assert where in faults_of(text)


@pytest.mark.parametrize("text", ["", "车速合适", TEXT[:-1], TEXT + "}", "[" * 100_000, "好的：" + TEXT])
def test_what_is_not_one_json_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not JSON"):
        DRIVING.read_answer(text)


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(ACTIONS)
            ),
            lambda inner: st.one_of(
                st.lists(inner), st.dictionaries(st.sampled_from(["动作", "级别", "话术", "x"]), inner)
            ),
        ).map(json.dumps),
    )
)
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(InputError):
        DRIVING.read_answer(text)


@given(st.integers(0, len(TEXT)), st.integers(0, 12), st.text(max_size=4))
def test_no_damage_to_an_answer_breaks_the_reader(start: int, length: int, patch: str) -> None:
    try:
        instruction = DRIVING.read_answer(TEXT[:start] + patch + TEXT[start + length :])
    except InputError:
        return
    assert DRIVING.read_answer(DRIVING.write_answer(instruction)) == instruction


def test_model_is_frozen_closed_and_takes_attribute_names() -> None:
    instruction = Instruction(actions=("保持车速",), level="提示", speech="稳住")
    with pytest.raises(ValidationError):
        instruction.level = "危险"
    with pytest.raises(ValidationError):
        Instruction.model_validate({"动作": ["保持车速"], "级别": "提示", "话术": "稳住", "x": 1})


def test_schema_states_the_closed_sets_and_limits() -> None:
    schema = DRIVING.answer.schema
    assert list(schema["properties"]) == schema["required"] == ["动作", "级别", "话术"]
    actions = schema["properties"]["动作"]
    assert tuple(actions["items"]["enum"]) == ACTIONS
    assert (actions["minItems"], actions["maxItems"], actions["uniqueItems"]) == (1, 6, True)
    assert tuple(schema["properties"]["级别"]["enum"]) == LEVELS
    assert (schema["properties"]["话术"]["minLength"], schema["properties"]["话术"]["maxLength"]) == (1, 39)
    assert schema["additionalProperties"] is False
    assert len(ACTIONS) == 50
