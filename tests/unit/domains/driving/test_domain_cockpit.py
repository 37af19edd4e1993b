"""The car that a person drives: whatever hands and feet do, its sensors say a legal state."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from drivecoach.domains.driving import DRIVING, DrivingDomain, Instruction, VehicleState
from drivecoach.domains.driving.cockpit import DrivingCockpit
from drivecoach.domains.driving.drives import COURSES
from drivecoach.domains.driving.words import GEARS, ITEMS, MANUAL_ONLY_ITEMS, items_of
from drivecoach.errors import InputError

COCKPIT = DrivingCockpit()
ROOT = Path(__file__).parents[4]
PEDAL = st.floats(0, 1)


@st.composite
def drives(draw: st.DrawFn) -> tuple[dict[str, str], list[dict[str, Any]]]:
    vehicle = draw(st.sampled_from(sorted(GEARS)))
    site = draw(st.sampled_from(sorted(ITEMS)))
    items = [{"site": site, "item": item} for item in items_of(site, vehicle)]
    allowed = [name for name, course in COURSES.items() if vehicle == "手动挡" or course.name not in MANUAL_ONLY_ITEMS]
    chosen = draw(st.sampled_from(items) | st.sampled_from([{"course": name} for name in allowed]))
    hands = st.fixed_dictionaries(
        {"gear": st.sampled_from(GEARS[vehicle])}
        | dict.fromkeys(("clutch", "brake", "accelerator"), PEDAL)
        | dict.fromkeys(("handbrake", "belt", "door_open", "lights"), st.booleans())
        | {"ignition": st.sampled_from(["", "start", "off"]), "night": st.sampled_from([None, True, False])}
    )
    return {"vehicle": vehicle, **chosen}, draw(st.lists(hands, min_size=1, max_size=8))


@given(drives())
@settings(max_examples=60, deadline=None)
def test_whatever_is_done_the_state_is_legal_and_answered(drive: tuple[dict[str, str], list[dict[str, Any]]]) -> None:
    choice, done = drive
    car = COCKPIT.begin(choice)
    for hands in done:
        car.steer(hands)
        for _ in range(20):
            car.step()
        assert DRIVING.write_input(DRIVING.read_input(car.state)) == car.state
        assert f"挡位:{hands['gear']}" in car.state and f"车辆类型:{choice['vehicle']}" in car.state
        assert all(math.isfinite(car.shown[name]) for name in ("kmh", "rpm", "slow", "fast", "travelled"))  # type: ignore[arg-type]
    assert car.time == len(done)


def test_every_item_and_course_that_the_page_offers_can_be_driven_but_the_hill_with_an_automatic() -> None:
    for vehicle in GEARS:
        for site, items in ITEMS.items():
            for item in items:
                if vehicle == "自动挡" and item in MANUAL_ONLY_ITEMS:
                    with pytest.raises(InputError):
                        COCKPIT.begin({"vehicle": vehicle, "site": site, "item": item})
                else:
                    assert f"当前项目:{item};" in COCKPIT.begin({"vehicle": vehicle, "site": site, "item": item}).state


def test_the_car_stalls_where_the_clutch_is_let_go_at_once_and_pulls_away_where_it_bites() -> None:
    hands = {"gear": "1挡", "handbrake": False, "belt": True, "door_open": False}
    for foot, runs in ((0.0, False), (0.45, True)):
        car = COCKPIT.begin({"course": "起步"})
        car.steer({**hands, "gear": "空挡", "clutch": 1.0, "ignition": "start"})
        car.step()
        car.steer({**hands, "clutch": foot})
        for _ in range(60):
            car.step()
        assert (car.shown["running"], car.shown["stalled"]) == (runs, not runs)
        assert (float(car.shown["kmh"]) > 3) == runs  # type: ignore[arg-type]


def test_night_is_as_the_course_has_it_until_it_is_chosen() -> None:
    car = COCKPIT.begin({"course": "夜间"})
    hands = {"gear": "空挡", "handbrake": True, "belt": True, "door_open": False, "ignition": "start"}
    car.steer(hands)
    car.step()
    assert car.shown["night"] and "夜晚" in car.state
    car.steer({**hands, "night": False})
    assert not car.shown["night"] and "白天" in car.state


def test_recorded_drives_are_those_of_the_files() -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "datasets/drives").glob("*.jsonl")}
    assert {*COCKPIT.recorded()} == {*files}
    assert COCKPIT.record("hill") == files["hill"]


def test_a_domain_whose_states_the_car_does_not_sense_has_no_cockpit() -> None:
    class Rainy(VehicleState):
        rain: Literal["干燥", "下雨"] = Field(alias="天气")

    assert DRIVING.cockpit is not None
    assert DrivingDomain("rainy", Rainy, Instruction).cockpit is None
