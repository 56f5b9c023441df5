"""Readings: the state of a limit, as a check found it."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit

Reading = tuple[bool, int, int, int, int]
"""One limit as a check found it: whether the limit admits the request, and four figures of the state
before the request. Their meaning depends on the algorithm (``figures`` of :mod:`sliding_window`,
:mod:`token_bucket` and :mod:`fixed_window`)."""


def readings_by_policy(readings: Sequence[Reading], limits: Sequence[int]) -> list[Sequence[Reading]]:
    """The readings of each policy, given how many ``limits`` each policy has. Raises ``ValueError`` unless there
    is one reading for each limit."""
    require_reading_for_each_limit(readings, sum(limits))
    ends = list(accumulate(limits, initial=0))
    return [readings[begin:end] for begin, end in pairwise(ends)]


def require_reading_for_each_limit(readings: Sequence[Reading], limits: int) -> None:
    """Raises ``ValueError`` if the number of readings is not the number of limits: then the rules that the
    script read are not those that the caller packed, and no reading can be assigned to a limit."""
    if len(readings) != limits:
        raise ValueError(f"The script returned {len(readings)} readings for {limits} limits.")


def with_more_used(reading: Reading, limit: Limit, cost: int) -> Reading:
    """The reading as if ``cost`` more had been consumed before (below zero: less)."""
    admits, *figures = reading
    first, second, third, fourth = figures
    if limit.algorithm is Algorithm.CALENDAR and cost > 0:
        granted = min(third, max(0, cost - max(0, limit.quota - first)))
        return admits, first + cost - granted, second, third - granted, fourth
    if limit.algorithm is Algorithm.TOKEN_BUCKET and limit.quota:
        first, second = divmod(first * limit.quota + second + cost * limit.window_us, limit.quota)
    elif limit.algorithm is not Algorithm.TOKEN_BUCKET:
        first += cost
    return admits, first, second, third, fourth
