"""The words of the domain: closed value lists, items, groups, actions, levels, gear bands.

Every list has its one place here. Values and values follow section 1 of the rule description, the fifty
action phrases its section 3.2, the gear bands the table in 1.3 (手动挡, forward gears right at 速度:适中).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

Site = Literal["科目二", "科目三"]
Item = Literal[
    # 科目二
    "倒车入库",
    "侧方停车",
    "坡道定点停车和起步",
    "曲线行驶",
    "直角转弯",
    # 科目三
    "上车准备",
    "起步",
    "直线行驶",
    "加减挡位操作",
    "变更车道",
    "靠边停车",
    "直行通过路口",
    "路口左转弯",
    "路口右转弯",
    "通过人行横道线",
    "通过学校区域",
    "通过公共汽车站",
    "会车",
    "超车",
    "掉头",
    "夜间行驶",
    # both: between two items
    "非项目区域",
]
Vehicle = Literal["手动挡", "自动挡"]
Gear = Literal["空挡", "1挡", "2挡", "3挡", "4挡", "5挡", "倒挡", "P挡", "R挡", "N挡", "D挡"]
Handbrake = Literal["放下", "拉起"]
Engine = Literal["打火", "熄火"]
Seatbelt = Literal["系上", "未系"]
Door = Literal["关闭", "打开"]
Clutch = Literal["未踩", "半联动", "踩下", "无"]
Pedal = Literal["未踩", "踩下"]
Speed = Literal["静止", "过慢", "适中", "过快"]
Time = Literal["白天", "夜晚"]
Level = Literal["提示", "警告", "危险"]
Action = Literal[
    # pedals
    "踩下离合",
    "慢抬离合",
    "松开离合",
    "稳住离合",
    "踩下刹车",
    "轻踩刹车",
    "松开刹车",
    "轻踩油门",
    "松开油门",
    # gears, 手动挡
    "挂空挡",
    "挂1挡",
    "挂2挡",
    "挂3挡",
    "挂倒挡",
    "加一挡",
    "减一挡",
    # gears, 自动挡
    "挂P挡",
    "挂R挡",
    "挂D挡",
    # handbrake and engine
    "拉起手刹",
    "放下手刹",
    "打火启动",
    "关闭发动机",
    # body
    "系上安全带",
    "关好车门",
    "调整座椅后视镜",
    # motion
    "平稳停车",
    "靠边停稳",
    "减速慢行",
    "平稳起步",
    "平稳加速",
    "保持车速",
    "稳住方向",
    "靠右行驶",
    "保持安全距离",
    # signals
    "打左转向灯",
    "打右转向灯",
    "打转向灯",
    "关闭转向灯",
    # lights
    "使用近光灯",
    "交替远近光",
    "改用示廓灯",
    # look and yield
    "观察前方",
    "观察左右",
    "观察左后方",
    "观察右后方",
    "观察后视镜",
    "观察边线",
    "礼让行人",
    "听口令",
]


LEVELS: Final[tuple[Level, ...]] = get_args(Level)
"""The severities, mildest first."""

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
"""The closed set of action phrases."""

ITEMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "科目二": ("倒车入库", "侧方停车", "坡道定点停车和起步", "曲线行驶", "直角转弯", "非项目区域"),
        "科目三": (
            "上车准备",
            "起步",
            "直线行驶",
            "加减挡位操作",
            "变更车道",
            "靠边停车",
            "直行通过路口",
            "路口左转弯",
            "路口右转弯",
            "通过人行横道线",
            "通过学校区域",
            "通过公共汽车站",
            "会车",
            "超车",
            "掉头",
            "夜间行驶",
            "非项目区域",
        ),
    }
)
"""The items of each site."""

MANUAL_ONLY_ITEMS: Final = ("坡道定点停车和起步",)
"""Items that the test of an automatic does not have (since 2021-06-01)."""

GEARS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "手动挡": ("空挡", "1挡", "2挡", "3挡", "4挡", "5挡", "倒挡"),
        "自动挡": ("P挡", "R挡", "N挡", "D挡"),
    }
)
"""The lever positions of each vehicle."""

CLUTCHES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"手动挡": ("未踩", "半联动", "踩下"), "自动挡": ("无",)}
)
"""The clutch positions of each vehicle; an automatic has no clutch."""

GARAGE_ITEMS: Final = ("倒车入库", "侧方停车")
"""库项目."""

JUNCTION_ITEMS: Final = ("直行通过路口", "路口左转弯", "路口右转弯")
"""The three 路口 items."""

STRICT_ITEMS: Final = (*JUNCTION_ITEMS, "通过人行横道线", "通过学校区域", "通过公共汽车站", "会车", "掉头")
"""严控项目: slowing down is required."""

CRUISE_ITEMS: Final = ("直线行驶", "加减挡位操作", "变更车道", "超车", "夜间行驶", "非项目区域")
"""提速项目, all in 科目三: too slow is a fault."""

GEAR_BANDS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "起步": (1, 2),
        "直线行驶": (3, 5),
        "加减挡位操作": (2, 5),
        "变更车道": (3, 5),
        "超车": (3, 5),
        "靠边停车": (1, 3),
        "直行通过路口": (2, 3),
        "路口左转弯": (2, 3),
        "路口右转弯": (2, 3),
        "通过人行横道线": (2, 3),
        "通过学校区域": (2, 3),
        "通过公共汽车站": (2, 3),
        "会车": (2, 4),
        "掉头": (1, 2),
        "夜间行驶": (2, 4),
        "非项目区域": (2, 5),
    }
)
"""Lowest and highest forward gear at 速度:适中 for each 科目三 item (手动挡)."""


def items_of(site: str, vehicle: str) -> tuple[str, ...]:
    """The items a vehicle can be in on a site."""
    return tuple(item for item in ITEMS[site] if vehicle == "手动挡" or item not in MANUAL_ONLY_ITEMS)
