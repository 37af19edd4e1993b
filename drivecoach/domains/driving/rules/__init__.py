"""The coaching rules: the table of the rule description, group by group, in the order that decides."""

from drivecoach.domains.driving.rules.a_danger import A_RULES
from drivecoach.domains.driving.rules.b_moving import B_RULES
from drivecoach.domains.driving.rules.c_checks import C_RULES
from drivecoach.domains.driving.rules.d_steps import D_RULES
from drivecoach.domains.driving.rules.e_items import E_RULES
from drivecoach.domains.driving.rules.rule import Rule
from drivecoach.domains.driving.rules.sources import SOURCES

RULES: tuple[Rule, ...] = (*A_RULES, *B_RULES, *C_RULES, *D_RULES, *E_RULES)
"""All shipped rules; the first whose condition holds is the answer."""

__all__ = ["RULES", "SOURCES", "Rule"]
