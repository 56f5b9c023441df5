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


def limit_meaning(limit: Limit) -> str:
    """What a limit does, for somebody who never thought about algorithms."""
    if limit.quota == 0:
        return "Every request is denied."
    return _MEANINGS[limit.algorithm](limit)


def _sliding_window(limit: Limit) -> str:
    length = _length(limit.window or 0)
    return (
        f"In no stretch of {length}, wherever it begins, are more than {limit.quota:,} admitted. "
        f"What a request used comes back when it is {length} old."
    )


def _token_bucket(limit: Limit) -> str:
    return (
        f"After a pause {limit.capacity:,} may come at once; from then on there is room for one more every "
        f"{_interval(limit)}. A bucket that is empty is full again after {_seconds(_refill(limit))}."
    )


def _fixed_window(limit: Limit) -> str:
    return (
        f"Counting begins anew on the clock, every {duration(limit.window or 0)}. Around such a moment up to "
        f"{2 * limit.quota:,} may come close together."
    )


def _calendar(limit: Limit) -> str:
    begins = {"hour": "at every full hour", "day": "at midnight", "week": "on Monday", "month": "on the first"}
    return (
        f"{limit.quota:,} in one {limit.period}, whenever they come. Counting begins anew {begins[str(limit.period)]}, "
        f"by the clock of {limit.timezone or 'UTC'}."
    )


_MEANINGS = {
    Algorithm.SLIDING_WINDOW: _sliding_window,
    Algorithm.TOKEN_BUCKET: _token_bucket,
    Algorithm.FIXED_WINDOW: _fixed_window,
    Algorithm.CALENDAR: _calendar,
}


def _length(seconds: int) -> str:
    """“one minute”, “10 minutes”"""
    words = duration(seconds)
    return words if words[0].isdigit() else f"one {words}"


def _interval(limit: Limit) -> str:
    return _seconds((limit.window or 0) / limit.quota)


def _refill(limit: Limit) -> float:
    return limit.capacity * (limit.window or 0) / limit.quota


def _seconds(seconds: float) -> str:
    """“0.1 seconds”, “2 minutes”: about as exact as people think."""
    if seconds >= 1 and seconds == int(seconds):
        return _length(int(seconds))
    return f"{seconds:,.3g} seconds" if seconds < 120 else f"about {_length(round(seconds / 60) * 60)}"
