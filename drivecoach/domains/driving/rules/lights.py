"""The night lights (3.4): an add-on to a 提示, never a rule of its own."""

from __future__ import annotations

from drivecoach.domains.driving.conditions import (
    上车准备,
    会车,
    停,
    夜晚,
    夜间行驶,
    打火,
    超车,
    路口项目,
    靠边停车,
    项目,
)
from drivecoach.domains.driving.plan import choose
from drivecoach.domains.driving.words import Action

LIGHTS_WANTED = (夜晚 | 夜间行驶) & 打火 & ~上车准备
"""The lights are part of a 提示 here. Never with 警告 or 危险: one correction at a time."""

近光: Action = "使用近光灯"
交替: Action = "交替远近光"
示廓: Action = "改用示廓灯"

LIGHT = choose(
    (会车, (近光, "，开近光灯")),  # 条例§48(五)；L1；MON 41.04
    (路口项目, (近光, "，开近光灯")),  # 条例§51(三)；MON 41.05
    (项目("通过人行横道线"), (交替, "，交替远近光")),  # 条例§59；MON 41.03
    (超车, (交替, "，交替远近光")),  # 条例§47；MON 41.08
    (靠边停车 & 停, (示廓, "，关大灯开示廓灯")),  # MON 11.09, 41.06；APP text24
    otherwise=(近光, "，开近光灯"),  # 条例§58；JUD 41601
)
"""The last action and the suffix of the sentence."""
