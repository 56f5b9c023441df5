"""Limits and rules as sentences that a person reads."""

from collections.abc import Iterable

from limits.domain.limit import Limit
from limits.domain.words import Algorithm

_UNITS = ((86_400 * 7, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def limit_sentence(limit: Limit) -> str:
    """“100 per minute, bursts of 20”."""
    if limit.quota == 0:
        return "nothing admitted"
    quota = f"{limit.quota:,}"
    if limit.algorithm is Algorithm.CALENDAR:
        return f"{quota} per {limit.period} in {limit.timezone or 'UTC'}"
    sentence = f"{quota} per {duration(limit.window or 0)}"
    if limit.algorithm is Algorithm.TOKEN_BUCKET:
        return f"{sentence}, bursts of {limit.capacity:,}"
    if limit.algorithm is Algorithm.FIXED_WINDOW:
        return f"{sentence}, on the clock"
    return sentence


def limits_sentence(limits: Iterable[Limit]) -> str:
    """“100 per minute, bursts of 20; and 1,000 per day”."""
    return "; and ".join(limit_sentence(limit) for limit in limits) or "no limits"


def duration(seconds: int) -> str:
    """“minute”, “10 minutes”, “90 seconds”: what follows “per”."""
    for length, unit in _UNITS:
        if seconds and seconds % length == 0:
            count = seconds // length
            return unit if count == 1 else f"{count:,} {unit}s"
    return f"{seconds:,} seconds"
