"""Requests with their times, and what a simulation knows of them: their number in each minute."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import SECOND_US, Limit

MINUTE_US = 60 * SECOND_US
START = 1_800_000_000_000_000
"""The beginning of a minute and an hour."""
WINDOWS = (1, 7, 20, 30, 60, 60, 90, 120, 180, 300, 420, 600)


def random_times(random: Random, minutes: int) -> list[int]:
    """Times of requests within ``minutes`` minutes, in order: steady ones, and bursts, some at the edge of one."""
    times = [START + random.randrange(minutes * MINUTE_US) for _ in range(random.choice([0, 20, 200, 600]))]
    for _ in range(random.randrange(8)):
        times += _burst(random, minutes)
    return sorted(at for at in times if START <= at < START + minutes * MINUTE_US)


def _burst(random: Random, minutes: int) -> list[int]:
    at = START + random.randrange(minutes) * MINUTE_US + random.choice([-SECOND_US, 0, 0, 17 * SECOND_US])
    spread = random.choice([1, SECOND_US, 2 * SECOND_US, 40 * SECOND_US])
    return [at + random.randrange(spread) for _ in range(random.choice([3, 30, 150]))]


def random_limit(random: Random, *, concurrency: bool = False) -> Limit:
    """A limit that such requests often reach."""
    quota = random.choice([0, 1, 5, 30, 64, 65, 100, 150])
    kinds = ["window"] * 4 + ["fixed"] * 2 + ["bucket"] * 3 + ["calendar"] + ["concurrency"] * concurrency
    kind, window = random.choice(kinds), random.choice(WINDOWS)
    if kind == "calendar":
        period, zone = random.choice([Period.HOUR, Period.DAY]), random.choice(["UTC", "Asia/Kathmandu"])
        return Limit(quota * 4, algorithm=Algorithm.CALENDAR, period=period, timezone=zone)
    if kind == "bucket":
        return Limit(quota, window, Algorithm.TOKEN_BUCKET, random.choice([None, 1, 10, 100]))
    if kind == "concurrency":
        return Limit(quota, window, Algorithm.CONCURRENCY)
    return Limit(quota, window, Algorithm.FIXED_WINDOW if kind == "fixed" else Algorithm.SLIDING_WINDOW)


def by_minute(times: Sequence[int]) -> Counter[int]:
    """Minute since 1970 → requests."""
    return Counter(at // MINUTE_US for at in times)
