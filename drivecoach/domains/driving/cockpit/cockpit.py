"""What `drivecoach serve` asks the driving domain for its page: courses, items, gears, recorded drives, a car."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from drivecoach.domain import JsonObject
from drivecoach.domains.driving.cockpit.trip import Trip
from drivecoach.domains.driving.drives import COURSES, DRIVES
from drivecoach.domains.driving.drives.car import BITES, DOWN, DT
from drivecoach.domains.driving.drives.learner import STEPS
from drivecoach.domains.driving.words import GEARS, ITEMS, LEVELS, MANUAL_ONLY_ITEMS


class DrivingCockpit:
    """The learner's car and its page."""

    package = "drivecoach.domains.driving.cockpit"
    seconds = DT
    noted = STEPS

    def data(self) -> JsonObject:
        """The words and places that the page shows."""
        courses = [
            {"name": name, "site": course.site, "items": [leg.item for leg in course.legs]}
            for name, course in COURSES.items()
        ]
        known = {
            "levels": LEVELS,
            "courses": courses,
            "items": dict(ITEMS),
            "manual_only": MANUAL_ONLY_ITEMS,
            "gears": dict(GEARS),
            "clutch": {"bites": BITES, "down": DOWN},
        }
        return cast(JsonObject, known)

    def begin(self, given: object) -> Trip:
        """A car on what was chosen."""
        return Trip(given)

    def recorded(self) -> Sequence[str]:
        """The shipped drives."""
        return tuple(DRIVES)

    def record(self, name: str) -> str:
        """A shipped drive, driven anew: the same, state by state, as its file in ``datasets/drives``."""
        return DRIVES[name].written()
