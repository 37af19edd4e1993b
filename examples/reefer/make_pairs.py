"""Writes pairs.jsonl: readings sampled as they occur on the road, each labelled by a dispatcher's rules of thumb.

    python make_pairs.py [FILE]

The same seed gives the same bytes. The rules stand here and not in the domain: a model has the pairs alone.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import get_args

from schema import LIMITS, Advice, Cargo, Check, Phase, Reading, domain

ROWS = 3500
SEED = 20240601
CARGOES: tuple[Cargo, ...] = get_args(Cargo)
PHASES: tuple[Phase, ...] = get_args(Phase)
LONG_IDLE = 20
"""Minutes after which a compressor that should be running is not going to start by itself."""
DOOR_OPEN = {"pre-cooling": 0.15, "loading": 0.6, "driving": 0.1, "waiting": 0.2, "unloading": 0.6}


def label(reading: Reading) -> Advice:
    """What the dispatcher says: the first of her rules that fits."""
    limits = LIMITS[reading.cargo]
    over = reading.measured - limits.high
    right = limits.low <= reading.set <= limits.high
    setpoint = reading.set if right else limits.best
    loaded = reading.phase != "pre-cooling"
    at_dock = reading.phase in ("loading", "unloading")
    name, degrees = reading.cargo, f"{reading.measured:g} °C"

    def advice(action: str, look_again: float, checks: list[Check], say: str) -> Advice:
        return Advice.model_validate(
            {"action": action, "setpoint": setpoint, "look_again": int(look_again), "checks": checks, "say": say}
        )

    if reading.door_open and not at_dock:
        where = "Stop at the next safe place and close" if reading.phase == "driving" else "Close"
        return advice("close the door", 5, ["door seal"], f"{where} the door, {name} at {degrees}.")
    if reading.door_open and over > 0:
        checks: list[Check] = ["strip curtain", "product temperature"]
        return advice("close the door", 10, checks, f"Stop {reading.phase}: {degrees}.")
    if loaded and over > limits.grace:
        cause: list[Check] = ["fuel and power"] if reading.idle > LONG_IDLE else []
        cause = cause if right else ["transport document"]
        verb = "load" if reading.phase == "loading" else "deliver"
        say = f"Do not {verb} the {name}: {degrees}, at most {limits.high:g} °C is allowed."
        return advice("report the cargo", 5, [*cause, "product temperature", "temperature record"], say)
    if not right:
        say = f"Set {limits.best:g} °C for {name}."
        return advice("correct the setpoint", 15, ["transport document"], say)
    if reading.door_open and reading.idle < 3:
        say = f"Unit off while {reading.phase} with the door open."
        return advice("switch the unit off", 10, ["strip curtain"], say)
    if over > 0 and reading.idle > LONG_IDLE:
        return advice("call service", 10, ["fuel and power"], f"The unit does not start, {degrees} and rising.")
    if over > 0:
        wait = min(90, 10 + 5 * over)
        say = f"Cool down, {degrees}." if loaded else f"Not ready to load, {degrees}."
        return advice("cool down", wait, ["evaporator ice"], say)
    if reading.measured < limits.low:
        say = f"Too cold for {name}: {degrees}, at least {limits.low:g} °C is needed."
        return advice("warm up", 10, ["sensor", "product temperature"] if loaded else ["sensor"], say)
    if reading.door_open:
        return advice("hold", 10, ["strip curtain"], f"Go on {reading.phase}, {degrees}.")
    if not loaded:
        return advice("hold", 15, ["transport document"], f"Ready to load, {degrees}.")
    return advice("hold", 30 if at_dock or over > -1 else 60, [], f"All in order, {name} at {degrees}.")


def sample(rng: random.Random) -> Reading:
    """A reading: most near what is set, many around the limits, where the decisions are."""
    cargo, phase = rng.choice(CARGOES), rng.choice(PHASES)
    limits = LIMITS[cargo]
    highest = min(limits.high, limits.best + 3)
    if rng.random() < 0.85:
        set_to = _half(rng.uniform(max(limits.low, limits.best - 3), highest))
    else:
        set_to = LIMITS[rng.choice(CARGOES)].best  # left from the last trip
    kind = rng.random()
    if kind < 0.45:
        measured = set_to + rng.uniform(-1, 1.5)
    elif kind < 0.75:
        measured = limits.high + rng.uniform(-1, limits.grace + 1)
    elif kind < 0.9:
        measured = limits.high + rng.uniform(limits.grace, 12)
    else:
        measured = limits.low + rng.uniform(-3, 1)
    idle = rng.choice([rng.randint(0, 5), rng.randint(0, 25), rng.randint(15, 90)])
    door_open = rng.random() < DOOR_OPEN[phase]
    measured = min(30.0, max(-30.0, _half(measured)))
    return Reading(cargo=cargo, phase=phase, set=set_to, measured=measured, door_open=door_open, idle=idle)


def _half(degrees: float) -> float:
    return round(degrees * 2) / 2 + 0.0  # no -0.0


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """``count`` different inputs with their answers."""
    rng = random.Random(seed)  # noqa: S311  # reproducible, not secret
    made: dict[str, str] = {}
    while len(made) < count:
        reading = sample(rng)
        made.setdefault(domain.write_input(reading), domain.write_answer(label(reading)))
    return list(made.items())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("pairs.jsonl")
    rows = [json.dumps({"input": text, "output": answer}, ensure_ascii=False) for text, answer in pairs(ROWS, SEED)]
    target.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
