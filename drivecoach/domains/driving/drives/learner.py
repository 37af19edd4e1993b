"""A learner at the wheel: what hands and feet do one after another, at a learner's pace, noted ten times a second."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from drivecoach.domains.driving.drives.car import DT, Car, parked, step
from drivecoach.domains.driving.drives.course import Course, features
from drivecoach.domains.driving.line import write_line
from drivecoach.domains.driving.words import Gear, Vehicle

STEPS = 2
"""Steps of the car from one noted state to the next."""
KEEPS = 1.0
"""Seconds after which a state is noted again though nothing has changed."""
SMOOTH = 0.45
"""How far the clutch pedal is let up where the car pulls away without a jerk."""
_MOST = 90.0
"""Seconds that a learner waits for something to come about; a drive that needs more is wrong."""


class Learner:
    """Drives a course; ``notes`` are (seconds, line), one whenever the line changed, and one a second."""

    def __init__(self, course: Course, vehicle: Vehicle, seed: int) -> None:
        self.course = course
        self.car: Car = parked(vehicle)
        self.notes: list[tuple[float, str]] = []
        self._draw = random.Random(seed)  # noqa: S311  # reproducible, not secret
        self._ticks = 0
        self._note()

    @property
    def manual(self) -> bool:
        """Whether there is a clutch."""
        return self.car.vehicle == "手动挡"

    @property
    def item(self) -> str:
        """The item that the car is in."""
        return self.course.leg(self.car).item

    # --- time ---

    def tick(self, **controls: Any) -> None:
        """A tenth of a second with these controls, and what the sensors say then."""
        changed = replace(self.car.controls, **controls)
        for _ in range(STEPS):
            self.car = step(self.car, changed, DT, self.course.leg(self.car).slope)
        self._ticks += 1
        self._note()

    def wait(self, seconds: float) -> None:
        """Leave everything as it is."""
        for _ in range(round(seconds / (STEPS * DT))):
            self.tick()

    def hold(self, come: Callable[[], bool], **controls: Any) -> None:
        """Keep these controls until that has come about."""
        for _ in range(round(_MOST / (STEPS * DT))):
            if come():
                return
            self.tick(**controls)
        raise AssertionError(f"what the learner waits for does not come about: {self.car}")

    def do(self, **controls: Any) -> None:
        """Change something, after the time that a learner needs to find it."""
        self.wait(self._draw.choice((0.5, 0.7, 0.9)))
        self.tick(**controls)

    def let(self, pedal: str, to: float, seconds: float) -> None:
        """Move a pedal evenly."""
        start = float(getattr(self.car.controls, pedal))
        count = max(1, round(seconds / (STEPS * DT)))
        for number in range(1, count + 1):
            self.tick(**{pedal: round(start + (to - start) * number / count, 3)})

    # --- what is done in one go ---

    def prepare(self, *, door: bool = True, belt: bool = True) -> None:
        """Get in, shut the door and fasten the belt, or forget it; start the engine."""
        self.tick(door_open=True)
        self.wait(1.5)
        if door:
            self.do(door_open=False)
        if belt:
            self.do(belt=True)
        self.wait(2.0)
        self.start()

    def start(self) -> None:
        """Turn the key, with the clutch or brake down and the lever where it must be."""
        if self.manual:
            self.do(clutch=1.0)
            if self.car.controls.gear != "空挡":
                self.do(gear="空挡")
        else:
            self.do(brake=1.0)
        self.do(ignition="start")
        self.tick(ignition="")

    def pull_away(self, gear: str = "", *, handbrake: bool = True, accelerator: float = 0.0) -> None:
        """Put the gear in, let the handbrake off, and let the clutch up through its bite."""
        chosen = cast(Gear, gear or ("1挡" if self.manual else "D挡"))
        self.do(brake=1.0, **({"clutch": 1.0} if self.manual else {}))
        self.do(gear=chosen)
        self.wait(1.0)
        if handbrake:
            self.do(handbrake=False)
        self.wait(1.0)
        if not self.manual:
            self.let("brake", 0.0, 0.8)
            if accelerator:
                self.let("accelerator", accelerator, 0.5)
            return
        self.let("clutch", SMOOTH, 1.2)
        self.do(brake=0.0)
        if accelerator:
            self.let("accelerator", accelerator, 0.5)
        self.hold(lambda: self.car.kmh > 3.2)
        self.let("clutch", 0.0, 0.8)

    def shift(self, gear: str) -> None:
        """Another gear while the car rolls."""
        self.tick(accelerator=0.0)
        self.tick(clutch=1.0)
        self.wait(0.3)
        self.tick(gear=gear)
        self.wait(0.2)
        self.let("clutch", 0.0, 0.5)

    def cruise(self, kmh: float, done: Callable[[], bool], *, shifts: bool = True) -> None:
        """Hold a speed with steady feet, and the gear that goes with it, until that has come about."""
        pedals = {"accelerator": 0.0, "brake": 0.0}
        for number in range(round(_MOST / (STEPS * DT))):
            if done():
                return
            off, hill = kmh - self.car.kmh, 4 * self.course.leg(self.car).slope
            if number % 8 == 0:  # feet are not moved more often than this
                pedals = {"accelerator": 0.0, "brake": 0.0}
                if off > 1.5:
                    pedals["accelerator"] = round(min(0.8, 0.25 + off / 30 + hill), 2)
                elif off < -4:
                    pedals["brake"] = round(min(0.25, -off / 60), 2)
                elif off > -1:
                    pedals["accelerator"] = round(0.15 + hill, 2)
            if shifts and self.manual and number % 12 == 6 and (gear := self._gear()):
                self.shift(gear)
            self.tick(**pedals)
        raise AssertionError(f"what the learner drives for does not come about: {self.car}")

    def stop(self, *, firmly: float = 0.35) -> None:
        """Brake to a stand, the clutch down before the engine stalls."""
        self.tick(accelerator=0.0, brake=firmly)
        if self.manual:
            low = 12.0 if self.course.site == "科目三" else 30.0
            self.hold(lambda: self.car.kmh < low)
            self.tick(clutch=1.0)
        self.hold(lambda: self.car.kmh == 0)
        self.tick(brake=1.0)

    def park(self) -> None:
        """Handbrake, lever out of gear, engine off, pedals free."""
        self.do(handbrake=True)
        self.do(gear="空挡" if self.manual else "P挡")
        self.do(ignition="off")
        self.tick(ignition="")
        self.do(brake=0.0, **({"clutch": 0.0} if self.manual else {}))
        self.wait(2.0)

    def on(self, item: str) -> Callable[[], bool]:
        """Whether that item has come."""
        return lambda: self.item == item

    def past(self, item: str) -> Callable[[], bool]:
        """Whether the car has left that item."""
        return lambda: self.item != item

    def after(self, meters: float) -> Callable[[], bool]:
        """Whether that many metres more have been driven."""
        end = self.car.travelled + meters
        return lambda: self.car.travelled >= end

    def _gear(self) -> str | None:
        """The gear that goes with the speed, where it is another one; it goes down later than up."""
        gears = ("1挡", "2挡", "3挡", "4挡")
        now = gears.index(self.car.controls.gear) if self.car.controls.gear in gears else 0
        if now < 3 and self.car.kmh > (14, 24, 36)[now]:
            return gears[now + 1]
        if now > 0 and self.car.kmh < (9, 18, 28)[now - 1]:
            return gears[now - 1]
        return None

    def _note(self) -> None:
        time, line = round(self._ticks * STEPS * DT, 1), write_line(features(self.car, self.course))
        if not self.notes or self.notes[-1][1] != line or time - self.notes[-1][0] >= KEEPS - 0.01:
            self.notes.append((time, line))
