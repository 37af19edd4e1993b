"""Writes pairs.jsonl: sentences to a café made of phrases, with typos and spelled-out numbers, and their orders.

    python make_pairs.py [FILE]

The same seed gives the same bytes.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import get_args

from schema import Address, Extra, Item, Order, Product, Size, domain

ROWS = 2600
SEED = 20240602
SIZES: tuple[Size, ...] = get_args(Size)
FOOD: dict[Product, tuple[Extra, ...]] = {
    "croissant": ("butter", "jam"),
    "bagel": ("butter", "jam", "toasted"),
    "muffin": (),
    "cheesecake": ("whipped cream",),
    "sandwich": ("toasted",),
}
DRINKS: dict[Product, tuple[Extra, ...]] = {
    "espresso": ("decaf", "extra shot", "no sugar"),
    "cappuccino": ("oat milk", "soy milk", "extra shot", "decaf", "vanilla syrup"),
    "latte": ("oat milk", "soy milk", "extra shot", "decaf", "vanilla syrup", "no sugar"),
    "flat white": ("oat milk", "soy milk", "decaf"),
    "americano": ("extra shot", "decaf", "no sugar"),
    "tea": ("oat milk", "no sugar"),
    "hot chocolate": ("whipped cream", "oat milk"),
}
MENU = {**FOOD, **DRINKS}
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TENS = {5: "five", 10: "ten", 15: "fifteen", 20: "twenty", 25: "twenty-five", 30: "thirty", 40: "forty"}
SPANS = {15: "a quarter of an hour", 30: "half an hour", 60: "an hour"}
NTH = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th", 6: "6th"}
ASKS = (
    "I'd like {}",
    "can I get {}",
    "{}",
    "could you make {} please",
    "I'll take {}",
    "we need {}",
    "order: {}",
    "please prepare {}",
)
HANDOVERS = {
    "for here": ("for here", "to eat in", "we'll sit inside", "we stay here"),
    "pickup": ("for pickup", "I'll pick it up", "I'll collect it", "takeaway, I'll come by"),
    "delivery": ("deliver to {}", "bring it to {}", "delivery to {}", "send it to {}"),
}
# fmt: off
STREETS = (
    "Bridge", "Castle", "Church", "Garden", "Harbour", "King", "Maple", "Market", "Mill", "Oak", "Park", "Queen",
    "River", "School", "Station", "Victoria",
)
KINDS = ("Avenue", "Lane", "Road", "Square", "Street")
NAMES = (
    "Adam", "Anna", "Ben", "Carla", "David", "Elena", "Emma", "Eva", "Felix", "Grace", "Hugo", "Ines", "Ivan", "Jonas",
    "Julia", "Karim", "Lena", "Liam", "Lucas", "Marco", "Maria", "Mei", "Mia", "Noah", "Nora", "Olga", "Omar", "Paula",
    "Peter", "Quinn", "Ravi", "Rosa", "Sam", "Sofia", "Tom", "Uma", "Victor", "Wei", "Yusuf", "Zoe",
)
# fmt: on
NOTES = (
    "ring twice",
    "leave it at the door",
    "call when you are outside",
    "we are in a hurry",
    "the bell is broken",
    "keep the change",
    "no plastic cups",
    "extra napkins",
    "ask at the reception",
    "it is a birthday",
)


def _pick_item(rng: random.Random, product: Product) -> Item:
    allowed = MENU[product]
    extras = rng.sample(allowed, min(len(allowed), rng.choice((0, 0, 0, 1, 1, 2))))
    size = rng.choice((None, *SIZES)) if product in DRINKS else None
    return Item(product=product, size=size, quantity=rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 12)), extras=extras)


def _typo(rng: random.Random, text: str) -> str:
    """One letter of one longer word swapped, dropped or doubled."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return text
    at = rng.choice(long)
    word, letter = words[at], rng.randrange(1, len(words[at]) - 1)
    swapped = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2 :]
    dropped, doubled = word[:letter] + word[letter + 1 :], word[:letter] + word[letter] + word[letter:]
    words[at] = rng.choice((swapped, dropped, doubled))
    return " ".join(words)


def _item_phrase(rng: random.Random, item: Item) -> str:
    many = item.quantity > 1
    name: str = item.product
    if many and name != "tea":
        name += "es" if name.endswith("ch") else "s"
    sized = f"{item.size} {name}" if item.size else name
    count = rng.choice((str(item.quantity), WORDS[item.quantity]))
    if not many:
        count = rng.choice((count, "an" if sized[0] in "aeiou" else "a"))
    elif item.quantity == 2 and rng.random() < 0.2:
        count = "a couple of"
    elif item.quantity == 12 and rng.random() < 0.4:
        count = "a dozen"
    extras: list[str] = list(item.extras)
    styles = [f"{count} {sized}", f"{item.quantity}x {sized}", f"{sized}, {WORDS[item.quantity]} of them"]
    text = rng.choices(styles, (7, 2, 1 if many else 0))[0]
    if extras:
        joined = " and ".join(extras)
        text += rng.choice((f" with {joined}", f" ({', '.join(extras)})", f" - {joined}"))
    return _typo(rng, text) if rng.random() < 0.12 else text


def _address_phrase(rng: random.Random, address: Address) -> str:
    text = rng.choice((f"{address.number} {address.street}", f"{address.street} {address.number}"))
    if address.floor is None:
        return text
    nth = NTH[address.floor]
    return text + rng.choice((f", {nth} floor", f", floor {address.floor}", f" ({nth} floor)"))


def _time_phrase(rng: random.Random, minutes: int) -> str:
    spans = [f"{minutes} minutes", f"{minutes} min"]
    spans += [f"{TENS[minutes]} minutes"] if minutes in TENS else []
    spans += [SPANS[minutes]] if minutes in SPANS else []
    return "in " + rng.choice(spans)


def sample(rng: random.Random) -> tuple[str, Order]:
    """A sentence and the order that it means."""
    products = rng.sample(list(MENU), rng.choice((1, 1, 2, 2, 3)))
    handover = rng.choice(("for here", "pickup", "delivery", "delivery"))
    street = f"{rng.choice(STREETS)} {rng.choice(KINDS)}"
    floor = rng.choice((None, None, *NTH))
    address = Address(street=street, number=rng.randint(1, 199), floor=floor)
    order = Order.model_validate(
        {
            "items": [_pick_item(rng, product) for product in products],
            "handover": handover,
            "address": address if handover == "delivery" else None,
            "minutes": rng.choice((None, None, *TENS, 60)),
            "name": rng.choice((None, rng.choice(NAMES))),
            "note": rng.choice((None, None, rng.choice(NOTES))),
        }
    )
    phrases = [_item_phrase(rng, item) for item in order.items]
    listed = ", ".join(phrases[:-1]) + (rng.choice((" and ", ", ", " plus ")) if phrases[1:] else "") + phrases[-1]
    opening = rng.choice(("", "", "Hi, ", "Hello, ", "Good morning, ")) + rng.choice(ASKS).format(listed)
    rest = [rng.choice(HANDOVERS[handover])]
    if order.address is not None:
        rest = [rest[0].format(_address_phrase(rng, order.address))]
    if order.minutes is not None:
        rest.append(_time_phrase(rng, order.minutes))
    if order.name is not None:
        rest.append(rng.choice(("for {}", "name is {}", "under the name {}", "it's for {}")).format(order.name))
    rng.shuffle(rest)
    if order.note is not None:
        rest.append(rng.choice(("{}", "note: {}", "please note: {}")).format(order.note))
    if rng.random() < 0.2:
        rest, opening = rest[1:], f"{rest[0]}: {opening}"
    return rng.choice((", ", ". ", "; ")).join([opening, *rest]), order


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """``count`` different sentences with their orders."""
    rng = random.Random(seed)  # noqa: S311  # reproducible, not secret
    made: dict[str, str] = {}
    while len(made) < count:
        text, order = sample(rng)
        made.setdefault(domain.read_input(text), domain.write_answer(order))
    return list(made.items())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("pairs.jsonl")
    rows = [json.dumps({"input": text, "output": answer}, ensure_ascii=False) for text, answer in pairs(ROWS, SEED)]
    target.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
