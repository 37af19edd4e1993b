"""One instruction in one state, prepared for judging: its action groups, their order, and what is spoken."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from drivecoach.domains.driving.conditions import 停放完成, 欲动
from drivecoach.domains.driving.instruction import AnyInstruction, actions_of
from drivecoach.domains.driving.state import VehicleState

PRESS = {
    "离合": frozenset({"踩下离合"}),
    "刹车": frozenset({"踩下刹车", "轻踩刹车"}),
    "油门": frozenset({"轻踩油门"}),
}
RELEASE = {
    "离合": frozenset({"慢抬离合", "松开离合"}),
    "刹车": frozenset({"松开刹车"}),
    "油门": frozenset({"松开油门"}),
}
CLUTCH = frozenset({"踩下离合", "慢抬离合", "松开离合", "稳住离合"})
STOPS = frozenset({"平稳停车", "靠边停稳"})
SHIFTS = frozenset({"加一挡", "减一挡"})
FORWARD = {"挂1挡": "1挡", "挂2挡": "2挡", "挂3挡": "3挡", "挂D挡": "D挡"}
REVERSE = {"挂倒挡": "倒挡", "挂R挡": "R挡"}
ENGAGE = {**FORWARD, **REVERSE, "挂空挡": "空挡", "挂P挡": "P挡"}
"""Gear action -> the gear it leads to."""
MANUAL_GEARS = frozenset({"挂空挡", "挂1挡", "挂2挡", "挂3挡", "挂倒挡"}) | SHIFTS
AUTOMATIC_GEARS = frozenset({"挂P挡", "挂R挡", "挂D挡"})
SIGNALS = frozenset({"打左转向灯", "打右转向灯", "打转向灯", "关闭转向灯"})
LIGHTS = frozenset({"使用近光灯", "交替远近光", "改用示廓灯"})
PULLS_AWAY = frozenset({"轻踩油门", "平稳加速", "平稳起步"})
_NEUTRAL = frozenset({"空挡", "P挡", "N挡"})
_REVERSE = frozenset({"倒挡", "R挡"})
SLOWS = frozenset({"轻踩刹车", "踩下刹车", "减速慢行"}) | STOPS


class Steps:
    """What an action list contains, worked out once for each distinct list."""

    def __init__(self, actions: tuple[str, ...]) -> None:
        self.actions = actions
        self.said = frozenset(actions)
        self.presses = frozenset(pedal for pedal in PRESS if self.says(*PRESS[pedal]))
        self.releases = frozenset(pedal for pedal in RELEASE if self.says(*RELEASE[pedal]))
        self.clutch = self.says(*CLUTCH)
        self.stops = self.says(*STOPS)
        self.slows = self.says(*SLOWS)
        self.shifts = self.says(*SHIFTS)
        self.gears = tuple(action for action in actions if action in ENGAGE or action in SHIFTS)
        self.engages = tuple(action for action in self.gears if action in ENGAGE)
        self.forward = tuple(action for action in self.gears if action in FORWARD)
        self.lights = self.said & LIGHTS

    def says(self, *actions: str) -> bool:
        """Any of the actions is in the list."""
        return not self.said.isdisjoint(actions)

    def ordered(self, first: frozenset[str], then: str) -> bool:
        """``then`` is not in the list, or stands after one of ``first``."""
        if then not in self.said:
            return True
        return not first.isdisjoint(self.actions[: self.actions.index(then)])


steps_of = lru_cache(maxsize=8192)(Steps)


class Flags(NamedTuple):
    """What most invariants ask of a state."""

    moving: bool
    manual: bool
    running: bool
    secured: bool
    in_gear: bool
    reversing: bool


def flags_of(state: VehicleState) -> Flags:
    """The flags of a state."""
    return Flags(
        state.speed != "静止",
        state.vehicle == "手动挡",
        state.engine == "打火",
        state.door == "关闭" and state.seatbelt == "系上",
        state.gear not in _NEUTRAL,
        state.gear in _REVERSE,
    )


class Case:
    """An instruction and the state it is given in."""

    __slots__ = ("allowed", "level", "speech", "state", "steps", *Flags._fields)

    def __init__(self, state: VehicleState, instruction: AnyInstruction, flags: Flags) -> None:
        self.state = state
        self.steps = steps_of(instruction.actions)
        self.allowed = actions_of(type(instruction))
        self.level = instruction.level
        self.speech = instruction.speech
        self.moving, self.manual, self.running, self.secured, self.in_gear, self.reversing = flags

    @property
    def said(self) -> frozenset[str]:
        """The actions without their order."""
        return self.steps.said

    @property
    def parked(self) -> bool:
        """停放完成."""
        return 停放完成.test(self.state)

    @property
    def about_to_move(self) -> bool:
        """欲动."""
        return 欲动.test(self.state)

    @property
    def night(self) -> bool:
        """The lights matter."""
        return self.state.time == "夜晚" or self.state.item == "夜间行驶"


_SPOKEN: tuple[tuple[str, str, str, frozenset[str], tuple[str, ...]], ...] = (
    # operation, how it is said, feature, actions that carry it, values in which it is so already
    ("press brake", r"踩[住下死]?刹车|刹车(?:离合)?都?踩|(?<!松)点刹", "brake", PRESS["刹车"], ("踩下",)),
    ("release brake", r"松开?点?刹车", "brake", RELEASE["刹车"], ("未踩",)),
    (
        "press accelerator",
        r"给点?油|踩下?油门|[加提]速",
        "accelerator",
        frozenset({"轻踩油门", "平稳加速"}),
        ("踩下",),
    ),
    ("hold accelerator", r"油门稳住|稳住油门", "accelerator", PRESS["油门"], ("踩下",)),
    ("release accelerator", r"松开?油|收油", "accelerator", RELEASE["油门"], ("未踩",)),
    ("press clutch", r"离合(?:刹车)?都?踩|离合到底|踩[住下]?离合", "clutch", PRESS["离合"], ("踩下",)),
    ("lift clutch", r"慢?抬离合|离合再?抬", "clutch", RELEASE["离合"], ("未踩",)),
    ("release clutch", r"松开?离合|离合[全慢再]*松", "clutch", RELEASE["离合"] | SHIFTS, ("未踩",)),
    ("hold clutch", r"离合稳住|稳住离合", "clutch", frozenset({"稳住离合"}), ("半联动",)),
    ("apply handbrake", r"拉[起好]?手刹|手刹拉[好起]", "handbrake", frozenset({"拉起手刹"}), ("拉起",)),
    ("release handbrake", r"放下?手刹|手刹放", "handbrake", frozenset({"放下手刹"}), ("放下",)),
)
_NOT_ASKED = re.compile(r"别[^，。！？；]*|没[踩放松拉][^，。！？；]*")
"""What the sentence forbids or states, in place of asking for it: 别轰油, 手刹没放."""


@lru_cache(maxsize=4096)
def spoken_operations(speech: str) -> tuple[tuple[str, frozenset[str], tuple[str, ...]], ...]:
    """The pedal, clutch and handbrake operations that a sentence asks for.

    Each as attribute of the state, the actions that carry it, and the values in which it is so already.
    """
    asked = _NOT_ASKED.sub("", speech)
    return tuple((feature, acts, so) for _, said, feature, acts, so in _SPOKEN if re.search(said, asked))
