"""What no instruction may break: the invariants I02-I45 and I48 of the rule description, one function each.

A check asks the instruction first, then the flags, and the state last: most instructions so never need the state
(`violations`). They judge any instruction, the teacher's or a model's. I01, I04, I46, I47 and I49 are about the whole
table, about several steps and about the parser; tests hold them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from drivecoach.domain import Violation
from drivecoach.domains.driving.case import (
    AUTOMATIC_GEARS,
    ENGAGE,
    MANUAL_GEARS,
    PRESS,
    PULLS_AWAY,
    RELEASE,
    REVERSE,
    SHIFTS,
    SIGNALS,
    STOPS,
    Case,
    spoken_operations,
)
from drivecoach.domains.driving.instruction import MAX_ACTIONS, MAX_SPEECH
from drivecoach.domains.driving.words import GARAGE_ITEMS, JUNCTION_ITEMS, LEVELS, STRICT_ITEMS

Check = Callable[[Case], bool]
INVARIANTS: dict[str, tuple[Violation, Check]] = {}
"""Id -> what to report, and the function that tells whether a case breaks it."""


def _never(id: str, text: str) -> Callable[[Check], Check]:
    """Register a function that returns True when the invariant is broken."""

    def register(broken: Check) -> Check:
        INVARIANTS[id] = (Violation(id, text), broken)
        return broken

    return register


# --- form ---


@_never("I02", "1 to 6 different actions of the closed set, one of the three levels")
def i02(c: Case) -> bool:
    if not 1 <= len(c.steps.actions) <= MAX_ACTIONS or len(c.said) < len(c.steps.actions):
        return True
    return not c.allowed.issuperset(c.said) or c.level not in LEVELS


@_never("I03", "话术 is not empty, under 40 characters, without half-width punctuation")
def i03(c: Case) -> bool:
    return not 1 <= len(c.speech) <= MAX_SPEECH or _HALF_WIDTH.search(c.speech) is not None


_HALF_WIDTH = re.compile(r"[!-/:-@\[-`{-~]")

# --- pedals ---


@_never("I05", "one pedal is both pressed and released")
def i05(c: Case) -> bool:
    return not c.steps.presses.isdisjoint(c.steps.releases)


@_never("I06", "brake and accelerator are both to be pressed")
def i06(c: Case) -> bool:
    return "刹车" in c.steps.presses and "油门" in c.steps.presses


@_never("I07", "a pressed pedal is to be pressed, or a free one released")
def i07(c: Case) -> bool:
    if not (c.steps.presses or c.steps.releases):
        return False
    now = {"离合": c.state.clutch, "刹车": c.state.brake, "油门": c.state.accelerator}
    pressed = any(now[pedal] == "踩下" for pedal in c.steps.presses)
    return pressed or any(now[pedal] == "未踩" for pedal in c.steps.releases)


@_never("I08", "brake and accelerator are both down, and 松开油门 is missing")
def i08(c: Case) -> bool:
    return "松开油门" not in c.said and c.state.brake == c.state.accelerator == "踩下"


@_never("I09", "油门踩下: braking or 挂… needs 松开油门, before the brake")
def i09(c: Case) -> bool:
    if not (c.steps.engages or "刹车" in c.steps.presses):
        return False
    first = frozenset({"松开油门"})
    late = "松开油门" not in c.said or not all(c.steps.ordered(first, brake) for brake in PRESS["刹车"])
    return late and c.state.accelerator != "未踩"


@_never("I10", "轻踩油门 stands before 松开刹车")
def i10(c: Case) -> bool:
    return "松开刹车" in c.said and not c.steps.ordered(frozenset({"松开刹车"}), "轻踩油门")


# --- manual and automatic ---


@_never("I11", "自动挡 has no clutch, in the actions and in the 话术")
def i11(c: Case) -> bool:
    return not c.manual and (c.steps.clutch or "离合" in c.speech)


@_never("I12", "a gear that this vehicle does not have")
def i12(c: Case) -> bool:
    if c.manual:
        return c.steps.says(*AUTOMATIC_GEARS) or re.search("[PRND]挡", c.speech) is not None
    return c.steps.says(*MANUAL_GEARS)


@_never("I13", "手动挡: 挂… without the clutch down")
def i13(c: Case) -> bool:
    early = c.manual and not all(c.steps.ordered(PRESS["离合"], gear) for gear in c.steps.engages)
    return early and c.state.clutch != "踩下"


@_never("I14", "自动挡, still: 挂… without the brake down")
def i14(c: Case) -> bool:
    if c.manual or c.moving or not c.steps.engages:
        return False
    return "踩下刹车" not in c.said and c.state.brake != "踩下"


@_never("I15", "more than one gear action, or one to the gear already in")
def i15(c: Case) -> bool:
    return len(c.steps.gears) > 1 or any(ENGAGE[action] == c.state.gear for action in c.steps.engages)


@_never(
    "I16",
    "加一挡/减一挡 only for 手动挡, moving, in a forward gear that allows it, no other clutch work",
)
def i16(c: Case) -> bool:
    if not c.steps.shifts:
        return False
    if not c.manual or not c.moving or not c.in_gear or c.reversing or c.steps.clutch:
        return True
    return c.state.gear == ("5挡" if "加一挡" in c.said else "1挡")


@_never("I17", "挂P挡 in a moving car")
def i17(c: Case) -> bool:
    return c.moving and "挂P挡" in c.said


@_never("I18", "a reverse gear only when still, and only in 倒车入库 and 侧方停车")
def i18(c: Case) -> bool:
    return c.steps.says(*REVERSE) and (c.moving or c.state.item not in GARAGE_ITEMS)


@_never("I19", "from reverse to forward while moving, without stopping first")
def i19(c: Case) -> bool:
    return c.moving and c.reversing and not all(c.steps.ordered(STOPS, gear) for gear in c.steps.forward)


# --- safety ---


@_never("I20", "moving with a door open: 危险, stop, then 关好车门")
def i20(c: Case) -> bool:
    if not c.moving or c.secured:
        return False
    silent = c.level != "危险" or "关好车门" not in c.said or not c.steps.ordered(STOPS, "关好车门")
    return silent and c.state.door != "关闭"


@_never("I21", "moving without the belt: 危险, and stop")
def i21(c: Case) -> bool:
    return c.moving and (c.level != "危险" or not c.steps.stops) and c.state.seatbelt == "未系"


@_never("I22", "moving with the engine off: 危险, and stop")
def i22(c: Case) -> bool:
    return c.moving and not c.running and (c.level != "危险" or not c.steps.stops)


@_never("I23", "opening a door is spoken of only after parking is complete, undoing the belt never")
def i23(c: Case) -> bool:
    if re.search("[解松脱](?:开|掉)?安全带", c.speech):
        return True
    return re.search("开车?门", c.speech) is not None and not c.parked


@_never("I24", "moving: no 打火启动, 关闭发动机, 平稳起步")
def i24(c: Case) -> bool:
    return c.moving and c.steps.says("打火启动", "关闭发动机", "平稳起步")


@_never("I25", "moving: 拉起手刹 only after a stop")
def i25(c: Case) -> bool:
    return c.moving and not c.steps.ordered(STOPS, "拉起手刹")


@_never("I26", "coasting in neutral is 危险; moving with the handbrake on is at least 警告")
def i26(c: Case) -> bool:
    if c.moving and c.running and not c.in_gear and c.level != "危险" and c.state.gear in ("空挡", "N挡"):
        return True
    return c.moving and c.level == "提示" and c.state.handbrake == "拉起"


@_never("I27", "打火启动 only if 熄火, door shut, belt on, lever in 空挡/P/N or put there before")
def i27(c: Case) -> bool:
    if "打火启动" not in c.said:
        return False
    neutral = not c.in_gear or c.steps.ordered(frozenset({"挂空挡", "挂P挡"}), "打火启动")
    return c.running or not c.secured or not neutral


@_never("I28", "driving on only if door shut, belt on, engine on, not 过快, handbrake off or released")
def i28(c: Case) -> bool:
    if not c.steps.says(*PULLS_AWAY):
        return False
    released = c.state.handbrake == "放下" or "放下手刹" in c.said
    return not (c.secured and c.running and released) or c.state.speed == "过快"


@_never("I29", "still, door open or belt off: nothing that lets the car go")
def i29(c: Case) -> bool:
    if c.moving or c.secured or c.parked:
        return False
    return c.steps.says("放下手刹", "松开刹车", *RELEASE["离合"], "打火启动", "平稳起步")


@_never("I30", "still, running, in gear, clutch up: 踩下离合")
def i30(c: Case) -> bool:
    stalls = not c.moving and c.running and c.manual and c.in_gear and c.state.clutch == "未踩"
    return stalls and "踩下离合" not in c.said


@_never("I31", "放下手刹 of a still car only with the brake down or 半联动")
def i31(c: Case) -> bool:
    if c.moving or "放下手刹" not in c.said or "踩下刹车" in c.said:
        return False
    return c.state.brake != "踩下" and c.state.clutch != "半联动"


@_never("I32", "still, running, nothing holds the car and it does not pull away: 踩下刹车")
def i32(c: Case) -> bool:
    if c.moving or not c.running or c.steps.says("平稳起步", "踩下刹车"):
        return False
    return c.state.handbrake == "放下" and c.state.brake == "未踩"


@_never("I33", "door, belt or handbrake is so already")
def i33(c: Case) -> bool:
    return (
        ("关好车门" in c.said and c.state.door == "关闭")
        or ("系上安全带" in c.said and c.state.seatbelt == "系上")
        or ("拉起手刹" in c.said and c.state.handbrake == "拉起")
        or ("放下手刹" in c.said and c.state.handbrake == "放下")
    )


@_never("I34", "危险 on a still car only when it is about to move, and never with driving on")
def i34(c: Case) -> bool:
    if c.level != "危险":
        return False
    return (not c.moving and not c.about_to_move) or c.steps.says("保持车速", "轻踩油门", "平稳起步")


@_never("I35", "a sound car at a fit speed is not 危险")
def i35(c: Case) -> bool:
    if c.level != "危险" or not (c.running and c.secured and c.in_gear) or c.reversing:
        return False
    fit = c.state.handbrake == "放下" and c.state.speed == "适中"
    both = c.state.brake == c.state.accelerator == "踩下"
    return fit and not both and c.state.item != "上车准备"


# --- speed and items ---


@_never("I36", "过快: slow down or correct the fault, and nothing that keeps or raises the speed")
def i36(c: Case) -> bool:
    if c.state.speed != "过快":
        return False
    if c.steps.says("轻踩油门", "平稳加速", "加一挡", "保持车速", "松开刹车"):
        return True
    corrects = (
        (c.state.handbrake == "拉起" and "放下手刹" in c.said)
        or (not c.in_gear and c.steps.forward)
        or (c.state.accelerator == c.state.brake == "踩下" and "松开油门" in c.said)
    )
    return not corrects and not c.steps.slows


@_never("I37", "轻踩油门 while moving where slowing down is required")
def i37(c: Case) -> bool:
    return c.moving and "轻踩油门" in c.said and c.state.item in STRICT_ITEMS


@_never("I38", "an action for a moving car, said to a still one")
def i38(c: Case) -> bool:
    return not c.moving and c.steps.says("减速慢行", "保持车速", "轻踩刹车", "平稳加速", *SHIFTS, *STOPS)


@_never("I39", "曲线行驶: 平稳停车 only at 危险")
def i39(c: Case) -> bool:
    return "平稳停车" in c.said and c.level != "危险" and c.state.item == "曲线行驶"


@_never("I40", "上车准备, and 靠边停车 when still: no pulling away, no 打火启动")
def i40(c: Case) -> bool:
    if not c.steps.says("平稳起步", "打火启动"):
        return False
    return c.state.item == "上车准备" or (c.state.item == "靠边停车" and not c.moving)


@_never("I41", "坡道, still, handbrake off, not yet at 1挡 and 半联动: 拉起手刹")
def i41(c: Case) -> bool:
    if c.moving or not (c.running and c.secured) or "拉起手刹" in c.said:
        return False
    if c.state.item != "坡道定点停车和起步" or c.state.handbrake == "拉起" or c.state.accelerator != "未踩":
        return False
    return c.state.gear == "空挡" or (c.state.gear == "1挡" and c.state.clutch == "踩下")


@_never("I42", "平稳停车 only in 科目二, 靠边停稳 only in 科目三, at most one turn signal")
def i42(c: Case) -> bool:
    if len(c.said & SIGNALS) > 1:
        return True
    return c.steps.stops and c.steps.says("靠边停稳" if c.state.site == "科目二" else "平稳停车")


@_never("I43", "关闭发动机 only with the handbrake on, or 拉起手刹 before it")
def i43(c: Case) -> bool:
    return not c.steps.ordered(frozenset({"拉起手刹"}), "关闭发动机") and c.state.handbrake == "放下"


# --- lights ---


@_never("I44", "at most one light, only at night, with the engine on, and with a 提示")
def i44(c: Case) -> bool:
    lights = c.steps.lights
    return len(lights) > 1 or bool(lights and not (c.night and c.running and c.level == "提示"))


@_never("I45", "the light that the item wants at night")
def i45(c: Case) -> bool:
    if not c.steps.lights and (c.level != "提示" or not c.running):
        return False
    item = c.state.item
    parking = item == "靠边停车" and not c.moving
    if (item == "会车" or item in JUNCTION_ITEMS) and "交替远近光" in c.said:
        return True
    if "改用示廓灯" in c.said and not parking:
        return True
    if not c.night or c.state.site == "科目二" or c.level != "提示" or not c.running or item == "上车准备":
        return False
    wanted = {"通过人行横道线": "交替远近光", "超车": "交替远近光"}.get(item, "使用近光灯")
    return c.steps.lights != {"改用示廓灯" if parking else wanted}


# --- speech ---


@_never("I48", "话术 asks for a pedal, clutch or handbrake operation that is not in the list nor so already")
def i48(c: Case) -> bool:
    return any(
        c.said.isdisjoint(actions) and getattr(c.state, feature) not in so
        for feature, actions, so in spoken_operations(c.speech)
    )
