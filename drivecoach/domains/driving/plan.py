"""How a rule says what to do: steps, choices between them, and the macros that many rules share (3.3).

A plan is a tuple of steps; a step is an action phrase or a choice of a further plan. Carrying out a plan
drops every action that is already so (the ``X?`` of the rule table): no rule asks for what is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from drivecoach.domains.driving.conditions import (
    Condition,
    刹车未踩,
    刹车踩下,
    在挡,
    宜用三挡,
    手刹拉起,
    手刹放下,
    手动,
    打火,
    是,
    没有离合,
    油门未踩,
    油门踩下,
    离合未踩,
    离合踩下,
    科三,
    科二,
    系上,
    车门关闭,
    适中,
)
from drivecoach.domains.driving.state import VehicleState

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Choice(Generic[T]):
    """The value of the first case whose condition holds, else ``otherwise``."""

    cases: tuple[tuple[Condition, T], ...]
    otherwise: T

    def pick(self, state: VehicleState) -> T:
        """The value for this state."""
        for condition, value in self.cases:
            if condition.test(state):
                return value
        return self.otherwise

    def reads(self, state: VehicleState) -> frozenset[str]:
        """The features of the case that was picked (of the last refused case for ``otherwise``)."""
        return next((c.reads for c, _ in self.cases if c.test(state)), self.cases[-1][0].reads)

    def values(self) -> tuple[T, ...]:
        """Every value that can be picked."""
        return (*(value for _, value in self.cases), self.otherwise)


Step: TypeAlias = "str | Choice[Plan]"
Plan: TypeAlias = tuple[Step, ...]
"""Actions are texts here: which there are, the instruction model says; the teacher checks every plan against it."""


def choose(*cases: tuple[Condition, T], otherwise: T) -> Choice[T]:
    """``choose((会车, "…"), (掉头, "…"), otherwise="…")``."""
    return Choice(cases, otherwise)


def when(condition: Condition, *steps: Step, otherwise: Plan = ()) -> Choice[Plan]:
    """``[条件: 步骤→步骤]`` of the table."""
    return Choice(((condition, steps),), otherwise)


ALREADY: dict[str, Condition] = {
    "踩下离合": 离合踩下 | 没有离合,
    "慢抬离合": 离合未踩 | 没有离合,
    "松开离合": 离合未踩 | 没有离合,
    "踩下刹车": 刹车踩下,
    "轻踩刹车": 刹车踩下,
    "松开刹车": 刹车未踩,
    "轻踩油门": 油门踩下,
    "松开油门": 油门未踩,
    "拉起手刹": 手刹拉起,
    "放下手刹": 手刹放下,
    "系上安全带": 系上,
    "关好车门": 车门关闭,
    **{f"挂{gear}": 是("挡位", gear) for gear in ("空挡", "1挡", "2挡", "3挡", "倒挡", "P挡", "R挡", "D挡")},
}
"""Action -> the condition under which it is done already (an automatic's clutch never needs work)."""


def carry_out(plan: Plan, state: VehicleState) -> Iterator[str]:
    """The actions of a plan in this state, in order."""
    for step in plan:
        if isinstance(step, Choice):
            yield from carry_out(step.pick(state), state)
        elif step not in ALREADY or not ALREADY[step].test(state):
            yield step


def actions_in(plan: Plan) -> Iterator[str]:
    """Every action that a plan can ask for."""
    for step in plan:
        if isinstance(step, Choice):
            for further in step.values():
                yield from actions_in(further)
        else:
            yield step


STOP: Plan = (
    "松开油门",
    when(科二 & 在挡, "踩下离合"),
    "踩下刹车",
    when(科三 & 在挡, "踩下离合"),
    when(科二, "平稳停车", otherwise=("靠边停稳",)),
)
"""Stop the moving car: 科二 clutch before brake, 科三 brake before clutch."""

SECURE: Plan = ("松开油门", when(打火 & 手动 & 在挡, "踩下离合"), when(手刹放下, "踩下刹车"))
"""Make sure that the still car stays still."""

SLOW: Plan = ("松开油门", when(科二 & 手动 & 在挡, "踩下离合"), "轻踩刹车", "减速慢行")
"""Slow down from 过快."""

EASE: Plan = ("松开油门", when(适中, "轻踩刹车"))
"""Ease off where the item asks for a lower speed."""

挂前进挡: Plan = (when(手动, "挂1挡", otherwise=("挂D挡",)),)
"""挂1挡 or 挂D挡."""

回空位: Plan = (when(手动, "挂空挡", otherwise=("挂P挡",)),)
"""挂空挡 or 挂P挡."""

挂G: Plan = (Choice(((科二, ("挂1挡",)), (宜用三挡, ("挂3挡",))), ("挂2挡",)),)
"""The gear to re-engage after coasting in neutral."""
