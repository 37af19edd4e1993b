"""The domain `order`: a sentence to a café goes in, the order as nested JSON comes out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from drivecoach.domain import Domain

Product = Literal[
    "espresso",
    "cappuccino",
    "latte",
    "flat white",
    "americano",
    "tea",
    "hot chocolate",
    "croissant",
    "bagel",
    "muffin",
    "cheesecake",
    "sandwich",
]
Size = Literal["small", "medium", "large"]
Extra = Literal[
    "oat milk",
    "soy milk",
    "extra shot",
    "decaf",
    "vanilla syrup",
    "no sugar",
    "whipped cream",
    "butter",
    "jam",
    "toasted",
]


class Item(BaseModel):
    """One line of the bill."""

    product: Product
    size: Size | None = None
    quantity: Annotated[int, Field(ge=1, le=12)]
    extras: list[Extra] = Field(max_length=3)


class Address(BaseModel):
    """Where it is brought."""

    street: str
    number: Annotated[int, Field(ge=1, le=999)]
    floor: int | None = None


class Order(BaseModel):
    """What the café makes, and for whom."""

    items: list[Item] = Field(min_length=1, max_length=4)
    handover: Literal["for here", "pickup", "delivery"]
    address: Address | None = None
    minutes: Annotated[int, Field(ge=5, le=120)] | None = None
    name: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _address_where_it_is_needed(self) -> Order:
        if (self.address is not None) != (self.handover == "delivery"):
            raise ValueError("an address for a delivery, and only for a delivery")
        return self


domain = Domain("order", str, Order, "You take orders in a café. Answer in JSON.")
