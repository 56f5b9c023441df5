"""How many requests a limit denies at least and at most, as far as counts by minute show it.

Recorded usage says how many requests a minute had, not when within it. All bounds are for requests of cost 1 against
counters that were not used before. Denied requests are bounded from above in each minute (:class:`Upper`), and from
below in whole blocks of minutes (:class:`Block`); :mod:`limits.simulation.statements` computes both in SQL.

- Upper: when a limit denies requests of a minute, admitted requests fill it. Both are among the ``N`` requests of
  that minute and of those over which the limit counts, so at most ``N - capacity`` requests of the minute are denied.
  Other limits can only reduce what is admitted, so several limits deny at most the sum.
- Lower: a limit admits only so many requests of a block of minutes, whatever else denies some of them. The rest is
  denied, so the largest bound of several limits is true of all of them together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.sliding_window import CELLS, EXACT_RUNS

MINUTE = 60
"""Seconds."""
LONGEST_BLOCK = 1_440
"""Minutes: longer blocks of a token bucket are not tried."""


class Count(StrEnum):
    """Which requests count against the capacity of a limit in some minute."""

    BEFORE = "before"
    """Those of the minute and of some minutes before it."""
    PERIOD = "period"
    """Those of the same window or calendar period, up to this minute. Windows and periods begin with a minute, so this
    is exact."""
    BUCKET = "bucket"
    """Those since any earlier minute, less what the bucket was refilled with since the end of that minute."""


@dataclass(frozen=True, slots=True)
class Upper:
    """Denied requests of a minute: at most the requests that count, less ``capacity``. ``minutes``: of
    :attr:`Count.BEFORE` the number of minutes before, of a fixed window its length. ``refill``: tokens per minute."""

    count: Count
    capacity: int
    minutes: int = 0
    refill: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Block:
    """Denied requests of any ``minutes`` in succession: at least those beyond ``capacity``. Blocks that follow each
    other are added up. ``aligned``: this is true of blocks that begin with a multiple of their length since 1970;
    otherwise of any, and the largest sum over all beginnings counts."""

    minutes: int
    capacity: int
    aligned: bool = False


def upper_of(limit: Limit) -> Upper:
    """The upper bound of a limit."""
    match limit.algorithm:
        case Algorithm.CALENDAR:
            return Upper(Count.PERIOD, limit.quota)
        case Algorithm.FIXED_WINDOW:
            return _upper_of_window(limit)
        case Algorithm.TOKEN_BUCKET:
            return Upper(Count.BUCKET, limit.capacity, refill=_refill(limit))
        case Algorithm.CONCURRENCY:
            return Upper(Count.BEFORE, limit.quota, _minutes(limit.window_us))
        case Algorithm.SLIDING_WINDOW:
            return Upper(Count.BEFORE, limit.quota, _minutes(limit.window_us + _late(limit)))


def _upper_of_window(limit: Limit) -> Upper:
    seconds = limit.window or 0
    if seconds % MINUTE == 0:
        return Upper(Count.PERIOD, limit.quota, seconds // MINUTE)
    return Upper(Count.BEFORE, limit.quota, 0 if MINUTE % seconds == 0 else _minutes(limit.window_us))


def _late(limit: Limit) -> int:
    """The microseconds by which a request may expire late: the runs of a sliding window are merged within cells, beyond
    64 of them. 0 if each cell is within one minute, because the merged requests then are, too."""
    cell = limit.window_us // CELLS
    if limit.quota <= EXACT_RUNS or MINUTE * SECOND_US % cell == 0:
        return 0
    return cell


def _minutes(microseconds: int) -> int:
    return -(-microseconds // (MINUTE * SECOND_US))


def _refill(limit: Limit) -> Fraction:
    return Fraction(limit.quota * MINUTE, limit.window or 1)


def blocks_of(limit: Limit) -> tuple[Block, ...]:
    """The blocks that bound a limit from below; none if nothing does, or if its upper bound is exact."""
    match limit.algorithm:
        case Algorithm.SLIDING_WINDOW:
            return (_block_of_sliding(limit),)
        case Algorithm.FIXED_WINDOW if upper_of(limit).count is Count.BEFORE:
            return (_block_of_fixed(limit),)
        case Algorithm.TOKEN_BUCKET:
            return tuple(_blocks_of_bucket(limit))
        case _:
            return ()


def is_exact(limit: Limit) -> bool:
    """Whether the limit alone denies exactly as many requests as its upper bound."""
    return upper_of(limit).count is Count.PERIOD


def _block_of_sliding(limit: Limit) -> Block:
    seconds = limit.window or 1
    if seconds >= MINUTE:
        return Block(seconds // MINUTE, limit.quota)
    return Block(1, limit.quota * -(-MINUTE // seconds))


def _block_of_fixed(limit: Limit) -> Block:
    """Blocks in which whole windows fit."""
    seconds = limit.window or 1
    length = math.lcm(seconds, MINUTE)
    return Block(length // MINUTE, limit.quota * (length // seconds), aligned=True)


def _blocks_of_bucket(limit: Limit) -> Iterator[Block]:
    """Single minutes, and blocks in which the bucket is refilled about once."""
    refill = _refill(limit)
    once = math.ceil(limit.capacity / refill) if refill else 1
    for minutes in sorted({1, min(max(1, once), LONGEST_BLOCK)}):
        yield Block(minutes, limit.capacity + math.floor(refill * minutes))
