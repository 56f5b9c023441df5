"""Fixed windows and calendar periods: a count that starts anew at each boundary.

Windows of ``fixed_window`` are aligned to the Unix epoch; the periods of ``calendar`` come from
:mod:`limits.domain.calendar`. Both count the same way.

This is the reference for ``store/lua/decide.lua``; the same histories run through both.
"""

from dataclasses import dataclass, replace

from limits.domain.calendar import period_around
from limits.domain.limit import SECOND, Limit
from limits.domain.words import Algorithm


@dataclass(frozen=True, slots=True)
class Span:
    """What has been used at ``now`` of the window that lasts until ``end``, the last time at ``since``
    (microseconds)."""

    now: int = 0
    since: int = 0
    end: int = 0
    used: int = 0


def span_around(limit: Limit, now: int) -> tuple[int, int]:
    """The window or period of a limit that holds ``now``: its start and its end."""
    if limit.algorithm is Algorithm.CALENDAR and limit.period is not None:
        return period_around(limit.period, limit.timezone, now)
    start = now - now % limit.window_us
    return start, start + limit.window_us


LONGEST_PERIOD = 32 * 86_400 * SECOND
"""Longer than any calendar period (microseconds)."""


def corrected(span: Span, limit: Limit, now: int) -> Span:
    """The counter, in the present window where a wrong clock began a later one. A clock that is a little
    ahead may have begun the next one: that stays."""
    end = span_around(limit, now)[1]
    if span.end <= end:
        return span
    longest = LONGEST_PERIOD if limit.window is None else limit.window_us
    is_next = end - now <= limit.skew and span.since - now <= limit.skew and span.end - end <= longest
    return span if is_next else Span(now, now, end, span.used)


def advance(span: Span, limit: Limit, now: int) -> Span:
    """The counter at ``now``: anew where its window is over."""
    if now < span.end:
        return replace(span, now=now)
    return Span(now, now, span_around(limit, now)[1])


def admits(span: Span, limit: Limit, cost: int) -> bool:
    return span.used + cost <= limit.quota


def consume(span: Span, limit: Limit, cost: int) -> Span:
    """The counter after an admitted request."""
    since = max(span.now, span.since) if span.since < span.end else span.now
    return replace(span, since=since, used=span.used + cost)


def figures(span: Span) -> tuple[int, int, int, int]:
    """(used, microseconds until the window ends, 0, 0)."""
    return span.used, span.end - span.now, 0, 0
