"""A driving school's own coach: the shipped driving domain with the weather, one more action and three rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drivecoach.domains.driving import RULES, DrivingDomain, InstructionOf, Rule, VehicleState
from drivecoach.domains.driving.conditions import (
    上车准备,
    严控项目,
    停放完成,
    刹车未踩,
    刹车踩下,
    前进挡,
    动,
    半联动,
    手刹放下,
    打火,
    提速项目,
    是,
    油门踩下,
    离合踩下,
    系上,
    车门关闭,
    过快,
    过慢,
    过慢时挡高,
)
from drivecoach.domains.driving.plan import SLOW, choose, when
from drivecoach.domains.driving.words import Action


class SchoolState(VehicleState):
    """A reading of the school's cars, which also have a rain sensor and a thermometer."""

    weather: Literal["晴", "雨", "雪"] = Field(alias="天气", description="clear, rain or snow")


class SchoolInstruction(InstructionOf[Literal[Action, "打开双闪"]]):
    """An instruction that may ask for the hazard lights."""


雪 = 是("天气", "雪", of=SchoolState)
雨雪 = 是("天气", "雨", "雪", of=SchoolState)
# Nothing more urgent is wrong: an open door, the belt, the engine or the handbrake stay the shipped rules' business.
正常行驶 = 动 & 打火 & 车门关闭 & 系上 & 手刹放下 & 前进挡 & ~(刹车踩下 & 油门踩下) & ~上车准备

OWN = (
    Rule(
        id="W01",
        when=雨雪 & 过快 & 正常行驶,
        level=choose((雪 | 严控项目, "危险"), otherwise="警告"),
        do=(*SLOW, when(雪, "打开双闪")),
        reason="雨雪天路面湿滑，刹车距离变长，先把车速降下来",
        say=choose((雪, "雪天路滑，收油轻点刹车，打开双闪"), otherwise="雨天路滑，收油轻点刹车，慢下来"),
        source="学校教案；条例§46(四)(雨雪天限速)",
    ),
    Rule(
        id="W02",
        when=雪 & 过慢 & 提速项目 & 正常行驶 & 刹车未踩 & ~离合踩下 & ~半联动 & ~过慢时挡高,
        level="提示",
        do=("保持车速", "保持安全距离"),
        reason="雪天慢行是对的，不催着提速",
        say="雪天慢行是对的，拉开车距",
        source="学校教案",
    ),
    Rule(
        id="W03",
        when=雨雪 & 停放完成 & 车门关闭,
        level="提示",
        do=("松开油门", "打开双闪", "观察左后方"),
        reason="雨雪天视线差，停好先打双闪提醒后车，再看左后方",
        say="停好了，打双闪，开门前先看左后方",
        source="学校教案；条例§63",
    ),
)

SCHOOL = DrivingDomain("school", SchoolState, SchoolInstruction, rules=(*OWN, *RULES))
