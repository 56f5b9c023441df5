"""One limit: a quota over time, with the bounds that keep its arithmetic exact."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from limits.domain.calendar import DEFAULT_TIMEZONE, NO_PLACE, is_known_here, timezones
from limits.domain.words import Algorithm, Period

SECOND = 1_000_000
"""Microseconds in a second; every duration inside the platform is in whole microseconds."""

MAX_WINDOW_SECONDS = 31_622_400
MAX_QUOTA = 10**9
MAX_BURST = 10**9
MAX_COST = 10**6
MAX_REFILL = MAX_WINDOW_SECONDS * SECOND

MAX_SKEW = SECOND
"""How far the clocks of two masters of a store may be apart (microseconds)."""

_ZONES = 2**28
"""How many values a zone's checksum takes in :attr:`Limit.span_code`."""

_NAME_SUFFIX = {
    Algorithm.SLIDING_WINDOW: "",
    Algorithm.TOKEN_BUCKET: "-bucket",
    Algorithm.FIXED_WINDOW: "-fixed",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota of cost per window (seconds), or per calendar period of a time zone.

    ``burst`` is the size of a token bucket (None: the quota). ``window`` is None for calendar
    limits only; ``period`` and ``timezone`` are None for all others.
    """

    quota: int
    window: int | None = None
    algorithm: Algorithm = Algorithm.SLIDING_WINDOW
    burst: int | None = None
    period: Period | None = None
    timezone: str | None = None

    @property
    def label(self) -> str:
        """The limit's name within its policy: ``60s``, ``60s-bucket``, ``60s-fixed``, ``day``."""
        if self.algorithm is Algorithm.CALENDAR:
            return str(self.period)
        return f"{self.window}s{_NAME_SUFFIX[self.algorithm]}"

    @property
    def span_code(self) -> int:
        """What a policy's counter tells its limits of one algorithm apart by: the window in
        seconds, or a number below 2^31 for a calendar's period and zone."""
        if self.period is None:
            return self.window or 0
        return (
            list(Period).index(self.period) * _ZONES + zlib.crc32((self.timezone or DEFAULT_TIMEZONE).encode()) % _ZONES
        )

    @property
    def capacity(self) -> int:
        """The most that one moment can admit: the burst of a bucket, else the quota.

        A quota of 0 denies everything, whatever the burst.
        """
        if self.algorithm is Algorithm.TOKEN_BUCKET and self.burst is not None and self.quota:
            return self.burst
        return self.quota

    @property
    def skew(self) -> int:
        """How far ahead of the clock (microseconds) the state of a counter may be: a 64th of the window,
        and a second at most. What is ahead by more was noted by a clock that was wrong."""
        return MAX_SKEW if self.window is None else min(MAX_SKEW, self.window_us // 64)

    @property
    def window_us(self) -> int:
        """The window in microseconds. A calendar limit has none and raises ``TypeError``."""
        if self.window is None:
            raise TypeError(f"A {self.algorithm} limit has no window.")
        return self.window * SECOND


def unknown_timezone(limits: Iterable[Limit]) -> str | None:
    """A time zone of these limits that this machine does not know; None: it knows them all."""
    zones = (limit.timezone for limit in limits if limit.timezone is not None)
    return next((zone for zone in zones if not is_known_here(zone)), None)


def limit_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for everything that is wrong with one limit."""
    if not 0 <= limit.quota <= MAX_QUOTA:
        yield "quota", f"must be between 0 and {MAX_QUOTA:,}."
    if limit.algorithm is Algorithm.CALENDAR:
        yield from _calendar_problems(limit)
    else:
        yield from _window_problems(limit)
    yield from _burst_problems(limit)


def _calendar_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.window is not None:
        yield "window", "belongs to other algorithms; a calendar limit has a period."
    if limit.period is None:
        yield "period", "is needed for a calendar limit: hour, day, week or month."
    if limit.timezone is not None and (message := timezone_problem(limit.timezone)):
        yield "timezone", message


def timezone_problem(timezone: str) -> str | None:
    """Why a calendar limit cannot follow this zone, or None."""
    if timezone in NO_PLACE:
        return f"“{timezone}” may be another time on each machine; name a place, such as “Europe/Berlin”."
    return None if timezone in timezones() else f"“{timezone}” is not a time zone, such as “Europe/Berlin”."


def _window_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.window is None:
        yield "window", "is needed: the length of the window in seconds."
    elif not 1 <= limit.window <= MAX_WINDOW_SECONDS:
        yield "window", f"must be between 1 and {MAX_WINDOW_SECONDS:,} seconds (366 days)."
    if limit.period is not None:
        yield "period", "belongs to calendar limits only."
    if limit.timezone is not None:
        yield "timezone", "belongs to calendar limits only."


def _burst_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.burst is None:
        return
    if limit.algorithm is not Algorithm.TOKEN_BUCKET:
        yield "burst", "belongs to token buckets only."
    elif not 1 <= limit.burst <= MAX_BURST:
        yield "burst", f"must be between 1 and {MAX_BURST:,}."
    elif limit.window and limit.quota > 0 and limit.burst * limit.window > MAX_WINDOW_SECONDS * limit.quota:
        yield "burst", "would take more than 366 days to refill at this quota."
