"""Fixed windows and calendar periods: a count that restarts at each boundary.

Windows of ``fixed_window`` are aligned to the Unix epoch; the periods of ``calendar`` come from
:mod:`ratelimit_enforcer.domain.calendar`. Both count in the same way.

This is the reference for ``store/scripts/decide.lua``; the same histories run through both.
"""

from dataclasses import dataclass, replace

from ratelimit_enforcer.domain.calendar import period_around
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import MAX_DEBT, MAX_USED, SECOND_US, Limit


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """The counter at ``now``: the cost used in the window that lasts until ``end``, and the time of the
    last request, ``since`` (all in microseconds since 1970)."""

    now: int = 0
    since: int = 0
    end: int = 0
    used: int = 0


def window_bounds(limit: Limit, now: int) -> tuple[int, int]:
    """The start and end of a limit's window or period that contains ``now`` (microseconds since 1970)."""
    if limit.algorithm is Algorithm.CALENDAR and limit.period is not None:
        return period_around(limit.period, limit.timezone, now)
    start = now - now % limit.window_us
    return start, start + limit.window_us


MAX_PERIOD_US = 367 * 86_400 * SECOND_US
"""Longer than any calendar period (microseconds)."""


def corrected(window: FixedWindow, limit: Limit, now: int) -> FixedWindow:
    """The counter, moved to the present window if a wrong clock started a later one. The next window is
    kept if a clock that is only slightly ahead may have started it."""
    end = window_bounds(limit, now)[1]
    if window.end <= end:
        return window
    longest = MAX_PERIOD_US if limit.window is None else limit.window_us
    is_next = end - now <= limit.skew and window.since - now <= limit.skew and window.end - end <= longest
    return window if is_next else FixedWindow(now, now, end, window.used)


def advance(window: FixedWindow, limit: Limit, now: int) -> FixedWindow:
    """The counter at ``now`` (microseconds since 1970): a new one if the window is over."""
    if now < window.end:
        return replace(window, now=now)
    return FixedWindow(now, now, window_bounds(limit, now)[1])


def admits(window: FixedWindow, limit: Limit, cost: int) -> bool:
    """Whether the limit admits a request of this cost; ``window`` must be at the present time (:func:`advance`)."""
    return window.used + cost <= limit.quota


def consume(window: FixedWindow, limit: Limit, cost: int) -> FixedWindow:
    """The counter after an admitted request of this cost; ``window`` must be at the present time
    (:func:`advance`)."""
    since = max(window.now, window.since) if window.since < window.end else window.now
    return replace(window, since=since, used=min(window.used + cost, MAX_USED))


def refund(window: FixedWindow, cost: int, end: int) -> FixedWindow:
    """The counter as if a request in the window that lasts until ``end`` had cost ``cost`` less; unchanged in any
    other window."""
    return replace(window, used=max(0, window.used - cost)) if window.end == end else window


def refund_newest(window: FixedWindow, cost: int) -> tuple[FixedWindow, int]:
    """The counter after a refund of up to ``cost`` in the present window, and the cost refunded. ``window`` must be at
    the present time (:func:`advance`)."""
    refunded = min(cost, window.used)
    return replace(window, used=window.used - refunded), refunded


def debit(window: FixedWindow, limit: Limit, cost: int) -> tuple[FixedWindow, int]:
    """The counter after consuming ``cost``, beyond the quota if necessary, and the excess over the quota. The excess is
    at most :data:`~ratelimit_enforcer.domain.limit.MAX_DEBT`. ``window`` must be at the present time
    (:func:`advance`)."""
    debited = min(cost, max(0, limit.quota + MAX_DEBT - window.used))
    after = consume(window, limit, debited) if debited else window
    return after, max(0, after.used - limit.quota)


def over_quota(window: FixedWindow, limit: Limit) -> int:
    """The units beyond the quota in the window."""
    return max(0, window.used - limit.quota)


def figures(window: FixedWindow) -> tuple[int, int, int, int]:
    """(used, microseconds until the window ends, 0, 0)."""
    return window.used, window.end - window.now, 0, 0
