"""One limit: a quota over time, with the bounds that keep its arithmetic exact."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ratelimit_enforcer.domain.calendar import AMBIGUOUS_ZONES, DEFAULT_TIMEZONE, is_known_here, timezones
from ratelimit_enforcer.domain.enums import Algorithm, Period

SECOND_US = 1_000_000
"""Microseconds in a second; every duration inside the platform is in whole microseconds."""

MAX_WINDOW_SECONDS = 31_622_400
MAX_QUOTA = 10**9
MAX_BURST = 10**9
MAX_COST = 10**6
MAX_CONCURRENCY = 10_000
"""The largest quota of a concurrency limit: the store has an entry for each place."""
MAX_DEBT = 10**9
"""The cost beyond its quota that a limit remembers at most, after settlements and charges."""
MAX_USED = 4 * 10**9
"""The usage of a calendar period that a limit remembers at most, if it admits beyond its quota."""

MAX_SKEW_US = SECOND_US
"""Maximum difference between the clocks of two masters of a store, in microseconds."""

_ZONES = 2**28
"""The number of values of a zone's checksum in :attr:`Limit.window_code`."""

_NAME_SUFFIX = {
    Algorithm.SLIDING_WINDOW: "",
    Algorithm.TOKEN_BUCKET: "-bucket",
    Algorithm.FIXED_WINDOW: "-fixed",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota of cost per window (seconds), or per calendar period of a time zone.

    ``burst`` is the size of a token bucket (None: the quota). ``window`` is None for calendar
    limits only; ``period`` and ``timezone`` are None for all others. The quota of a concurrency limit is a
    number of requests, whatever their cost, and ``window`` the longest that one of them counts.
    """

    quota: int
    window: int | None = None
    algorithm: Algorithm = Algorithm.SLIDING_WINDOW
    burst: int | None = None
    period: Period | None = None
    timezone: str | None = None

    @property
    def label(self) -> str:
        """The limit's name within its policy: ``60s``, ``60s-bucket``, ``60s-fixed``, ``day``, ``concurrent``."""
        if self.algorithm is Algorithm.CONCURRENCY:
            return "concurrent"
        if self.algorithm is Algorithm.CALENDAR:
            return str(self.period)
        return f"{self.window}s{_NAME_SUFFIX[self.algorithm]}"

    @property
    def window_code(self) -> int:
        """Distinguishes the limits of one algorithm within a policy's counter: the window in seconds,
        or, for a calendar limit, a number below 2^31 from period and zone."""
        if self.period is None:
            return self.window or 0
        return (
            list(Period).index(self.period) * _ZONES + zlib.crc32((self.timezone or DEFAULT_TIMEZONE).encode()) % _ZONES
        )

    @property
    def capacity(self) -> int:
        """The maximum cost that the limit can admit at one moment: the burst of a token bucket, else the quota.

        A quota of 0 denies everything, regardless of the burst.
        """
        if self.algorithm is Algorithm.TOKEN_BUCKET and self.burst is not None and self.quota:
            return self.burst
        return self.quota

    @property
    def skew(self) -> int:
        """The maximum time in microseconds by which a counter's state may be ahead of the clock: 1/64 of the
        window, and at most a second. State that is further ahead was written with a wrong clock."""
        return MAX_SKEW_US if self.window is None else min(MAX_SKEW_US, self.window_us // 64)

    @property
    def window_us(self) -> int:
        """The window in microseconds. Raises ``TypeError`` for a calendar limit, which has none."""
        if self.window is None:
            raise TypeError(f"A {self.algorithm} limit has no window.")
        return self.window * SECOND_US


def longest_calendar_limit(limits: Sequence[Limit]) -> Limit | None:
    """The calendar limit with the longest period, of several the first; None: there is no calendar limit. Units over
    the quota of a policy are those over this limit."""
    calendar = (limit for limit in limits if limit.period is not None)
    return max(calendar, key=lambda limit: list(Period).index(limit.period or Period.HOUR), default=None)


def max_quota(algorithm: Algorithm) -> int:
    """The largest quota that a limit of this algorithm may have."""
    return MAX_CONCURRENCY if algorithm is Algorithm.CONCURRENCY else MAX_QUOTA


def unknown_timezone(limits: Iterable[Limit]) -> str | None:
    """The first time zone of these limits that this machine does not know; None if it knows all of them."""
    zones = (limit.timezone for limit in limits if limit.timezone is not None)
    return next((zone for zone in zones if not is_known_here(zone)), None)


def limit_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for every problem of one limit."""
    if message := _quota_problem(limit):
        yield "quota", message
    if limit.algorithm is Algorithm.CALENDAR:
        yield from _calendar_problems(limit)
    else:
        yield from _window_problems(limit)
    yield from _burst_problems(limit)


def _quota_problem(limit: Limit) -> str | None:
    highest = max_quota(limit.algorithm)
    unit = " concurrent requests" if limit.algorithm is Algorithm.CONCURRENCY else ""
    return None if 0 <= limit.quota <= highest else f"must be between 0 and {highest:,}{unit}."


def _calendar_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.window is not None:
        yield "window", "is not allowed for a calendar limit; use a period."
    if limit.period is None:
        yield "period", "is required for a calendar limit: hour, day, week, month or year."
    if limit.timezone is not None and (message := timezone_problem(limit.timezone)):
        yield "timezone", message


def timezone_problem(timezone: str) -> str | None:
    """The reason why a calendar limit cannot use this zone, or None."""
    if timezone in AMBIGUOUS_ZONES:
        return f"“{timezone}” depends on the machine; use a place, such as “Europe/Berlin”."
    return None if timezone in timezones() else f"“{timezone}” is not a time zone; an example is “Europe/Berlin”."


def _window_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.window is None:
        what = "longest duration of a request" if limit.algorithm is Algorithm.CONCURRENCY else "length of the window"
        yield "window", f"is required: the {what} in seconds."
    elif not 1 <= limit.window <= MAX_WINDOW_SECONDS:
        yield "window", f"must be between 1 and {MAX_WINDOW_SECONDS:,} seconds (366 days)."
    if limit.period is not None:
        yield "period", "is allowed for calendar limits only."
    if limit.timezone is not None:
        yield "timezone", "is allowed for calendar limits only."


def _burst_problems(limit: Limit) -> Iterator[tuple[str, str]]:
    if limit.burst is None:
        return
    if limit.algorithm is not Algorithm.TOKEN_BUCKET:
        yield "burst", "is allowed for token buckets only."
    elif not 1 <= limit.burst <= MAX_BURST:
        yield "burst", f"must be between 1 and {MAX_BURST:,}."
    elif limit.window and limit.quota > 0 and limit.burst * limit.window > MAX_WINDOW_SECONDS * limit.quota:
        yield "burst", "would take more than 366 days to refill at this quota."
