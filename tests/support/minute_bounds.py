"""The bounds of :mod:`limits.simulation.bounds`, computed from counts by minute as their definitions say: slowly, and
with one loop for each sum."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from limits.simulation.bounds import Block, Count, Upper, blocks_of, is_exact, upper_of
from limits.simulation.subjects import BoundedLimit
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import SECOND_US, Limit

MINUTE_US = 60 * SECOND_US
Counts = Mapping[int, int]
"""Minute since 1970 → requests."""


def total(counts: Counts, first: int, last: int) -> int:
    """The requests from one minute to another, both included."""
    return sum(n for minute, n in counts.items() if first <= minute <= last)


def most_by_minute(counts: Counts, limit: Limit) -> dict[int, int]:
    """Minute → requests that the limit denied in it at most."""
    upper = upper_of(limit)
    beyond = {minute: _counting(counts, limit, upper, minute) - upper.capacity for minute in counts}
    return {minute: min(counts[minute], max(0, beyond[minute])) for minute in counts}


def _counting(counts: Counts, limit: Limit, upper: Upper, minute: int) -> int:
    match upper.count:
        case Count.PERIOD:
            return total(counts, window_bounds(limit, minute * MINUTE_US)[0] // MINUTE_US, minute)
        case Count.BEFORE:
            return total(counts, minute - upper.minutes, minute)
        case Count.BUCKET:
            earlier = [first for first in counts if first < minute]
            refilled = [
                total(counts, first, minute) - math.floor(upper.refill * (minute - first - 1)) for first in earlier
            ]
            return max([counts[minute], *refilled])


def least_of(counts: Counts, limit: Limit) -> int:
    """The requests that the limit denies at least."""
    if is_exact(limit):
        return sum(most_by_minute(counts, limit).values())
    return max((_least_of_block(counts, block) for block in blocks_of(limit)), default=0)


def _least_of_block(counts: Counts, block: Block) -> int:
    if not counts:
        return 0
    offsets = [0] if block.aligned else range(block.minutes)
    return max(_sum_of_blocks(counts, block, offset) for offset in offsets)


def _sum_of_blocks(counts: Counts, block: Block, offset: int) -> int:
    sums: dict[int, int] = {}
    for minute, n in counts.items():
        at = (minute - offset) // block.minutes
        sums[at] = sums.get(at, 0) + n
    return sum(max(0, n - block.capacity) for n in sums.values())


ByEndpoint = Mapping[str, Counts]
"""Endpoint → counts."""


def together(counts: ByEndpoint) -> Counter[int]:
    """The counts of all endpoints."""
    return sum((Counter(each) for each in counts.values()), Counter())


def bounds_of(counts: ByEndpoint, limits: Sequence[BoundedLimit]) -> tuple[int, int]:
    """What all limits together deny at least and at most of the requests to all endpoints."""
    least = sum(max([0, *(least_of(counts[name], each.limit) for each in _on(limits, name))]) for name in counts)
    wide = max([0, *(least_of(together(counts), each.limit) for each in _on(limits, None))])
    return max(least, wide), _most(counts, limits)


def _on(limits: Sequence[BoundedLimit], endpoint: str | None) -> list[BoundedLimit]:
    return [each for each in limits if each.endpoint == endpoint]


def _most(counts: ByEndpoint, limits: Sequence[BoundedLimit]) -> int:
    own = sum((_denied_on(counts[name], _on(limits, name)) for name in counts), Counter())
    everything = together(counts)
    wide = [most_by_minute(everything, each.limit) for each in _on(limits, None)]
    return sum(min(n, own[minute] + sum(each[minute] for each in wide)) for minute, n in everything.items())


def _denied_on(counts: Counts, limits: Sequence[BoundedLimit]) -> Counter[int]:
    uppers = [most_by_minute(counts, each.limit) for each in limits]
    return Counter({minute: min(n, sum(upper[minute] for upper in uppers)) for minute, n in counts.items()})


def most_on_endpoint(counts: ByEndpoint, limits: Sequence[BoundedLimit], endpoint: str) -> int:
    """What all limits together deny at most of the requests to one endpoint."""
    own = _denied_on(counts[endpoint], _on(limits, endpoint))
    wide = [most_by_minute(together(counts), each.limit) for each in _on(limits, None)]
    requests = counts[endpoint].items()
    return sum(min(n, own[minute] + sum(min(n, each[minute]) for each in wide)) for minute, n in requests)
