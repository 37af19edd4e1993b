"""The feature line: canonical out, tolerant in, every fault at once, never a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.domains.driving import DRIVING, VehicleState
from drivecoach.domains.driving.line import MAX_LINE
from drivecoach.domains.driving.words import CLUTCHES, GEARS, items_of
from drivecoach.errors import InputError
from tests.support.driving import ATTRIBUTES, FEATURES

LINE = (
    "<特征>场地类型:科目二; 当前项目:非项目区域; 车辆类型:手动挡; 挡位:1挡; 手刹:放下; 发动机:打火; "
    "安全带:系上; 车门:关闭; 离合:未踩; 刹车:未踩; 油门:未踩; 速度:适中; 时间特征:夜晚</特征>"
)
WIDE = str.maketrans(
    {c: chr(ord(c) + 0xFEE0) for c in ":;<>/,0123456789PRND"},
)


@st.composite
def states(draw: st.DrawFn) -> VehicleState:
    """Any legal state."""
    site = draw(st.sampled_from(FEATURES["场地类型"]))
    vehicle = draw(st.sampled_from(FEATURES["车辆类型"]))
    special = {
        "场地类型": (site,),
        "车辆类型": (vehicle,),
        "当前项目": items_of(site, vehicle),
        "挡位": GEARS[vehicle],
        "离合": CLUTCHES[vehicle],
    }
    return VehicleState.model_validate(
        {name: draw(st.sampled_from(special.get(name, values))) for name, values in FEATURES.items()}
    )


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        DRIVING.read_input(text)
    assert caught.value.hint
    return {fault.where: fault.found for fault in caught.value.faults}


@given(states())
def test_round_trip_gives_the_same_text(state: VehicleState) -> None:
    line = DRIVING.write_input(state)
    assert DRIVING.read_input(line) == state
    assert DRIVING.write_input(DRIVING.read_input(line)) == line
    if state.vehicle == "自动挡":
        assert DRIVING.read_input(line.replace("离合:无", "离合:未踩")) == state


@given(states(), st.data())
def test_a_line_in_canonical_form_is_read_as_one_in_any_other(state: VehicleState, data: st.DataObject) -> None:
    """The canonical form has a reader of its own; a blank more, and the other one reads it."""
    name = data.draw(st.sampled_from(list(FEATURES)))
    value = data.draw(st.sampled_from(FEATURES[name]))
    line = DRIVING.write_input(state).replace(f"{name}:{getattr(state, ATTRIBUTES[name])}", f"{name}:{value}")
    try:
        usual = DRIVING.read_input(line.replace(";", " ;"))
    except InputError as error:
        with pytest.raises(InputError) as caught:
            DRIVING.read_input(line)
        assert (caught.value.faults, caught.value.hint) == (error.faults, error.hint)
        return
    read = DRIVING.read_input(line)
    assert read == usual and hash(read) == hash(usual) and repr(read) == repr(usual)
    assert read.model_dump_json() == usual.model_dump_json() and read.model_fields_set == usual.model_fields_set


@given(states(), st.data())
def test_any_order_spacing_and_width_is_read(state: VehicleState, data: st.DataObject) -> None:
    pairs = data.draw(
        st.permutations([f"{name}:{getattr(state, attr)}" for name, attr in ATTRIBUTES.items()])
    )
    separator = data.draw(st.sampled_from(["; ", ";", "；", "，", ",", " 、 ", " ;\n"]))
    opening, closing = data.draw(
        st.sampled_from([("<特征>", "</特征>"), ("＜特征＞", "＜／特征＞"), ("", "")])
    )
    text = opening + separator.join(pairs) + data.draw(st.sampled_from(["", separator])) + closing
    if data.draw(st.booleans()):
        text = text.translate(WIDE)
    gaps = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    for gap in sorted(gaps, reverse=True):
        text = text[:gap] + data.draw(st.sampled_from([" ", "\t", "\n", "\u3000", "\ufeff"])) + text[gap:]
    assert DRIVING.read_input(text) == state


@given(states(), st.data())
def test_every_missing_repeated_and_wrong_feature_is_reported(
    state: VehicleState, data: st.DataObject
) -> None:
    names = data.draw(st.permutations(list(FEATURES)))
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, 13)] * 3)))
    missing, repeated, wrong = names[: cuts[0]], names[cuts[0] : cuts[1]], names[cuts[1] : cuts[2]]
    pairs = []
    for name, attribute in ATTRIBUTES.items():
        pair = f"{name}:{getattr(state, attribute)}"
        if name in repeated:
            pairs += [pair, pair]
        elif name in wrong:
            pairs.append(f"{name}:乱写")
        elif name not in missing:
            pairs.append(pair)
    text = f"<特征>{'; '.join(pairs)}</特征>"
    if not missing + repeated + wrong:
        assert DRIVING.read_input(text) == state
        return
    faults = faults_of(text)
    if len(missing) == len(names):
        assert faults == {"VehicleState": text}
        return
    assert set(faults) == {*missing, *repeated, *wrong}
    assert all(faults[name] == "missing" for name in missing)
    assert all(faults[name].startswith("given twice") for name in repeated)
    assert all(faults[name] == "乱写" for name in wrong)


def test_wrong_values_and_impossible_combinations_are_reported_together() -> None:
    text = LINE.replace("手动挡", "自动挡").replace("速度:适中", "速度:飞快").replace("; 刹车:未踩", "")
    assert faults_of(text) == {"刹车": "missing", "速度": "飞快", "挡位": "1挡"}
    with pytest.raises(InputError) as caught:
        DRIVING.read_input(text)
    allowed = {fault.where: fault.allowed for fault in caught.value.faults}
    assert allowed["挡位"] == "自动挡: P挡, R挡, N挡, D挡"
    assert allowed["速度"] == "静止, 过慢, 适中, 过快"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "你好",
        "<特征>",
        "</特征>" + LINE,
        LINE + LINE,
        LINE.removesuffix("</特征>"),
        LINE.removeprefix("<特征>"),
        "状态：" + LINE,
        LINE.replace("<特征>", "<特征><特征>"),
        LINE.replace("挡位:1挡", "挡位1挡"),
        LINE.replace("挡位", "档位"),
        LINE.replace("; 速度", "; 转速:800; 速度"),
        LINE.replace("1挡", ""),
        LINE.replace("</特征>", "; 时间特征:夜晚</特征>"),
        LINE.replace("手动挡", "自动挡").replace("1挡", "D挡").replace("离合:未踩", "离合:踩下"),
    ],
)
def test_what_is_not_a_clear_line_is_refused(text: str) -> None:
    assert faults_of(text)


def test_long_text_is_refused_in_one_fault_and_foreign_text_is_shown_short_and_clean() -> None:
    assert faults_of("x;" * MAX_LINE) == {"line": f"{2 * MAX_LINE} characters"}
    faults = faults_of(LINE.replace("适中", "\x1b[31m" + "红" * 200))
    assert "\x1b" not in faults["速度"]
    assert len(faults["速度"]) <= 60


@given(st.one_of(st.text(), st.text(alphabet="<特征>/场地类型:;科目二三挡位1，： \n\x00\ud800")))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(InputError):
        DRIVING.read_input(text)


@given(st.integers(0, len(LINE)), st.integers(0, 12), st.text(max_size=4))
def test_no_damage_to_a_line_breaks_the_reader(start: int, length: int, patch: str) -> None:
    try:
        state = DRIVING.read_input(LINE[:start] + patch + LINE[start + length :])
    except InputError as error:
        assert error.faults or "not JSON" in error.message
    else:
        assert DRIVING.read_input(DRIVING.write_input(state)) == state
