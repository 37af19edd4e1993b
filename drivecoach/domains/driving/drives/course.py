"""The courses of the exam, and what the sensors say of a car on one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from types import MappingProxyType
from typing import Any, Final, cast

from drivecoach.domains.driving.drives.car import BITES, DOWN, PRESSED, Car
from drivecoach.domains.driving.state import VehicleState
from drivecoach.domains.driving.words import Item, Site, Time

STANDS = 0.3
"""km/h below which the car counts as standing."""

# The guide for the label of the speed in section 1.3 of the rule description: what is 适中, in km/h.
_GROUND = (2.0, 8.0)
_BANDS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "上车准备": (2, 8),
        "起步": (5, 20),
        "直线行驶": (30, 60),
        "加减挡位操作": (15, 50),
        "变更车道": (30, 50),
        "超车": (35, 60),
        "靠边停车": (5, 20),
        "直行通过路口": (10, 30),
        "路口左转弯": (10, 30),
        "路口右转弯": (10, 30),
        "通过人行横道线": (10, 30),
        "通过学校区域": (10, 30),
        "通过公共汽车站": (10, 30),
        "会车": (20, 40),
        "掉头": (5, 15),
        "夜间行驶": (20, 40),
        "非项目区域": (20, 50),
    }
)


@dataclass(frozen=True)
class Leg:
    """A stretch of a course: the item that is driven there, and how long it is."""

    item: Item
    meters: float = inf
    slope: float = 0.0
    time: Time = "白天"


@dataclass(frozen=True)
class Course:
    """Legs in their order; 上车准备 as the first ends when the engine runs, every other one after its metres."""

    name: str
    site: Site
    legs: tuple[Leg, ...]

    def leg(self, car: Car) -> Leg:
        """The leg that the car is on."""
        return self.ahead(car)[0]

    def ahead(self, car: Car) -> tuple[Leg, float, Leg]:
        """The leg that the car is on, how many metres of it are left, and the leg after it (at the end, the last)."""
        legs = self.legs
        if legs[0].item == "上车准备":
            if not car.started:
                return legs[0], 0.0, legs[1]
            legs = legs[1:]
        end = 0.0
        for leg, following in pairwise(legs):
            end += leg.meters
            if car.travelled < end:
                return leg, end - car.travelled, following
        return legs[-1], inf, legs[-1]

    def band(self, car: Car) -> tuple[float, float]:
        """Between which km/h the car is neither too slow nor too fast here."""
        return _GROUND if self.site == "科目二" else _BANDS[self.leg(car).item]


def features(car: Car, course: Course) -> VehicleState:
    """What the sensors of the car say."""
    controls, leg = car.controls, course.leg(car)
    slow, fast = course.band(car)
    clutch = "无"
    if car.vehicle == "手动挡":
        clutch = "踩下" if controls.clutch >= DOWN else "半联动" if controls.clutch > BITES else "未踩"
    values: dict[str, Any] = {
        "site": course.site,
        "item": leg.item,
        "vehicle": car.vehicle,
        "gear": controls.gear,
        "handbrake": "拉起" if controls.handbrake else "放下",
        "engine": "打火" if car.running else "熄火",
        "seatbelt": "系上" if controls.belt else "未系",
        "door": "打开" if controls.door_open else "关闭",
        "clutch": clutch,
        "brake": "踩下" if controls.brake > PRESSED else "未踩",
        "accelerator": "踩下" if controls.accelerator > PRESSED else "未踩",
        "speed": _speed(car.kmh, slow, fast),
        "time": leg.time,
    }
    return cast(VehicleState, VehicleState.model_validate(values))


def _speed(kmh: float, slow: float, fast: float) -> str:
    if kmh < STANDS:
        return "静止"
    return "过慢" if kmh < slow else "过快" if kmh > fast else "适中"


def _ground(item: Item, meters: float, slope: float = 0.0) -> Course:
    """An item of 科目二 with a way to it and away from it."""
    between = Leg("非项目区域", 8.0)
    return Course(item, "科目二", (between, Leg(item, meters, slope), Leg("非项目区域")))


def _road(name: str, *legs: Leg) -> Course:
    return Course(name, "科目三", (Leg("上车准备"), *legs))


ROUTE: Final = _road(
    "科目三路线",
    Leg("起步", 40),
    Leg("非项目区域", 60),
    Leg("直线行驶", 160),
    Leg("加减挡位操作", 200),
    Leg("变更车道", 100),
    Leg("直行通过路口", 60),
    Leg("通过人行横道线", 50),
    Leg("通过学校区域", 70),
    Leg("非项目区域", 60),
    Leg("路口左转弯", 50),
    Leg("通过公共汽车站", 60),
    Leg("会车", 90),
    Leg("超车", 160),
    Leg("路口右转弯", 50),
    Leg("掉头", 40),
    Leg("夜间行驶", 150, time="夜晚"),
    Leg("靠边停车", time="夜晚"),
)
"""A route of 科目三 with all its items."""

COURSES: Final[Mapping[str, Course]] = MappingProxyType(
    {
        course.name: course
        for course in (
            _ground("倒车入库", 16),
            _ground("侧方停车", 14),
            _ground("坡道定点停车和起步", 24, slope=0.1),
            _ground("曲线行驶", 30),
            _ground("直角转弯", 20),
            _road("起步", Leg("起步", 40), Leg("非项目区域")),
            _road("直线行驶", Leg("起步", 40), Leg("非项目区域", 40), Leg("直线行驶")),
            _road("人行横道", Leg("起步", 40), Leg("非项目区域", 60), Leg("通过人行横道线", 60), Leg("非项目区域")),
            _road("夜间", Leg("起步", 40, time="夜晚"), Leg("夜间行驶", 150, time="夜晚"), Leg("会车", 80, time="夜晚"),
                  Leg("靠边停车", time="夜晚")),
            ROUTE,
        )
    }
)  # fmt: skip
"""The five items of 科目二, short stretches of 科目三, and a whole route; by name."""
