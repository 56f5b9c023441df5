"""Rates in Django REST Framework's notation, ``100/hour``, extended by multiples of a period, ``10/5m``."""

import re
from typing import NamedTuple

from ratelimit_enforcer.domain.limit import MAX_QUOTA, MAX_WINDOW_SECONDS

_RATE = re.compile(r"\s*([0-9]+)\s*/\s*(?:([0-9]+)\s*)?([a-z]+)\s*")

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

_SPELLINGS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
}

_UNITS = {word: _SECONDS[unit] for unit, words in _SPELLINGS.items() for word in words}


class InvalidRate(ValueError):
    """The text is not a rate."""


class Rate(NamedTuple):
    """At most ``quota`` requests in any ``window`` (seconds)."""

    quota: int
    window: int


def parse_rate(text: str) -> Rate:
    """Reads ``NUMBER/PERIOD``. The period is a second, minute, hour or day, abbreviated or not, with an
    optional multiplier (``10/5m``). Raises :class:`InvalidRate` for anything else; the framework would
    read ``5/month`` as five per minute."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise InvalidRate(f"“{text}” is not a rate. Write a number and a period, such as “100/hour” or “10/5m”.")
    quota, times, unit = match.groups()
    if unit not in _UNITS:
        raise InvalidRate(f"“{text}”: “{unit}” is not a period. Use second, minute, hour or day.")
    rate = Rate(int(quota), int(times or 1) * _UNITS[unit])
    if not 1 <= rate.window <= MAX_WINDOW_SECONDS:
        raise InvalidRate(f"“{text}”: the period must be 1 to {MAX_WINDOW_SECONDS:,} seconds (366 days).")
    if rate.quota > MAX_QUOTA:
        raise InvalidRate(f"“{text}”: at most {MAX_QUOTA:,} requests.")
    return rate
