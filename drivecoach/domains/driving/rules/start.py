"""START: pulling away in fourteen stages, one instruction each, so that no pedal is wanted both ways."""

from __future__ import annotations

from dataclasses import dataclass

from drivecoach.domains.driving.conditions import (
    D挡,
    Condition,
    一挡,
    倒车挡,
    刹车未踩,
    刹车踩下,
    前进挡,
    半联动,
    坡道,
    库项目,
    手刹拉起,
    手刹放下,
    手动,
    油门未踩,
    油门踩下,
    离合踩下,
    科二,
    自动,
)
from drivecoach.domains.driving.plan import Choice, Plan, choose, when, 挂前进挡
from drivecoach.domains.driving.state import VehicleState

到位 = 一挡 | D挡 | (库项目 & 倒车挡)
"""挡位=T: the target gear is 倒挡/R for a 库项目 when the lever is not in a forward gear, else 1挡/D."""

要倒车 = 库项目 & ~前进挡

挂T: Plan = (when(要倒车, when(手动, "挂倒挡", otherwise=("挂R挡",)), otherwise=挂前进挡),)

挂起步挡: Plan = (
    "松开油门",
    when(自动 | 手刹放下, "踩下刹车"),
    when(手动, "踩下离合"),
    *挂T,
)
"""T1 and T10: into the target gear. C18 gives it by itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One row of the START table; ``looks`` tells whether the item's PRE and prefix go before it."""

    id: str
    when: Condition
    do: Plan
    say: str | Choice[str]
    looks: bool = True


STAGES: tuple[Stage, ...] = (
    Stage(
        id="T1",
        when=手动 & ~到位,
        do=挂起步挡,
        say=choose((要倒车, "离合踩到底，挂倒挡"), otherwise="离合踩到底，挂1挡"),
        looks=False,
    ),
    Stage(
        id="T2",
        when=坡道 & 手刹拉起 & 离合踩下,
        do=("慢抬离合",),
        say="慢抬离合到车身抖动",
    ),
    Stage(
        id="T3",
        when=坡道 & 手刹拉起 & 半联动,
        do=("稳住离合", "放下手刹", "松开刹车"),
        say="离合稳住，放手刹起步",
    ),
    Stage(
        id="T4",
        when=手动 & 手刹拉起 & 半联动,
        do=("放下手刹",),
        say="手刹还拉着，放下手刹",
    ),
    Stage(
        id="T5",
        when=手动 & 手刹拉起 & 离合踩下,
        do=("踩下刹车", "放下手刹"),
        say="踩住刹车，放下手刹",
    ),
    Stage(
        id="T6",
        when=手动 & 手刹放下 & 离合踩下,
        do=("慢抬离合", "松开刹车", "平稳起步"),
        say=choose((刹车踩下, "慢抬离合松刹车，平稳起步"), otherwise="慢抬离合，平稳起步"),
    ),
    Stage(
        id="T7",
        when=手动 & 手刹放下 & 半联动 & 刹车踩下,
        do=("稳住离合", "松开刹车", "平稳起步"),
        say="离合稳住，慢松刹车",
    ),
    Stage(
        id="T8",
        when=手动 & 手刹放下 & 半联动 & 刹车未踩 & (油门踩下 | (科二 & ~坡道)),
        do=("稳住离合", "平稳起步"),
        say="离合稳住，让车慢慢走",
    ),
    Stage(
        id="T9",
        when=手动 & 手刹放下 & 半联动 & 刹车未踩 & 油门未踩,
        do=("稳住离合", "轻踩油门", "平稳起步"),
        say="离合稳住，轻给点油",
    ),
    Stage(
        id="T10",
        when=自动 & ~到位,
        do=挂起步挡,
        say=choose((要倒车, "踩住刹车，挂R挡"), otherwise="踩住刹车，挂D挡"),
        looks=False,
    ),
    Stage(
        id="T11",
        when=自动 & 手刹拉起,
        do=("踩下刹车", "放下手刹"),
        say="踩住刹车，放下手刹",
    ),
    Stage(
        id="T12",
        when=自动 & 刹车踩下,
        do=("松开刹车", "平稳起步"),
        say="慢松刹车，平稳起步",
    ),
    Stage(
        id="T13",
        when=自动 & 油门踩下,
        do=("平稳起步",),
        say="油门稳住，平稳起步",
    ),
    Stage(
        id="T14",
        when=自动,
        do=("轻踩油门", "平稳起步"),
        say="轻给点油，平稳起步",
    ),
)
"""First match wins, as in the rule table."""


def stage_of(state: VehicleState) -> Stage:
    """The stage of pulling away that a still, running car is at."""
    return next(stage for stage in STAGES if stage.when.test(state))
