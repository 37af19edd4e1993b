"""What a coaching rule is: one row of the rule table."""

from __future__ import annotations

from dataclasses import dataclass

from drivecoach.domains.driving.conditions import Condition
from drivecoach.domains.driving.plan import Choice, Plan
from drivecoach.domains.driving.words import Level


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """One row. The first rule of the table whose condition holds is the answer.

    ``starts`` marks the rules of the D table that pull away in stages: the stage then says what to do, ``do``
    is the item's signal and look (PRE of the table) and ``say`` the prefix of the stage's sentence.
    """

    id: str
    when: Condition
    """条件."""
    level: Level | Choice[Level]
    """级别."""
    do: Plan
    """动作; actions that are already so are left out."""
    reason: str
    """理由."""
    say: str | Choice[str]
    """话术."""
    verdict: str = ""
    """评判: what the test standard makes of the fault; empty where the row is a normal step."""
    source: str
    """来源: keys of ``SOURCES``; 未核 = from knowledge alone."""
    starts: bool = False
