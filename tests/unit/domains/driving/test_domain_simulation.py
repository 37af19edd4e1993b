"""I46 and I47: what follows when the instructions are carried out and the next reading is taken."""

from __future__ import annotations

from drivecoach.domains.driving import Advice, VehicleState
from tests.support.driving import ATTRIBUTES

Values = tuple[str, ...]
PLACE = {attribute: number for number, attribute in enumerate(ATTRIBUTES.values())}
FORWARD = ["1挡", "2挡", "3挡", "4挡", "5挡"]
EFFECTS: dict[str, dict[str, str]] = {
    "踩下离合": {"clutch": "踩下"},
    "松开离合": {"clutch": "未踩"},
    "踩下刹车": {"brake": "踩下"},
    "轻踩刹车": {"brake": "踩下"},
    "松开刹车": {"brake": "未踩"},
    "轻踩油门": {"accelerator": "踩下"},
    "松开油门": {"accelerator": "未踩"},
    "拉起手刹": {"handbrake": "拉起"},
    "放下手刹": {"handbrake": "放下"},
    "打火启动": {"engine": "打火"},
    "关闭发动机": {"engine": "熄火"},
    "系上安全带": {"seatbelt": "系上"},
    "关好车门": {"door": "关闭"},
    "平稳停车": {"speed": "静止"},
    "靠边停稳": {"speed": "静止"},
    "平稳起步": {"speed": "过慢"},
    "平稳加速": {"speed": "适中"},
}
STEPWISE = {"B08", "B09", "B10", "B17", "D02"}


def values_of(state: VehicleState) -> Values:
    return tuple(state.__dict__[attribute] for attribute in PLACE)


def carried_out(before: Values, advice: Advice) -> Values:
    """The next reading: every action done, the speed one step down where slowing is asked."""
    now = dict(zip(PLACE, before, strict=True))
    for action in advice.instruction.actions:
        now.update(EFFECTS.get(action, {}))
        if action == "慢抬离合":
            now["clutch"] = {"踩下": "半联动"}.get(now["clutch"], "未踩")
        elif action in ("加一挡", "减一挡"):
            step = 1 if action == "加一挡" else -1
            now["gear"], now["clutch"] = FORWARD[FORWARD.index(now["gear"]) + step], "未踩"
        elif action.startswith("挂"):
            now["gear"] = action.removeprefix("挂")
        elif action == "减速慢行" and now["speed"] == "过快":
            now["speed"] = "适中"
    return tuple(now.values())


def test_every_still_state_ends_well_within_seven_instructions(judged: list) -> None:
    """I46: in 平稳起步, for 靠边停车 in C02, for 上车准备 in C06 or C08; never in a loop."""
    table = {values_of(entry.state): entry.advice for entry in judged}
    for entry in judged:
        if entry.state.speed != "静止":
            continue
        values = values_of(entry.state)
        for _ in range(7):
            advice = table[values]
            if advice.rule.id in ("C02", "C06", "C08") or "平稳起步" in advice.instruction.actions:
                break
            values = carried_out(values, advice)
        else:
            raise AssertionError(f"no end from {values_of(entry.state)}: {advice.rule.id}")
        end = {"靠边停车": {"C02"}, "上车准备": {"C06", "C08"}}.get(entry.state.item)
        assert advice.rule.id in end if end else "平稳起步" in advice.instruction.actions


def test_a_corrected_fault_is_not_corrected_again(judged: list) -> None:
    """I47: after a 危险 or 警告 is carried out another rule answers, but for those that go step by step."""
    table = {values_of(entry.state): entry.advice.rule.id for entry in judged}
    repeated = {
        entry.advice.rule.id
        for entry in judged
        if entry.advice.instruction.level != "提示"
        and table[carried_out(values_of(entry.state), entry.advice)] == entry.advice.rule.id
    }
    assert repeated == STEPWISE
