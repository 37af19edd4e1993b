"""The car: where its pedals and levers stand, how fast it rolls, whether its engine runs; one pure step in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from drivecoach.domains.driving.words import Gear, Vehicle

DT: Final = 0.05
"""Seconds of one step; the same controls in steps of this length give the same drive everywhere."""

BITES, DOWN = 0.2, 0.8
"""The clutch pedal's travel: up to the first the clutch is closed, from the second on it is open, between it slips."""
PRESSED = 0.05
"""From where on a brake or accelerator counts as pressed."""

KMH_AT_1000: Final[Mapping[str, float]] = MappingProxyType(
    {"1挡": 7.5, "2挡": 14.0, "3挡": 21.0, "4挡": 29.0, "5挡": 37.0, "倒挡": -7.0}
)
"""The speed of the road at 1000 turns of the engine, by gear."""
_PULL: Final[Mapping[str, float]] = MappingProxyType(
    {"1挡": 3.2, "2挡": 2.1, "3挡": 1.6, "4挡": 1.2, "5挡": 0.9, "倒挡": -2.6, "D挡": 2.2, "R挡": -2.0}
)
"""Acceleration at full throttle in m/s², by gear."""
_IDLE = 800.0
"""Turns a minute that the engine holds by itself."""
_STALLS = 420.0
"""Turns below which it stalls when the clutch is closed."""
_CREEP = 6.0 / 3.6
"""The speed at which an automatic rolls by itself, in m/s."""
_BRAKE, _HANDBRAKE, _PARKED = 7.0, 1.2, 20.0
"""What they slow the car by, in m/s²."""
_DRAG = 0.12
_GRAVITY = 9.81


@dataclass(frozen=True)
class Controls:
    """What the driver does: pedals from 0 (free) to 1 (to the floor), levers, and what is open or shut."""

    gear: Gear
    clutch: float = 0.0
    brake: float = 0.0
    accelerator: float = 0.0
    handbrake: bool = True
    belt: bool = True
    door_open: bool = False
    lights: bool = False
    ignition: Literal["", "start", "off"] = ""
    """The key while it is turned."""


@dataclass(frozen=True)
class Car:
    """The car at one moment."""

    vehicle: Vehicle
    controls: Controls
    running: bool = False
    started: bool = False
    """Whether the engine has run at all."""
    speed: float = 0.0
    """Metres a second; below 0 it rolls backwards."""
    travelled: float = 0.0
    """Metres, whichever way."""
    rpm: float = 0.0

    @property
    def kmh(self) -> float:
        """The speed in km/h, whichever way."""
        return abs(self.speed) * 3.6


def parked(vehicle: Vehicle) -> Car:
    """A car as a learner finds it: engine off, handbrake on, no gear, doors shut, nobody belted."""
    return Car(vehicle, Controls("空挡" if vehicle == "手动挡" else "P挡", belt=False))


def grip(car: Car) -> float:
    """How far the clutch is closed: 0 the engine is cut off, 1 it is fast to the wheels."""
    if car.vehicle == "自动挡":
        return 1.0
    return min(1.0, max(0.0, (DOWN - car.controls.clutch) / (DOWN - BITES)))


def step(car: Car, controls: Controls, dt: float = DT, slope: float = 0.0) -> Car:
    """The car after ``dt`` seconds with these controls, on a road that rises by ``slope`` metres a metre."""
    car = replace(car, controls=controls)
    running = _runs(car)
    turns = car.speed * 3.6 / KMH_AT_1000[controls.gear] * 1000 if controls.gear in KMH_AT_1000 else _IDLE
    closed = grip(car)
    if running and car.vehicle == "手动挡" and controls.gear in KMH_AT_1000 and _stalls(car, closed, turns):
        running = False
    push = _push(replace(car, running=running), closed, turns) - _GRAVITY * slope
    held = _BRAKE * controls.brake + _HANDBRAKE * controls.handbrake + _DRAG + _PARKED * (controls.gear == "P挡")
    if not running and closed > 0.5 and controls.gear in KMH_AT_1000:
        held += 1.5  # the dead engine holds the wheels
    speed = car.speed + push * dt
    slowed = held * dt
    speed = 0.0 if abs(speed) <= slowed else speed - slowed if speed > 0 else speed + slowed
    rpm = 0.0
    if running:
        free = _IDLE + 3500 * controls.accelerator
        rpm = free * (1 - closed) + max(_IDLE, turns) * closed if controls.gear in KMH_AT_1000 else free
    return replace(
        car,
        running=running,
        started=car.started or running,
        speed=speed,
        travelled=car.travelled + abs(car.speed + speed) / 2 * dt,
        rpm=round(rpm, 1),
    )


def _runs(car: Car) -> bool:
    """Whether the engine runs once the key is where it is; it starts with the wheels cut off only."""
    controls = car.controls
    if controls.ignition == "off":
        return False
    if controls.ignition == "start" and not car.running:
        return controls.gear in ("空挡", "P挡", "N挡") or (car.vehicle == "手动挡" and grip(car) == 0.0)
    return car.running


def _stalls(car: Car, closed: float, turns: float) -> bool:
    """A closed clutch on wheels that are too slow stalls the engine: sooner in a high gear or against a brake."""
    controls = car.controls
    hard = controls.brake > PRESSED or controls.handbrake or controls.gear not in ("1挡", "倒挡")
    limit = 0.6 if hard and controls.accelerator < 0.5 else 0.95
    return closed > limit and turns < _STALLS


def _push(car: Car, closed: float, turns: float) -> float:
    """What the engine does to the speed, in m/s²."""
    gear, throttle = car.controls.gear, car.controls.accelerator
    if not car.running or gear not in _PULL:
        return 0.0
    if car.vehicle == "自动挡":
        sign = 1.0 if gear == "D挡" else -1.0
        ahead = car.speed * sign
        idle = 1.0 * (1 - ahead / _CREEP) if ahead < _CREEP else -0.3
        return sign * idle * (throttle < PRESSED) + _PULL[gear] * throttle * max(0.0, 1 - ahead / 40)
    sign = 1.0 if KMH_AT_1000[gear] > 0 else -1.0
    if throttle >= PRESSED:
        return closed * _PULL[gear] * throttle * max(0.0, 1 - turns / 6000)
    idle = max(-0.8, min(0.9, (_IDLE - turns) / _IDLE * 1.4))  # creeps up to idle speed, or brakes by the engine
    return sign * closed * idle
