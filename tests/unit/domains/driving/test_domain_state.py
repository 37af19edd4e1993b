"""The state: closed lists, both names, impossible combinations, the count of legal states."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from drivecoach.domains.driving import DRIVING, VehicleState
from tests.support.driving import ATTRIBUTES, FEATURES

EXAMPLE = {
    "场地类型": "科目二",
    "当前项目": "非项目区域",
    "车辆类型": "手动挡",
    "挡位": "1挡",
    "手刹": "放下",
    "发动机": "打火",
    "安全带": "系上",
    "车门": "关闭",
    "离合": "未踩",
    "刹车": "未踩",
    "油门": "未踩",
    "速度": "适中",
    "时间特征": "夜晚",
}


def test_chinese_and_english_names_give_the_same_state() -> None:
    by_attribute = {ATTRIBUTES[name]: value for name, value in EXAMPLE.items()}
    state = VehicleState.model_validate(EXAMPLE)
    assert state == VehicleState.model_validate(by_attribute)
    assert state.model_dump(by_alias=True) == EXAMPLE
    assert list(state.model_dump(by_alias=True)) == list(EXAMPLE)
    assert state.model_dump() == by_attribute


def test_schema_lists_the_values_of_every_feature() -> None:
    properties = VehicleState.model_json_schema(by_alias=True)["properties"]
    assert {name: tuple(entry["enum"]) for name, entry in properties.items()} == dict(FEATURES)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"离合": "无"}, ["离合"]),
        ({"挡位": "D挡"}, ["挡位"]),
        ({"车辆类型": "自动挡"}, ["挡位", "离合"]),
        ({"当前项目": "掉头"}, ["当前项目"]),
        (
            {"场地类型": "科目三", "当前项目": "直角转弯", "挡位": "P挡", "离合": "无"},
            ["当前项目", "挡位", "离合"],
        ),
        ({"车辆类型": "自动挡", "挡位": "D挡", "离合": "无", "当前项目": "坡道定点停车和起步"}, ["当前项目"]),
    ],
)
def test_impossible_combinations_are_refused_all_at_once(change: dict[str, str], named: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        VehicleState.model_validate({**EXAMPLE, **change})
    message = str(caught.value)
    combined = {**EXAMPLE, **change}
    for name in named:
        assert f"{name}: {combined[name]} (allowed: " in message


def test_state_is_frozen_and_takes_no_other_key() -> None:
    state = VehicleState.model_validate(EXAMPLE)
    with pytest.raises(ValidationError):
        state.gear = "2挡"
    with pytest.raises(ValidationError):
        VehicleState.model_validate({**EXAMPLE, "转速": "800"})


def test_legal_states_are_the_292352_of_the_description_and_pass_validation() -> None:
    seen = set()
    for number, state in enumerate(DRIVING.inputs()):
        values = tuple(state.__dict__.values())
        seen.add(values)
        if number % 97 == 0:
            assert VehicleState.model_validate(state.model_dump()) == state
    assert len(seen) == 292_352 == number + 1
