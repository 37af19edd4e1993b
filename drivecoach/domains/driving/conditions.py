"""The terms of the rule table as composable conditions, under the names the table uses.

A condition knows which features it reads, so that an answer can name the features that decided. ``&``, ``|``
and ``~`` are 且, 或 and 非. Section numbers are those of the rule description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivecoach.domains.driving.state import VehicleState, features_of
from drivecoach.domains.driving.words import (
    CRUISE_ITEMS,
    GARAGE_ITEMS,
    GEAR_BANDS,
    JUNCTION_ITEMS,
    STRICT_ITEMS,
    Item,
)
from drivecoach.errors import Fault, RecipeError


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A yes-or-no question about a state."""

    test: Callable[[VehicleState], bool]
    reads: frozenset[str]
    """Chinese names of the features that the test looks at."""
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Feature -> the only values with which it can hold, where that is known."""

    def __and__(self, other: Condition) -> Condition:
        one, two = self.test, other.test
        needs = dict(self.needs)
        for feature, values in other.needs.items():
            needs[feature] = values & needs.get(feature, values)
        return Condition(lambda state: one(state) and two(state), self.reads | other.reads, needs)

    def __or__(self, other: Condition) -> Condition:
        one, two = self.test, other.test
        needs = {key: self.needs[key] | other.needs[key] for key in self.needs.keys() & other.needs.keys()}
        return Condition(lambda state: one(state) or two(state), self.reads | other.reads, needs)

    def __invert__(self) -> Condition:
        one = self.test
        return Condition(lambda state: not one(state), self.reads)


def 是(feature: str, *values: str, of: type[VehicleState] = VehicleState) -> Condition:
    """The feature has one of the values; ``of`` is the state model that has it.

    Raises RecipeError for a feature or a value that the model does not have.
    """
    features = features_of(of)
    known = features.get(feature)
    if known is None:
        faults = [Fault(feature, "no such feature", f"features of {of.__name__}: {', '.join(features)}")]
    else:
        faults = [Fault(feature, value, ", ".join(known.values)) for value in values if value not in known.values]
    if known is None or faults:
        hint = '是("天气", "雨", of=YourState) names a feature of your own model'
        raise RecipeError("a condition on what no car has", faults=faults, hint=hint)
    attribute, wanted = known.attribute, frozenset(values)
    return Condition(lambda state: getattr(state, attribute) in wanted, frozenset({feature}), {feature: wanted})


def 项目(*items: Item) -> Condition:
    """The car is in one of the items."""
    return 是("当前项目", *items)


# Site, vehicle, time
科二, 科三 = 是("场地类型", "科目二"), 是("场地类型", "科目三")
手动, 自动 = 是("车辆类型", "手动挡"), 是("车辆类型", "自动挡")
夜晚 = 是("时间特征", "夜晚")

# Item groups (1.1)
库项目 = 项目(*GARAGE_ITEMS)
路口项目 = 项目(*JUNCTION_ITEMS)
严控项目 = 科三 & 项目(*STRICT_ITEMS)
提速项目 = 科三 & 项目(*CRUISE_ITEMS)
坡道 = 项目("坡道定点停车和起步")
曲线行驶, 直角转弯 = 项目("曲线行驶"), 项目("直角转弯")
上车准备, 起步, 靠边停车 = 项目("上车准备"), 项目("起步"), 项目("靠边停车")
会车, 掉头, 超车, 夜间行驶 = 项目("会车"), 项目("掉头"), 项目("超车"), 项目("夜间行驶")
加减挡位操作 = 项目("加减挡位操作")
非项目区域 = 项目("非项目区域")

# Speed
停, 动 = 是("速度", "静止"), 是("速度", "过慢", "适中", "过快")
过慢, 适中, 过快 = 是("速度", "过慢"), 是("速度", "适中"), 是("速度", "过快")

# Body and engine
打火, 熄火 = 是("发动机", "打火"), 是("发动机", "熄火")
未系, 系上 = 是("安全带", "未系"), 是("安全带", "系上")
车门打开, 车门关闭 = 是("车门", "打开"), 是("车门", "关闭")
手刹拉起, 手刹放下 = 是("手刹", "拉起"), 是("手刹", "放下")

# Pedals
离合踩下, 半联动, 离合未踩 = 是("离合", "踩下"), 是("离合", "半联动"), 是("离合", "未踩")
没有离合 = 是("离合", "无")
刹车踩下, 刹车未踩 = 是("刹车", "踩下"), 是("刹车", "未踩")
油门踩下, 油门未踩 = 是("油门", "踩下"), 是("油门", "未踩")

# Gears (3.1)
空挡, 一挡, 二挡 = 是("挡位", "空挡"), 是("挡位", "1挡"), 是("挡位", "2挡")
二挡到五挡, 三挡及以上 = 是("挡位", "2挡", "3挡", "4挡", "5挡"), 是("挡位", "3挡", "4挡", "5挡")
三挡及以下, 四挡及以上 = 是("挡位", "1挡", "2挡", "3挡"), 是("挡位", "4挡", "5挡")
P挡, N挡, D挡 = 是("挡位", "P挡"), 是("挡位", "N挡"), 是("挡位", "D挡")
前进挡 = 是("挡位", "1挡", "2挡", "3挡", "4挡", "5挡", "D挡")
倒车挡 = 是("挡位", "倒挡", "R挡")
在挡 = 前进挡 | 倒车挡
空位 = 是("挡位", "空挡", "N挡", "P挡")


def _against_band(too: Callable[[int, int, int], bool]) -> Condition:
    """The forward gear against the band of a 科三 item: ``too(gear, lowest, highest)``; 手动挡 only."""
    wrong = frozenset(
        (item, f"{gear}挡")
        for item, (lowest, highest) in GEAR_BANDS.items()
        for gear in range(1, 6)
        if too(gear, lowest, highest)
    )
    return 科三 & Condition(lambda state: (state.item, state.gear) in wrong, frozenset({"当前项目", "挡位"}))


挡低于下限 = _against_band(lambda gear, lowest, highest: gear < lowest)
挡高于上限 = _against_band(lambda gear, lowest, highest: gear > highest)
过慢时挡高 = _against_band(lambda gear, lowest, highest: gear > max(lowest, 2))

宜用三挡 = 项目("直线行驶", "变更车道", "超车") & ~过慢

# Composite terms (3.1)
欲动 = 停 & 打火 & 手刹放下 & 刹车未踩 & ((自动 & 在挡) | (手动 & 在挡 & ~离合踩下))
停放完成 = 靠边停车 & 停 & 熄火 & 手刹拉起 & 是("挡位", "空挡", "P挡")
