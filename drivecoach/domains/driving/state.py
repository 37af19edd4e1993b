"""One reading of the car: its features as a checked, frozen model; the walk over all legal readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Literal, Self, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivecoach.domains.driving.words import (
    CLUTCHES,
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
from drivecoach.errors import Fault, RecipeError


class VehicleState(BaseModel):
    """What the sensors say at one moment, from one car on one site."""

    # Fields can be given by attribute or by feature name, and leave as feature names with by_alias=True.
    # A value outside its list or an impossible combination (rule description 1.2) is a pydantic.ValidationError;
    # DrivingDomain.read_input is the reader that lists faults one by one.

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    site: Site = Field(alias="场地类型", description="training ground (科目二) or public road (科目三)")
    item: Item = Field(alias="当前项目", description="the exam item; 非项目区域 is between items")
    vehicle: Vehicle = Field(alias="车辆类型", description="manual (手动挡) or automatic (自动挡)")
    gear: Gear = Field(alias="挡位", description="lever position now")
    handbrake: Handbrake = Field(alias="手刹", description="放下 = released, 拉起 = applied")
    engine: Engine = Field(alias="发动机", description="打火 = running, 熄火 = stopped")
    seatbelt: Seatbelt = Field(alias="安全带", description="the driver's belt: 系上 = on, 未系 = off")
    door: Door = Field(alias="车门", description="打开 = any door not fully shut")
    clutch: Clutch = Field(alias="离合", description="踩下 = fully down, 半联动 = bite point, 无 = automatic")
    brake: Pedal = Field(alias="刹车", description="foot brake")
    accelerator: Pedal = Field(alias="油门", description="accelerator")
    speed: Speed = Field(alias="速度", description="静止 = not moving; the others relative to the item")
    time: Time = Field(alias="时间特征", description="day (白天) or night (夜晚)")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        features = features_of(type(self))
        faults = self.contradictions({name: getattr(self, known.attribute) for name, known in features.items()})
        if faults:
            raise ValueError("impossible combination: " + "; ".join(map(str, faults)))
        return self

    @classmethod
    def contradictions(cls, values: Mapping[str, str]) -> list[Fault]:
        """Every impossible combination among feature values (rule description 1.2, items 1-4).

        ``values`` maps Chinese feature names to values; absent features and values outside their list are skipped,
        so that a half-read line can be judged too. A model with more features may add its own.
        """
        features = features_of(cls)
        known = {name: value for name, value in values.items() if name in features and value in features[name].values}
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


State = TypeVar("State", bound=VehicleState)


@dataclass(frozen=True)
class Feature:
    """One feature of a state model."""

    attribute: str
    """The name of the model's field."""
    values: tuple[str, ...]
    """All that it can be."""


@cache
def features_of(model: type[VehicleState]) -> Mapping[str, Feature]:
    """The features of a state model by their Chinese names, in canonical order.

    Raises RecipeError for a field that is not a closed set of texts.
    """
    features, faults = {}, []
    for attribute, field in model.model_fields.items():
        name, values = field.alias or attribute, get_args(field.annotation)
        if get_origin(field.annotation) is not Literal or not all(isinstance(value, str) for value in values):
            faults.append(Fault(f"{model.__name__}.{attribute}", str(field.annotation), 'Literal["…", "…"]'))
        features[name] = Feature(attribute, values)
    if faults:
        raise RecipeError("a feature of the car is a closed set of texts", faults=faults, hint="use Literal")
    return features


def legal_states(model: type[State]) -> Iterator[State]:
    """All legal states, each once, in a fixed order; built without validation, in a few seconds."""
    features = features_of(model)
    attributes = [feature.attribute for feature in features.values()]
    fields = set(attributes)
    construct = cast(Callable[..., State], model.model_construct)
    # Our own contradictions are between the site or the vehicle and one other feature; those of a model that adds
    # some may be between any.
    adds = any("contradictions" in vars(kind) for kind in model.__mro__ if kind is not VehicleState)
    for site, vehicle in product(features["场地类型"].values, features["车辆类型"].values):
        given = {"场地类型": site, "车辆类型": vehicle}
        choices = [
            [
                value
                for value in feature.values
                if given.get(name, value) == value and not model.contradictions({**given, name: value})
            ]
            for name, feature in features.items()
        ]
        for values in product(*choices):
            if adds and model.contradictions(dict(zip(features, values, strict=True))):
                continue
            state: dict[str, Any] = dict(zip(attributes, values, strict=True))
            yield construct(fields, **state)
