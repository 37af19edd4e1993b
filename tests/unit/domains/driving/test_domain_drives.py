"""The learner's car and the drives: a car that obeys, states that are all legal, mistakes that are what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.drives import COURSES, DRIVES, Car, Controls, features, step
from drivecoach.domains.driving.drives.car import DT, parked
from drivecoach.domains.driving.words import GEARS

ROOT = Path(__file__).parents[4]
GOES: dict[str, Any] = {"handbrake": False, "belt": True}


def drive(car: Car, seconds: float, slope: float = 0.0, **controls: Any) -> Car:
    """The car after a while with these controls changed."""
    changed = replace(car.controls, **controls)
    for _ in range(round(seconds / DT)):
        car = step(car, changed, DT, slope)
    return car


def running(vehicle: str = "手动挡", **controls: Any) -> Car:
    """A car whose engine has just been started."""
    car = drive(parked(vehicle), DT, clutch=1.0, brake=1.0, ignition="start")  # type: ignore[arg-type]
    assert car.running
    return drive(car, DT, ignition="", **controls)


def test_pulling_away_by_the_clutch_alone() -> None:
    car = drive(running(gear="1挡", **GOES), 3, clutch=0.45, brake=0.0)
    assert car.running and car.kmh > 3
    car = drive(car, 5, clutch=0.0)
    assert car.running and 4 < car.kmh < 8, "it idles on in the first gear"


def test_a_clutch_that_is_let_go_stalls_the_engine() -> None:
    assert not drive(running(gear="1挡", **GOES), DT, clutch=0.0, brake=0.0).running
    assert not drive(running(gear="3挡", **GOES), 1, clutch=0.3, brake=0.0).running
    assert not drive(running(gear="1挡", **GOES), 1, clutch=0.3, brake=1.0).running, "against the brake"


def test_the_key_starts_it_out_of_gear_or_with_the_clutch_down_only() -> None:
    standing = parked("手动挡")
    assert not drive(standing, DT, gear="1挡", ignition="start").running
    assert drive(standing, DT, gear="1挡", clutch=1.0, ignition="start").running
    assert not drive(parked("自动挡"), DT, gear="D挡", brake=1.0, ignition="start").running


def test_gears_give_speed_and_the_brake_takes_it() -> None:
    car = drive(running(gear="1挡", **GOES), 3, clutch=0.45, brake=0.0, accelerator=0.3)
    car = drive(car, 20, clutch=0.0, accelerator=1.0)
    first = car.kmh
    car = drive(car, 20, gear="3挡")
    assert car.kmh > first + 20
    assert drive(car, 6, clutch=1.0, accelerator=0.0, brake=1.0).kmh == 0


def test_a_hill_rolls_it_back_unless_the_handbrake_holds_it() -> None:
    free = running(clutch=1.0, brake=0.0, **GOES)
    assert drive(free, 2, slope=0.1).speed < -1
    assert drive(free, 2, slope=0.1, handbrake=True).speed == 0


def test_an_automatic_creeps_reverses_and_parks() -> None:
    creeps = drive(running("自动挡", gear="D挡", **GOES), 5, brake=0.0)
    assert 4 < creeps.kmh < 7
    assert drive(running("自动挡", gear="R挡", **GOES), 5, brake=0.0).speed < -1
    assert drive(creeps, 1, gear="P挡").speed == 0


PEDAL = st.sampled_from([0.0, 0.3, 0.6, 1.0])


@given(st.data())
def test_any_driving_gives_a_legal_state_and_a_speed_of_a_car(data: st.DataObject) -> None:
    course = data.draw(st.sampled_from(sorted(COURSES)), "course")
    vehicles = ["手动挡"] if course == "坡道定点停车和起步" else ["手动挡", "自动挡"]
    vehicle: Any = data.draw(st.sampled_from(vehicles), "vehicle")
    car = parked(vehicle)
    for _ in range(data.draw(st.integers(1, 12), "changes")):
        controls = Controls(
            gear=data.draw(st.sampled_from(GEARS[vehicle])),  # type: ignore[arg-type]
            clutch=data.draw(PEDAL) if vehicle == "手动挡" else 0.0,
            brake=data.draw(PEDAL),
            accelerator=data.draw(PEDAL),
            handbrake=data.draw(st.booleans()),
            belt=data.draw(st.booleans()),
            door_open=data.draw(st.booleans()),
            ignition=data.draw(st.sampled_from(["", "start", "off"])),
        )
        before = car
        for _ in range(20):
            car = step(car, controls, DT, COURSES[course].leg(car).slope)
        again = before
        for _ in range(20):
            again = step(again, controls, DT, COURSES[course].leg(again).slope)
        assert again == car, "the same controls give the same drive"
        state = features(car, COURSES[course])
        assert DRIVING.read_input(DRIVING.write_input(state)) == state
        assert car.kmh < 200 and car.travelled >= before.travelled


RULES = {
    "door-open": {"C04", "A02"},
    "belt-forgotten": {"C05", "A06"},
    "handbrake-on": {"A15", "A16", "C25"},
    "stalls": {"C10", "C11"},
    "half-clutch": {"B13", "B12"},
    "wrong-gear": {"C23", "B08", "B10"},
    "night": {"E31", "B03", "A17"},
    "hill": {"C24", "D06"},
    "garage": {"B01", "E01", "E02"},
    "parallel": {"C18", "A11", "E03"},
    "curve": {"D02", "B15"},
    "right-angle": {"B01", "A09"},
    "crossing": {"A17", "A09", "A13"},
    "route": {"E13", "E18", "E29", "E30", "E31", "C02", "C01"},
    "route-hurried": {"A17", "B21"},
}
"""What the mistakes of each drive lead to, among others."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[dict[str, Any]]]:
    files = sorted((ROOT / "datasets/drives").glob("*.jsonl"))
    return {path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in files}


def test_every_drive_is_there_with_its_mistakes(recorded: dict[str, list[dict[str, Any]]]) -> None:
    assert recorded.keys() == DRIVES.keys() == RULES.keys()
    for name, rows in recorded.items():
        times = [row["time"] for row in rows]
        assert times[0] == 0 and all(0.09 < later - time < 1.01 for time, later in pairwise(times)), name
        met = {DRIVING.advise(DRIVING.read_input(row["state"])).rule.id for row in rows}
        assert RULES[name] <= met, (name, RULES[name] - met)


def test_all_courses_are_driven_and_a_route_meets_every_item(recorded: dict[str, list[dict[str, Any]]]) -> None:
    assert {drive.course for drive in DRIVES.values()} == COURSES.keys()
    items = {DRIVING.read_input(row["state"]).item for row in recorded["route"]}
    assert items == {leg.item for leg in COURSES["科目三路线"].legs} and len(items) == 17


def test_a_drive_is_the_same_wherever_it_is_made(recorded: dict[str, list[dict[str, Any]]]) -> None:
    notes = DRIVES["hill"].notes()
    assert [(row["time"], row["state"]) for row in recorded["hill"]] == notes
