"""Limits and rules as sentences for people."""

from collections.abc import Iterable
from datetime import datetime

from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit

_UNITS = ((86_400 * 7, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def dates_sentence(starts_at: datetime | None, ends_at: datetime | None) -> str:
    """“from 1 Dec 2026, 00:00 UTC, until 24 Dec 2026, 00:00 UTC”, “no start, no end”."""
    start = f"from {date_and_time(starts_at)}" if starts_at else "no start"
    return f"{start}, {f'until {date_and_time(ends_at)}' if ends_at else 'no end'}"


def dates_state(starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> str:
    """“scheduled”, “active” or “ended”: whether the dates include ``now``."""
    if starts_at and starts_at > now:
        return "scheduled"
    return "ended" if ends_at and ends_at <= now else "active"


def quantity(number: float, noun: str) -> str:
    """Returns a whole number with its noun: “1 request”, “2,000 requests”."""
    return f"{number:,.0f} {noun}{'' if round(number) == 1 else 's'}"


def limit_sentence(limit: Limit) -> str:
    """Returns the limit in words, such as “100 per minute, bursts of 20”."""
    if limit.quota == 0:
        return "nothing admitted"
    quota = f"{limit.quota:,}"
    if limit.algorithm is Algorithm.CALENDAR:
        return f"{quota} per {limit.period} in {limit.timezone or 'UTC'}"
    if limit.algorithm is Algorithm.CONCURRENCY:
        return _concurrent(limit)
    sentence = f"{quota} per {duration(limit.window or 0)}"
    if limit.algorithm is Algorithm.TOKEN_BUCKET:
        return f"{sentence}, bursts of {limit.capacity:,}"
    if limit.algorithm is Algorithm.FIXED_WINDOW:
        return f"{sentence}, fixed window"
    return sentence


def _concurrent(limit: Limit) -> str:
    requests = quantity(limit.quota, "concurrent request")
    return f"at most {requests}, {'each ' if limit.quota > 1 else ''}for at most {_length(limit.window or 0)}"


def limits_sentence(limits: Iterable[Limit]) -> str:
    """Returns all limits in words, such as “100 per minute, bursts of 20; and 1,000 per day”, or “no limits”."""
    return "; and ".join(limit_sentence(limit) for limit in limits) or "no limits"


def duration(seconds: int) -> str:
    """Returns a duration in the largest unit that divides it, as it follows “per”: “minute”, “10 minutes”."""
    for length, unit in _UNITS:
        if seconds and seconds % length == 0:
            count = seconds // length
            return unit if count == 1 else f"{count:,} {unit}s"
    return f"{seconds:,} seconds"


def limit_meaning(limit: Limit) -> str:
    """Returns an explanation of the limit for readers who do not know the algorithms."""
    if limit.quota == 0:
        return "All requests are denied."
    return _MEANINGS[limit.algorithm](limit)


def _sliding_window(limit: Limit) -> str:
    length = _length(limit.window or 0)
    return (
        f"Never more than {limit.quota:,} in any period of {length}. Used capacity becomes available again after "
        f"{length}."
    )


def _token_bucket(limit: Limit) -> str:
    return (
        f"After a pause, up to {limit.capacity:,} at once; then one more every {_interval(limit)}. An empty bucket is "
        f"full again after {_seconds(_refill(limit))}."
    )


def _fixed_window(limit: Limit) -> str:
    return (
        f"The counter resets on the clock, every {duration(limit.window or 0)}. Around a reset, up to "
        f"{2 * limit.quota:,} are possible within a short time."
    )


def _calendar(limit: Limit) -> str:
    reset = {
        "hour": "every full hour",
        "day": "at midnight",
        "week": "on Mondays at midnight",
        "month": "on the first of the month at midnight",
        "year": "on the first of January at midnight",
    }
    return (
        f"Up to {limit.quota:,} in one {limit.period}, at any pace. The counter resets {reset[str(limit.period)]}, "
        f"{limit.timezone or 'UTC'} time."
    )


def _concurrency(limit: Limit) -> str:
    return (
        f"Never more than {quantity(limit.quota, 'request')} at the same time, whatever they cost. A request counts "
        f"until it ends, and for at most {_length(limit.window or 0)}."
    )


_MEANINGS = {
    Algorithm.SLIDING_WINDOW: _sliding_window,
    Algorithm.TOKEN_BUCKET: _token_bucket,
    Algorithm.FIXED_WINDOW: _fixed_window,
    Algorithm.CALENDAR: _calendar,
    Algorithm.CONCURRENCY: _concurrency,
}


def _length(seconds: int) -> str:
    """“one minute”, “10 minutes”"""
    text = duration(seconds)
    return text if text[0].isdigit() else f"one {text}"


def _interval(limit: Limit) -> str:
    return _seconds((limit.window or 0) / limit.quota)


def _refill(limit: Limit) -> float:
    return limit.capacity * (limit.window or 0) / limit.quota


def _seconds(seconds: float) -> str:
    """“0.1 seconds”, “2 minutes”: rounded for people."""
    if seconds >= 1 and seconds == int(seconds):
        return _length(int(seconds))
    return f"{seconds:,.3g} seconds" if seconds < 120 else f"about {_length(round(seconds / 60) * 60)}"
