"""The token bucket: ``burst`` tokens at most, refilled continuously at ``quota / window``.

What has been used is kept as the time that it takes to refill, in microseconds with an exact
fraction ``rest / quota``: a refill is then a subtraction, and no rounding ever adds up.
(The generic cell rate algorithm of ITU-T I.371 keeps the same time, as a moment.)

This is the reference for ``store/lua/decide.lua``; the same vectors run through both.
"""

import math
from dataclasses import dataclass, replace

from limits.domain.limit import Limit


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket at ``now``: full again in ``used + rest / quota`` microseconds.

    ``quota`` is the one that ``used`` and ``rest`` were reckoned with (0: never used).
    """

    now: int = 0
    used: int = 0
    rest: int = 0
    quota: int = 0


def corrected(bucket: Bucket, limit: Limit, now: int) -> Bucket:
    """The bucket without what a wrong clock noted of the future: that was ``now`` at the latest."""
    is_ahead = limit.quota > 0 and bucket.now - now > limit.skew
    return replace(bucket, now=now) if is_ahead else bucket


def advance(bucket: Bucket, limit: Limit, now: int) -> Bucket:
    """The bucket at ``now``, refilled, in terms of this limit's quota and burst.

    Where they were changed, it is as if they had held since the last request: so all that a caller
    is told about waiting stays true, whoever asks meanwhile.
    """
    if bucket.quota not in (0, limit.quota) and limit.quota:
        bucket = _convert(bucket, limit.quota)
    capacity = divmod(limit.capacity * limit.window_us, limit.quota) if limit.quota else (0, 0)
    if (bucket.used, bucket.rest) > capacity:
        bucket = replace(bucket, used=capacity[0], rest=capacity[1])
    return _refill(bucket, now)


def _refill(bucket: Bucket, now: int) -> Bucket:
    # Where the clock is a little behind the state, the bucket is full again no earlier for that.
    used = bucket.used - (now - bucket.now)
    return replace(bucket, now=now, used=max(0, used), rest=bucket.rest if used >= 0 else 0)


def _convert(bucket: Bucket, quota: int) -> Bucket:
    """The same tokens at another rate, rounded up to a whole microsecond. In doubles, as the
    script has no others: a relative error of 1e-16, once per change of the quota."""
    used = float(bucket.used) * bucket.quota / quota + bucket.rest / quota
    return replace(bucket, used=math.ceil(used), rest=0, quota=quota)


def admits(bucket: Bucket, limit: Limit, cost: int) -> bool:
    return limit.quota > 0 and _units(bucket) + cost * limit.window_us <= limit.capacity * limit.window_us


def consume(bucket: Bucket, limit: Limit, cost: int) -> Bucket:
    """The bucket after an admitted request."""
    used, rest = divmod(_units(bucket) + cost * limit.window_us, limit.quota)
    return replace(bucket, used=used, rest=rest, quota=limit.quota)


def _units(bucket: Bucket) -> int:
    """What has been used, in microseconds times quota."""
    return bucket.used * bucket.quota + bucket.rest


def figures(bucket: Bucket) -> tuple[int, int, int, int]:
    """(used, rest, 0, 0): the time until full, from which all else follows exactly."""
    return bucket.used, bucket.rest, 0, 0
