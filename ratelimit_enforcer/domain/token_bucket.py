"""The token bucket: at most ``burst`` tokens, refilled continuously at ``quota / window``.

Usage is stored as the time that it takes to refill, in microseconds with an exact fraction
``rest / quota``. A refill is then a subtraction, and rounding errors never accumulate.
(The generic cell rate algorithm of ITU-T I.371 stores the same time, as a moment.)

This is the reference for ``store/scripts/decide.lua``; the same vectors run through both.
"""

import math
from dataclasses import dataclass, replace

from ratelimit_enforcer.domain.limit import Limit


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A bucket at ``now``: full again in ``used + rest / quota`` microseconds.

    ``quota`` is the one for which ``used`` and ``rest`` were computed (0: never used).
    """

    now: int = 0
    used: int = 0
    rest: int = 0
    quota: int = 0


def corrected(bucket: TokenBucket, limit: Limit, now: int) -> TokenBucket:
    """The bucket, moved to ``now`` if a wrong clock recorded it in the future."""
    is_ahead = limit.quota > 0 and bucket.now - now > limit.skew
    return replace(bucket, now=now) if is_ahead else bucket


def advance(bucket: TokenBucket, limit: Limit, now: int) -> TokenBucket:
    """The bucket at ``now``, refilled, converted to this limit's quota and burst.

    After a change of the limit, the bucket is as if the new values had applied since the last request. So
    every wait that a caller was given remains correct, regardless of checks in between.
    """
    if bucket.quota not in (0, limit.quota) and limit.quota:
        bucket = _convert(bucket, limit.quota)
    capacity = divmod(limit.capacity * limit.window_us, limit.quota) if limit.quota else (0, 0)
    if (bucket.used, bucket.rest) > capacity:
        bucket = replace(bucket, used=capacity[0], rest=capacity[1])
    return _refill(bucket, now)


def _refill(bucket: TokenBucket, now: int) -> TokenBucket:
    # A clock slightly behind the state must not make the bucket full earlier.
    used = bucket.used - (now - bucket.now)
    return replace(bucket, now=now, used=max(0, used), rest=bucket.rest if used >= 0 else 0)


def _convert(bucket: TokenBucket, quota: int) -> TokenBucket:
    """The bucket with the same tokens at another rate, rounded up to a whole microsecond. Computed in doubles, because
    the script has no other numbers: a relative error of 1e-16, once per change of the quota."""
    used = float(bucket.used) * bucket.quota / quota + bucket.rest / quota
    return replace(bucket, used=math.ceil(used), rest=0, quota=quota)


def admits(bucket: TokenBucket, limit: Limit, cost: int) -> bool:
    """Whether the limit admits a request of this cost; ``bucket`` must be at the present time (:func:`advance`)."""
    return limit.quota > 0 and _units(bucket) + cost * limit.window_us <= limit.capacity * limit.window_us


def consume(bucket: TokenBucket, limit: Limit, cost: int) -> TokenBucket:
    """The bucket after an admitted request of this cost; ``bucket`` must be at the present time
    (:func:`advance`)."""
    used, rest = divmod(_units(bucket) + cost * limit.window_us, limit.quota)
    return replace(bucket, used=used, rest=rest, quota=limit.quota)


def _units(bucket: TokenBucket) -> int:
    """The usage in microseconds times quota."""
    return bucket.used * bucket.quota + bucket.rest


def figures(bucket: TokenBucket) -> tuple[int, int, int, int]:
    """(used, rest, 0, 0): the time until full, from which every other figure follows exactly."""
    return bucket.used, bucket.rest, 0, 0
