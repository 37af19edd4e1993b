"""A person's drive in the simulated car: what was chosen, what hands and feet do, what instruments and sensors say."""

from __future__ import annotations

from dataclasses import replace
from math import isinf
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivecoach.domain import JsonObject
from drivecoach.domains.driving.drives import COURSES, Controls, Course, Leg, features, step
from drivecoach.domains.driving.drives.car import DT, grip, parked
from drivecoach.domains.driving.line import write_line
from drivecoach.domains.driving.words import GEARS, MANUAL_ONLY_ITEMS, Gear, Item, Site, Vehicle, items_of
from drivecoach.errors import Fault, InputError

Pedal = Annotated[float, Field(ge=0, le=1)]
Given = TypeVar("Given", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Choice(_Strict):
    """What is driven: a course by its name, or one item that never ends."""

    vehicle: Vehicle = "手动挡"
    course: str = ""
    site: Site = "科目三"
    item: Item | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.item is None) == (self.course == ""):
            raise ValueError("choose a course or an item")
        if self.course and self.course not in COURSES:
            raise ValueError(f"course is one of {', '.join(COURSES)}")
        items = [self.item] if self.item else [leg.item for leg in COURSES[self.course].legs]
        if self.item and self.item not in items_of(self.site, "手动挡"):
            raise ValueError(f"the items of {self.site} are {', '.join(items_of(self.site, self.vehicle))}")
        if self.vehicle == "自动挡" and (no := [item for item in items if item in MANUAL_ONLY_ITEMS]):
            raise ValueError(f"{no[0]} is not driven with 自动挡")
        return self

    @property
    def way(self) -> Course:
        """The course to drive."""
        if self.item is None:
            return COURSES[self.course]
        if self.item == "上车准备":  # ends when the engine runs
            return Course(self.item, self.site, (Leg(self.item), Leg("起步")))
        return Course(self.item, self.site, (Leg(self.item, slope=0.1 * (self.item == "坡道定点停车和起步")),))


class Hands(_Strict):
    """What hands and feet do."""

    gear: Gear
    clutch: Pedal = 0.0
    brake: Pedal = 0.0
    accelerator: Pedal = 0.0
    handbrake: bool
    belt: bool
    door_open: bool
    lights: bool = False
    ignition: Literal["", "start", "off"] = ""
    night: bool | None = None
    """Day or night by choice; null for as the course has it."""


class Trip:
    """One drive, from a car as a learner finds it."""

    def __init__(self, given: object) -> None:
        choice = _read(Choice, given, "drive")
        self.course = self._chosen = choice.way
        self.car = parked(choice.vehicle)
        self._key: Literal["", "start", "off"] = ""
        self._steps = 0

    def steer(self, given: object) -> None:
        """Take what hands and feet do; a key that was turned counts for one step, however briefly it was."""
        hands = _read(Hands, given, "controls")
        if hands.gear not in GEARS[self.car.vehicle]:
            allowed = ", ".join(GEARS[self.car.vehicle])
            raise InputError("no such controls", hint="correct them", faults=[Fault("gear", hands.gear, allowed)])
        self._key = hands.ignition or self._key
        clutch = hands.clutch if self.car.vehicle == "手动挡" else 0.0
        rest = hands.model_dump(exclude={"ignition", "night", "clutch"})
        self.car = replace(self.car, controls=Controls(**rest, clutch=clutch))
        self.course = self._chosen
        if hands.night is not None:
            legs = tuple(replace(leg, time="夜晚" if hands.night else "白天") for leg in self._chosen.legs)
            self.course = replace(self._chosen, legs=legs)

    def step(self) -> None:
        """A twentieth of a second."""
        controls = replace(self.car.controls, ignition=self._key)
        self._key = ""
        self.car = step(self.car, controls, DT, self.course.leg(self.car).slope)
        self._steps += 1

    @property
    def time(self) -> float:
        """Seconds driven."""
        return round(self._steps * DT, 2)

    @property
    def state(self) -> str:
        """The feature line."""
        return write_line(features(self.car, self.course))

    @property
    def shown(self) -> JsonObject:
        """Speed, revs, lamps, and where on the course the car is."""
        car, (leg, left, following) = self.car, self.course.ahead(self.car)
        slow, fast = self.course.band(car)
        return {
            "kmh": round(car.kmh, 1),
            "back": car.speed < 0,
            "rpm": round(car.rpm),
            "running": car.running,
            "stalled": car.started and not car.running,
            "grip": round(grip(car), 2),
            "site": self.course.site,
            "item": leg.item,
            "next": None if leg is following else following.item,
            "left": None if isinf(left) or leg is following else round(left),
            "travelled": round(car.travelled, 1),
            "slope": leg.slope,
            "night": leg.time == "夜晚",
            "slow": slow,
            "fast": fast,
        }


def _read(model: type[Given], given: object, what: str) -> Given:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [
            Fault(
                ".".join(map(str, one["loc"])) or what, _short(one["input"]), one["msg"].removeprefix("Value error, ")
            )
            for one in error.errors(include_url=False)
        ]
        names = ", ".join(model.model_fields)
        raise InputError(f"no such {what}", hint=f"give an object of: {names}", faults=faults[:20]) from None


def _short(value: Any) -> str:
    return repr(value)[:60]
