"""The shipped drives: on which course, with which mistakes; each is the same, state by state, wherever it is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from drivecoach.domains.driving.drives.course import COURSES
from drivecoach.domains.driving.drives.learner import SMOOTH, Learner
from drivecoach.domains.driving.words import Vehicle

SEED = 3407


@dataclass(frozen=True)
class Drive:
    """One drive."""

    course: str
    vehicle: Vehicle
    mistakes: str
    """What the learner does wrong."""
    drives: Callable[[Learner], None]

    def notes(self) -> list[tuple[float, str]]:
        """The states with their seconds: every change, and one a second."""
        learner = Learner(COURSES[self.course], self.vehicle, SEED)
        self.drives(learner)
        return learner.notes

    def written(self) -> str:
        """The drive as a file, one state a line: ``{"time": seconds, "state": line}``."""
        rows = [json.dumps({"time": time, "state": line}, ensure_ascii=False) for time, line in self.notes()]
        return "\n".join(rows) + "\n"


def _door_open(on: Learner) -> None:
    on.prepare(door=False)
    on.pull_away(accelerator=0.2)
    on.cruise(9, on.after(14), shifts=False)
    on.stop()
    on.wait(1.5)
    on.do(door_open=False)
    on.pull_away(accelerator=0.2)
    on.cruise(18, on.past("起步"))
    on.stop()


def _belt_forgotten(on: Learner) -> None:
    on.prepare(belt=False)
    on.wait(3)
    on.pull_away(accelerator=0.2)
    on.cruise(15, on.after(25))
    on.stop()
    on.do(belt=True)
    on.pull_away(accelerator=0.2)
    on.cruise(25, on.after(40))
    on.stop()


def _handbrake_on(on: Learner) -> None:
    on.prepare()
    on.pull_away(handbrake=False, accelerator=0.9)
    on.let("accelerator", 0.5, 0.5)
    on.wait(5)
    on.do(handbrake=False)
    on.cruise(18, on.past("起步"))
    on.cruise(30, on.after(40))
    on.stop()


def _stalls(on: Learner) -> None:
    on.prepare()
    for _ in range(2):
        on.do(brake=1.0, clutch=1.0)
        on.do(gear="1挡")
        on.do(handbrake=False)
        on.do(brake=0.0)
        on.tick(clutch=0.0)  # let go at once
        on.wait(3)
        on.do(ignition="start", clutch=0.0)  # in gear, the clutch up
        on.tick(ignition="")
        on.wait(2)
        on.start()
    on.pull_away(accelerator=0.2)
    on.cruise(18, on.past("起步"))
    on.stop()


def _half_clutch(on: Learner) -> None:
    on.prepare()
    on.pull_away(accelerator=0.2)
    on.cruise(40, on.on("直线行驶"))
    on.cruise(38, on.after(40))
    on.let("clutch", 0.5, 0.4)
    on.cruise(38, on.after(60), shifts=False)
    on.tick(clutch=1.0, accelerator=0.0)  # rolls on with the clutch down
    on.wait(4)
    on.let("clutch", 0.0, 0.6)
    on.cruise(38, on.after(30))
    on.stop()


def _wrong_gear(on: Learner) -> None:
    on.prepare()
    on.do(brake=1.0, clutch=1.0)
    on.do(gear="3挡")
    on.wait(3)
    on.pull_away(accelerator=0.2)
    on.cruise(16, on.past("起步"))
    on.cruise(33, on.on("直线行驶"), shifts=False)  # never shifts up
    on.cruise(34, on.after(60), shifts=False)
    for gear in ("2挡", "3挡", "4挡", "5挡"):
        on.shift(gear)
        on.wait(1)
    on.cruise(20, on.after(50), shifts=False)  # slow in the fifth
    on.cruise(32, on.after(40))
    on.stop()


def _night(on: Learner) -> None:
    on.prepare()
    on.pull_away(accelerator=0.2)
    on.cruise(18, on.past("起步"))
    on.cruise(32, on.after(70))
    on.cruise(50, on.past("夜间行驶"))
    on.wait(1.5)  # too fast for a car that comes towards it
    on.cruise(25, on.past("会车"))
    on.cruise(10, on.after(30))
    on.stop()
    on.wait(2)
    on.park()


def _hill(on: Learner) -> None:
    on.prepare()
    on.pull_away()
    on.cruise(5, on.on("坡道定点停车和起步"), shifts=False)
    on.cruise(6, on.after(8), shifts=False)
    on.stop()
    on.wait(3)  # no handbrake
    on.tick(brake=0.0)  # rolls back
    on.wait(1.2)
    on.do(brake=1.0)
    on.wait(2)
    on.do(handbrake=True)
    on.wait(2)
    on.let("clutch", SMOOTH, 1.5)
    on.do(brake=0.0)
    on.let("accelerator", 0.7, 0.8)
    on.do(handbrake=False)
    on.hold(lambda: on.car.speed * 3.6 > 4)
    on.let("clutch", 0.0, 1.0)
    on.cruise(6, on.past("坡道定点停车和起步"), shifts=False)
    on.stop()


def _garage(on: Learner) -> None:
    on.prepare()
    on.pull_away()
    on.cruise(4, on.on("倒车入库"), shifts=False)
    on.stop()
    on.wait(1.5)
    on.pull_away("倒挡", accelerator=0.5)  # with the accelerator
    on.hold(lambda: on.car.kmh > 8.5, accelerator=0.9)
    on.wait(1.0)
    on.tick(accelerator=0.0)
    on.wait(1)
    on.stop()
    on.wait(2)
    on.pull_away("1挡")
    on.cruise(4, on.past("倒车入库"), shifts=False)
    on.stop()


def _parallel(on: Learner) -> None:
    on.prepare()
    on.pull_away("R挡")  # backwards where it must go ahead
    on.hold(on.after(2))
    on.stop()
    on.pull_away("D挡")
    on.hold(on.on("侧方停车"))
    on.stop()
    on.pull_away("R挡")
    on.hold(on.after(6))
    on.stop()
    on.wait(2)
    on.pull_away("D挡", accelerator=0.2)
    on.cruise(5, on.past("侧方停车"))
    on.stop()


def _curve(on: Learner) -> None:
    on.prepare()
    on.pull_away()
    on.cruise(5, on.on("曲线行驶"), shifts=False)
    on.cruise(5, on.after(10), shifts=False)
    on.stop()  # in the middle of it
    on.wait(4)
    on.pull_away()
    on.tick(clutch=1.0)  # rolls on with the clutch down, and slows
    on.wait(2)
    on.let("clutch", 0.0, 0.8)
    on.cruise(5, on.past("曲线行驶"), shifts=False)
    on.stop()


def _right_angle(on: Learner) -> None:
    on.prepare()
    on.pull_away()
    on.cruise(5, on.on("直角转弯"), shifts=False)
    on.hold(lambda: on.car.kmh > 9, accelerator=0.6)  # gives it throttle
    on.wait(1)
    on.tick(brake=0.3)  # both pedals
    on.wait(1.5)
    on.tick(accelerator=0.0, brake=0.0)
    on.cruise(5, on.past("直角转弯"), shifts=False)
    on.stop()


def _crossing(on: Learner) -> None:
    on.prepare()
    on.pull_away(accelerator=0.3)
    on.cruise(18, on.past("起步"))
    on.cruise(44, on.on("通过人行横道线"))
    on.wait(1.5)  # on to the crossing at 40
    on.cruise(20, on.after(30))
    on.tick(accelerator=0.3, brake=0.3)  # both pedals
    on.wait(2)
    on.tick(accelerator=0.0, brake=0.0)
    on.cruise(25, on.after(20))
    on.do(gear="N挡")  # coasts in neutral
    on.wait(3)
    on.do(gear="D挡")
    on.cruise(25, on.after(20))
    on.stop()


def _route(on: Learner, *, careful: bool = True) -> None:
    on.prepare()
    on.pull_away(accelerator=0.2)
    while (item := on.item) != "靠边停车":
        if careful:  # slower before the next item begins
            on.cruise(_SPEEDS[item], lambda: on.course.ahead(on.car)[1] < 22)
            on.cruise(min(_SPEEDS[item], _SPEEDS[on.course.ahead(on.car)[2].item]), on.past(item))
        else:
            on.cruise(_SPEEDS[item] + _HURRY.get(item, 0), on.past(item))
    on.cruise(12, on.after(25))
    on.stop()
    on.wait(2)
    on.park()
    on.do(door_open=True)
    on.wait(4)
    on.do(door_open=False)


_SPEEDS: Final = {
    "起步": 16, "非项目区域": 34, "直线行驶": 38, "加减挡位操作": 36, "变更车道": 36, "直行通过路口": 24,
    "通过人行横道线": 20, "通过学校区域": 22, "路口左转弯": 20, "通过公共汽车站": 22, "会车": 30, "超车": 42,
    "路口右转弯": 18, "掉头": 12, "夜间行驶": 32, "靠边停车": 15,
}  # fmt: skip
_HURRY: Final = {"通过学校区域": 22, "路口左转弯": 20, "掉头": 12, "直线行驶": -16}


DRIVES: Final[Mapping[str, Drive]] = MappingProxyType(
    {
        "door-open": Drive("起步", "手动挡", "pulls away with the door open", _door_open),
        "belt-forgotten": Drive("起步", "手动挡", "drives without the belt", _belt_forgotten),
        "handbrake-on": Drive("起步", "手动挡", "pulls away with the handbrake on", _handbrake_on),
        "stalls": Drive("起步", "手动挡", "stalls twice, and turns the key in gear", _stalls),
        "half-clutch": Drive("直线行驶", "手动挡", "drives on half a clutch, rolls with it down", _half_clutch),
        "wrong-gear": Drive(
            "直线行驶", "手动挡", "pulls away in third, stays in it too long, then too slow in fifth", _wrong_gear
        ),
        "night": Drive("夜间", "手动挡", "no lights at night, too fast when a car comes", _night),
        "hill": Drive("坡道定点停车和起步", "手动挡", "no handbrake on the hill, rolls back", _hill),
        "garage": Drive("倒车入库", "手动挡", "reverses too fast", _garage),
        "parallel": Drive("侧方停车", "自动挡", "starts backwards between the items", _parallel),
        "curve": Drive("曲线行驶", "手动挡", "stops in the curve, rolls with the clutch down", _curve),
        "right-angle": Drive("直角转弯", "手动挡", "too fast, both pedals", _right_angle),
        "crossing": Drive("人行横道", "自动挡", "too fast at the crossing, both pedals, coasts in neutral", _crossing),
        "route": Drive("科目三路线", "手动挡", "none that is meant", _route),
        "route-hurried": Drive(
            "科目三路线", "手动挡", "too fast where it must be slow, too slow on the straight",
            lambda on: _route(on, careful=False),
        ),
    }
)  # fmt: skip
"""The drives by name."""


def drive_files() -> dict[str, str]:
    """File names and contents."""
    return {f"{name}.jsonl": drive.written() for name, drive in DRIVES.items()}


def drives_page(scores: Mapping[str, Sequence[str]]) -> str:
    """The page on the drives (Markdown): what is driven and done wrong, and the ``scores``, a table by voice."""
    rows = [
        f"| [{name}](../datasets/drives/{name}.jsonl) | {drive.course} | {drive.vehicle} | {drive.mistakes} |"
        for name, drive in DRIVES.items()
    ]
    lines = [
        "# Drives",
        "",
        "Generated by `drivecoach refresh`; do not edit. Learners' drives out of the simulator in",
        "`drivecoach/domains/driving/drives/`: a car with clutch, gears and an engine that stalls, on courses with the",
        "items of the exam. Each file of `datasets/drives/` holds one drive, a state a line: every change, looked for",
        "ten times a second, and one state a second. The learners do not hear the coach. How it decides when to",
        "speak, and how such files are replayed: [live coaching](live.md).",
        "",
        "| drive | course | car | mistakes |",
        "|---|---|---|---|",
        *rows,
        "",
        "## Scores",
        "",
        "`drivecoach live --score datasets/drives/*.jsonl --model rules --voice VOICE`. The answers are there at once.",
        "A model is scored in the same way: `--model runs/nano`.",
        "",
        "- **dangers**: times in which the right answer is 危险; **missed**: those in which no danger was said. One",
        "  that was said no more than its rest before the time began counts as said.",
        "- **over-triggers**: sentences that are not the right one, or are no longer so half a second later.",
        "- **repeats**: sentences below 危险 that were said in the half minute before.",
        "- **delays**: from when a danger begins, or another sentence becomes right, until it is said.",
    ]
    for voice, table in scores.items():
        lines += ["", f"### {voice}", "", *table]
    return "\n".join(lines) + "\n"
