"""Who visits the shop, and how: made up, and the same at every run."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

MINUTES = 60
ABUSE = range(20, 26), range(48, 60)
"""The minutes of the hour in which somebody scrapes the search."""

SCRAPER = "price-bot"
SCRAPES_PER_MINUTE = 90


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client, and how many requests it makes in a quiet minute on average."""

    client: str
    per_minute: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, ``second`` seconds (0 to 60) into a minute of the hour."""

    minute: int
    second: float
    client: str
    method: str
    path: str


REGULARS = (
    Visitor("megamart", 60),
    Visitor("acme", 25),
    Visitor("warehouse", 12),
    Visitor("corner-shop", 5),
    Visitor("scraper-9000", 2),
    *(Visitor(f"visitor-{number}", 0.8) for number in range(1, 25)),
)

_WISHES = (
    (70, "GET", "/shop/search"),
    (15, "GET", "/shop/cart"),
    (8, "PUT", "/shop/cart/umbrella"),
    (4, "POST", "/shop/orders"),
    (2, "GET", "/shop/orders/1"),
    (1, "GET", "/shop/wishlist"),
)


def visits(minute: int) -> list[Visit]:
    """The requests of one minute, in their order in time. The hour has a peak in its middle."""
    dice = random.Random(minute)  # noqa: S311 - made-up visits, not secrets
    return sorted([*_regular(minute, dice), *_scraping(minute, dice)], key=lambda visit: visit.second)


def _regular(minute: int, dice: random.Random) -> Iterator[Visit]:
    busy = 0.6 + 0.8 * (1 - abs(minute - MINUTES / 2) / (MINUTES / 2))
    weights, methods, paths = zip(*_WISHES, strict=True)
    for visitor in REGULARS:
        mean = visitor.per_minute * busy
        for _ in range(max(0, round(dice.gauss(mean, mean**0.5)))):
            (at,) = dice.choices(range(len(_WISHES)), weights)
            yield Visit(minute, dice.uniform(0, 60), visitor.client, methods[at], paths[at])


def _scraping(minute: int, dice: random.Random) -> Iterator[Visit]:
    if any(minute in abuse for abuse in ABUSE):
        for _ in range(SCRAPES_PER_MINUTE):
            yield Visit(minute, dice.uniform(0, 60), SCRAPER, "GET", "/shop/search")
