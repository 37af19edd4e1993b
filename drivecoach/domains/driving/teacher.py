"""The rule teacher: one instruction for every legal state, and the reasoning that leads to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from drivecoach.domains.driving.instruction import Instruction
from drivecoach.domains.driving.plan import Choice, carry_out
from drivecoach.domains.driving.rules import RULES, Rule
from drivecoach.domains.driving.rules.lights import LIGHT, LIGHTS_WANTED
from drivecoach.domains.driving.rules.start import stage_of
from drivecoach.domains.driving.state import VehicleState
from drivecoach.domains.driving.words import ATTRIBUTES, Action, Level

T = TypeVar("T")

MOVING_RULES = tuple(rule for rule in RULES if rule.id[0] in "ABE")
STILL_RULES = tuple(rule for rule in RULES if rule.id[0] in "CD")


@dataclass(frozen=True)
class Advice:
    """What the teacher says about a state, and why."""

    rule: Rule
    instruction: Instruction
    stage: str | None
    """The stage of pulling away, T1-T14, for the rules that have them."""
    light: Action | None
    """The night light that was added, the last action."""
    deciding: tuple[str, ...]
    """Chinese names of the features that decided, in canonical order."""

    @property
    def reason(self) -> str:
        """理由 of the rule."""
        return self.rule.reason


def teach(state: VehicleState) -> Advice:
    """The one instruction for a legal state: the first rule that matches, with the night light if due."""
    rules = STILL_RULES if state.speed == "静止" else MOVING_RULES
    rule = next(rule for rule in rules if rule.when.test(state))
    level: Level = _pick(rule.level, state)
    actions = tuple(carry_out(rule.do, state))
    speech = _pick(rule.say, state)
    reads, added = rule.when.reads, None
    if isinstance(rule.level, Choice):
        reads |= rule.level.reads(state)
    stage = stage_of(state) if rule.starts else None
    if stage:
        steps = tuple(carry_out(stage.do, state))
        said = _pick(stage.say, state)
        actions, speech = (actions + steps, f"{speech}，{said}") if stage.looks else (steps, said)
        reads |= stage.when.reads
    if level == "提示" and LIGHTS_WANTED.test(state):
        light, suffix = LIGHT.pick(state)
        if light not in actions:
            actions, speech, added = (*actions, light), speech + suffix, light
            reads |= {"时间特征"} if state.time == "夜晚" else {"当前项目"}
    return _advice(rule, actions, level, speech, stage.id if stage else None, added, reads)


def _pick(value: T | Choice[T], state: VehicleState) -> T:
    return value.pick(state) if isinstance(value, Choice) else value


@cache
def _advice(
    rule: Rule,
    actions: tuple[Action, ...],
    level: Level,
    speech: str,
    stage: str | None,
    light: Action | None,
    reads: frozenset[str],
) -> Advice:
    """One shared object per distinct advice: there are a few thousand, for 292,352 states."""
    deciding = tuple(name for name in ATTRIBUTES if name in reads)
    return Advice(rule, Instruction(actions=actions, level=level, speech=speech), stage, light, deciding)


_WHERE = ("场地类型", "当前项目", "时间特征")
_CAR = ("车辆类型", "挡位", "手刹", "发动机", "安全带", "车门")
_DRIVER = ("离合", "刹车", "油门", "速度")
_BY_ITSELF = frozenset({"场地类型", "车辆类型", "时间特征"})
"""Features whose value says by itself what it is about."""


def explain(state: VehicleState, advice: Advice) -> str:
    """The reasoning as one line of Chinese: the deciding features with their values, then the reason."""
    clauses = []
    for group in (_WHERE, _CAR, _DRIVER):
        facts = [_fact(state, name) for name in group if name in advice.deciding]
        if facts:
            clauses.append("，".join(facts))
    clauses.append(advice.reason)
    if advice.light:
        clauses.append(f"还要{advice.light}")
    return "；".join(clauses) + "。"


def _fact(state: VehicleState, name: str) -> str:
    value = getattr(state, ATTRIBUTES[name])
    if name in _BY_ITSELF or value.endswith("挡"):
        return str(value)
    return f"项目是{value}" if name == "当前项目" else f"{name}{value}"
