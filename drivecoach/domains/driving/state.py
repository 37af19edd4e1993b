"""One reading of the car: the 13 features as a checked, frozen model; the walk over all legal readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivecoach.domains.driving.words import (
    ATTRIBUTES,
    CLUTCHES,
    FEATURES,
    GEARS,
    ITEMS,
    Clutch,
    Door,
    Engine,
    Gear,
    Handbrake,
    Item,
    Pedal,
    Seatbelt,
    Site,
    Speed,
    Time,
    Vehicle,
    items_of,
)
from drivecoach.errors import Fault


class VehicleState(BaseModel):
    """What the sensors say at one moment, from one car on one site."""

    # Fields can be given by attribute or by feature name, and leave as feature names with by_alias=True.
    # A value outside its list or an impossible combination (rule description 1.2) is a
    # pydantic.ValidationError; parse_line is the reader that lists faults one by one.

    model_config = ConfigDict(
        alias_generator={attribute: name for name, attribute in ATTRIBUTES.items()}.__getitem__,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        title="VehicleState",
    )

    site: Site = Field(description="training ground (科目二) or public road (科目三)")
    item: Item = Field(description="the exam item; 非项目区域 is between items")
    vehicle: Vehicle = Field(description="manual (手动挡) or automatic (自动挡)")
    gear: Gear = Field(description="lever position now")
    handbrake: Handbrake = Field(description="放下 = released, 拉起 = applied")
    engine: Engine = Field(description="打火 = running, 熄火 = stopped")
    seatbelt: Seatbelt = Field(description="the driver's belt: 系上 = on, 未系 = off")
    door: Door = Field(description="打开 = any door not fully shut")
    clutch: Clutch = Field(description="踩下 = fully down, 半联动 = bite point, 无 = automatic")
    brake: Pedal = Field(description="foot brake")
    accelerator: Pedal = Field(description="accelerator")
    speed: Speed = Field(description="静止 = not moving; the others relative to the item")
    time: Time = Field(description="day (白天) or night (夜晚)")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = contradictions({name: getattr(self, attribute) for name, attribute in ATTRIBUTES.items()})
        if faults:
            raise ValueError("impossible combination: " + "; ".join(map(str, faults)))
        return self


def contradictions(values: Mapping[str, str]) -> list[Fault]:
    """Every impossible pair among feature values (rule description 1.2, items 1-4).

    ``values`` maps Chinese feature names to values; absent features and values outside their list are
    skipped, so that a half-read line can be judged too.
    """
    known = {name: value for name, value in values.items() if value in FEATURES.get(name, ())}
    site, vehicle = known.get("场地类型"), known.get("车辆类型")
    faults = []

    def refuse(name: str, allowed: tuple[str, ...], given: str) -> None:
        if name in known and known[name] not in allowed:
            faults.append(Fault(name, known[name], f"{given}: {', '.join(allowed)}"))

    if site and vehicle:
        refuse("当前项目", items_of(site, vehicle), f"{site} {vehicle}")
    elif site:
        refuse("当前项目", ITEMS[site], site)
    if vehicle:
        refuse("挡位", GEARS[vehicle], vehicle)
        refuse("离合", CLUTCHES[vehicle], vehicle)
    return faults


def legal_states() -> Iterator[VehicleState]:
    """All 292,352 legal states, each once, in a fixed order; built without validation, in a few seconds."""
    fields = set(ATTRIBUTES.values())
    free = [FEATURES[name] for name in ("手刹", "发动机", "安全带", "车门")]
    tail = [FEATURES[name] for name in ("刹车", "油门", "速度", "时间特征")]
    for site, vehicle in product(FEATURES["场地类型"], FEATURES["车辆类型"]):
        for values in product(
            [site], items_of(site, vehicle), [vehicle], GEARS[vehicle], *free, CLUTCHES[vehicle], *tail
        ):
            state: dict[str, Any] = dict(zip(ATTRIBUTES.values(), values, strict=True))
            yield VehicleState.model_construct(fields, **state)
