"""The invariants: the teacher breaks none in any legal state, and each is seen when it is broken."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.domains.driving import DRIVING, Instruction, VehicleState
from drivecoach.domains.driving.case import Case, flags_of, spoken_operations
from drivecoach.domains.driving.invariants import INVARIANTS
from drivecoach.domains.driving.violations import violations
from drivecoach.domains.driving.words import ACTIONS
from tests.support.driving import ATTRIBUTES, FEATURES, lines

STATES = [DRIVING.read_input(line) for line in lines(300)]
TAUGHT = [DRIVING.teach(state) for state in STATES]

BASE = "科目三 直线行驶 手动挡 3挡 放下 打火 系上 关闭 未踩 未踩 未踩 适中 白天"
AUTOMATIC = "车辆类型:自动挡 挡位:D挡 离合:无"
HILL = "场地类型:科目二 当前项目:坡道定点停车和起步 速度:静止 挡位:1挡 离合:踩下 刹车:踩下"

BROKEN = [  # invariant, what differs from BASE, actions, level, sentence
    ("I02", "", "", "提示", "看前方"),
    ("I02", "", "翻跟头", "提示", "看前方"),
    ("I02", "", "观察前方 观察前方", "提示", "看前方"),
    ("I02", "", " ".join(ACTIONS[-7:]), "提示", "看前方"),
    ("I02", "", "观察前方", "注意", "看前方"),
    ("I03", "", "观察前方", "提示", ""),
    ("I03", "", "观察前方", "提示", "看前方," * 2),
    ("I03", "", "观察前方", "提示", "看" * 40),
    ("I05", "离合:半联动", "踩下离合 松开离合", "提示", "看前方"),
    ("I06", "", "轻踩刹车 轻踩油门", "提示", "看前方"),
    ("I07", "刹车:踩下", "轻踩刹车", "提示", "看前方"),
    ("I07", "", "松开油门", "提示", "看前方"),
    ("I08", "刹车:踩下 油门:踩下", "减速慢行", "危险", "慢点"),
    ("I09", "油门:踩下", "轻踩刹车 松开油门", "提示", "慢点"),
    ("I09", "油门:踩下 离合:踩下", "挂2挡", "提示", "换挡"),
    ("I10", "刹车:踩下 速度:过慢", "轻踩油门 松开刹车", "提示", "走"),
    ("I11", AUTOMATIC, "踩下离合", "提示", "看前方"),
    ("I11", AUTOMATIC, "观察前方", "提示", "注意离合"),
    ("I12", AUTOMATIC, "加一挡", "提示", "换挡"),
    ("I12", "", "挂D挡", "提示", "换挡"),
    ("I12", "", "观察前方", "提示", "用D挡走"),
    ("I13", "", "挂2挡 踩下离合", "提示", "换挡"),
    ("I14", f"{AUTOMATIC} 速度:静止 挡位:P挡 手刹:拉起", "挂D挡", "提示", "换挡"),
    ("I15", "离合:踩下", "挂2挡 加一挡", "提示", "换挡"),
    ("I15", "离合:踩下", "挂3挡", "提示", "换挡"),
    ("I16", "速度:静止", "加一挡", "提示", "换挡"),
    ("I16", "挡位:空挡", "加一挡", "提示", "换挡"),
    ("I16", "挡位:5挡", "加一挡", "提示", "换挡"),
    ("I16", "挡位:1挡", "减一挡", "提示", "换挡"),
    ("I16", "", "踩下离合 加一挡", "提示", "换挡"),
    ("I17", AUTOMATIC, "挂P挡", "提示", "换挡"),
    ("I18", "速度:静止 离合:踩下 刹车:踩下", "挂倒挡", "提示", "换挡"),
    ("I18", "场地类型:科目二 当前项目:倒车入库 离合:踩下 挡位:1挡", "挂倒挡", "提示", "换挡"),
    ("I19", "挡位:倒挡 离合:踩下", "挂1挡 靠边停稳", "危险", "换挡"),
    ("I20", "车门:打开", "踩下刹车 靠边停稳 关好车门", "警告", "停车"),
    ("I20", "车门:打开", "踩下刹车 靠边停稳", "危险", "停车"),
    ("I20", "车门:打开", "关好车门 踩下刹车 靠边停稳", "危险", "停车"),
    ("I21", "安全带:未系", "系上安全带", "危险", "系好"),
    ("I21", "安全带:未系", "靠边停稳 系上安全带", "警告", "系好"),
    ("I22", "发动机:熄火", "踩下离合", "危险", "慢点"),
    ("I22", "发动机:熄火", "靠边停稳", "提示", "停车"),
    ("I23", "", "观察左后方", "提示", "看好再开门"),
    ("I23", "速度:静止 当前项目:靠边停车 发动机:熄火 挡位:空挡", "观察左后方", "提示", "手刹后开车门"),
    ("I23", "", "观察前方", "提示", "解开安全带"),
    ("I24", "", "关闭发动机", "提示", "看前方"),
    ("I25", "", "拉起手刹 靠边停稳", "提示", "停车"),
    ("I26", "挡位:空挡", "踩下离合 挂2挡", "警告", "换挡"),
    ("I26", "手刹:拉起", "放下手刹", "提示", "放下手刹"),
    ("I27", "速度:静止 发动机:熄火 离合:踩下", "打火启动 挂空挡", "警告", "打火"),
    ("I27", "速度:静止 发动机:熄火 挡位:空挡 车门:打开", "打火启动", "警告", "打火"),
    ("I27", "速度:静止 挡位:空挡", "打火启动", "警告", "打火"),
    ("I28", "手刹:拉起 速度:静止", "平稳起步", "提示", "走"),
    ("I28", "速度:过快", "轻踩油门", "提示", "走"),
    ("I28", "安全带:未系", "平稳加速", "提示", "走"),
    ("I29", "速度:静止 车门:打开 刹车:踩下", "松开刹车", "警告", "关门"),
    ("I29", "速度:静止 安全带:未系 手刹:拉起", "放下手刹", "警告", "系好"),
    ("I30", "速度:静止", "踩下刹车", "警告", "停住"),
    ("I31", "速度:静止 手刹:拉起 离合:踩下", "放下手刹", "提示", "放手刹"),
    ("I32", "速度:静止 离合:踩下", "观察前方", "提示", "看前方"),
    ("I33", "", "关好车门", "提示", "看前方"),
    ("I33", "", "系上安全带", "提示", "看前方"),
    ("I33", "", "放下手刹", "提示", "看前方"),
    ("I33", "手刹:拉起", "靠边停稳 拉起手刹", "危险", "停车"),
    ("I34", "速度:静止 手刹:拉起 离合:踩下", "观察前方", "危险", "看前方"),
    ("I34", "车门:打开", "保持车速", "危险", "看前方"),
    ("I35", "", "观察前方", "危险", "看前方"),
    ("I36", "速度:过快", "观察前方", "警告", "看前方"),
    ("I36", "速度:过快", "轻踩刹车 保持车速", "警告", "看前方"),
    ("I37", "当前项目:会车 速度:过慢 挡位:2挡", "轻踩油门", "提示", "走"),
    ("I38", "速度:静止 离合:踩下 刹车:踩下", "减速慢行", "提示", "慢点"),
    ("I39", "场地类型:科目二 当前项目:曲线行驶 挡位:1挡", "平稳停车", "警告", "停住"),
    ("I40", "当前项目:上车准备 速度:静止 挡位:空挡 发动机:熄火", "打火启动", "提示", "打火"),
    ("I40", "当前项目:靠边停车 速度:静止 离合:踩下 刹车:踩下", "松开刹车 平稳起步", "提示", "走"),
    ("I41", HILL, "观察前方", "警告", "看前方"),
    ("I42", "", "平稳停车", "提示", "停车"),
    ("I42", "场地类型:科目二 当前项目:直角转弯 挡位:1挡", "靠边停稳", "提示", "停车"),
    ("I42", "", "打左转向灯 关闭转向灯", "提示", "看前方"),
    ("I43", "速度:静止 当前项目:靠边停车 挡位:空挡 刹车:踩下", "关闭发动机 拉起手刹", "提示", "熄火"),
    ("I44", "", "使用近光灯", "提示", "看前方"),
    ("I44", "时间特征:夜晚", "使用近光灯", "警告", "看前方"),
    ("I44", "时间特征:夜晚", "使用近光灯 交替远近光", "提示", "看前方"),
    ("I45", "时间特征:夜晚", "观察前方", "提示", "看前方"),
    ("I45", "时间特征:夜晚 当前项目:会车", "交替远近光", "提示", "看前方"),
    ("I45", "时间特征:夜晚 当前项目:超车", "使用近光灯", "提示", "看前方"),
    ("I45", "时间特征:夜晚 当前项目:靠边停车 挡位:2挡", "改用示廓灯", "提示", "看前方"),
    ("I48", "", "观察前方", "提示", "踩住刹车"),
    ("I48", "", "观察前方", "提示", "离合踩到底"),
    ("I48", "", "观察前方", "提示", "轻给点油"),
    ("I48", "油门:踩下", "观察前方", "提示", "松油门"),
    ("I48", "", "观察前方", "提示", "拉好手刹"),
    ("I48", "手刹:拉起", "靠边停稳", "警告", "放下手刹"),
    ("I48", "离合:踩下", "观察前方", "提示", "慢抬离合"),
]


def changed(changes: str) -> VehicleState:
    values = dict(zip(FEATURES, BASE.split(), strict=True))
    values.update(change.split(":") for change in changes.split())
    return VehicleState.model_validate(values)


@pytest.mark.parametrize(("id", "changes", "actions", "level", "speech"), BROKEN)
def test_a_broken_invariant_is_seen(id: str, changes: str, actions: str, level: str, speech: str) -> None:
    # built without validation: some of these a checked Instruction would not even hold
    instruction = Instruction.model_construct(actions=tuple(actions.split()), level=level, speech=speech)
    assert id in [violation.id for violation in DRIVING.violations(changed(changes), instruction)]


def test_every_invariant_of_one_instruction_is_checked_and_can_break() -> None:
    expected = [f"I{n:02}" for n in range(2, 46) if n != 4] + ["I48"]
    assert list(INVARIANTS) == expected
    assert sorted({case[0] for case in BROKEN}) == expected


def test_the_teacher_breaks_no_invariant_in_any_state(judged: list) -> None:
    broken = Counter(
        violation for entry in judged for violation in DRIVING.violations(entry.state, entry.advice.instruction)
    )
    assert not broken


@pytest.mark.parametrize(
    ("speech", "features"),
    [
        ("踩着离合别轰油，松油门", {"accelerator"}),
        ("手刹没放别给油，松油放手刹", {"accelerator", "handbrake"}),
        ("离合没踩要熄火，离合刹车都踩住", {"clutch", "brake"}),
        ("松点刹车往前带", {"brake"}),
        ("手刹还拉着，放下手刹", {"handbrake"}),
        ("油门刹车别一起踩，松油门！", {"accelerator"}),
        ("看清信号左右", set()),
    ],
)
def test_what_a_sentence_asks_for(speech: str, features: set[str]) -> None:
    assert {feature for feature, _, _ in spoken_operations(speech)} == features
    assert features <= set(ATTRIBUTES.values())


def test_violations_read_as_a_sentence() -> None:
    state, instruction = changed(""), Instruction(actions=("关好车门",), level="提示", speech="关好门")
    assert [str(v) for v in DRIVING.violations(state, instruction)] == ["I33: door, belt or handbrake is so already"]


@given(st.data())
def test_what_an_instruction_decides_alone_is_decided_as_by_every_check(data: st.DataObject) -> None:
    state = data.draw(st.sampled_from(STATES))
    actions = data.draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4, unique=True))
    taught = data.draw(st.sampled_from(TAUGHT))
    said = Instruction(actions=tuple(actions), level=data.draw(st.sampled_from(DRIVING.levels)), speech=taught.speech)
    for instruction in (said, taught):
        case = Case(state, instruction, flags_of(state))
        assert violations(state, instruction) == [text for text, broken in INVARIANTS.values() if broken(case)]
