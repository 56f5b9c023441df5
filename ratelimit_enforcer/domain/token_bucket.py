"""The token bucket: at most ``burst`` tokens, refilled continuously at ``quota / window``.

Usage is stored as the time that it takes to refill, in microseconds with an exact fraction
``rest / quota``. A refill is then a subtraction, and rounding errors never accumulate.
(The generic cell rate algorithm of ITU-T I.371 stores the same time, as a moment.)

This is the reference for ``store/scripts/decide.lua``; the same vectors run through both.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ratelimit_enforcer.domain.limit import MAX_DEBT, MAX_WINDOW_SECONDS, SECOND_US, Limit

MAX_MINIMA = 16
"""The number of minima that a bucket stores."""

UNBOUNDED = 2**47
"""The minimum if usage was never low enough to bound a refund; no bucket takes as long to refill (microseconds)."""

MAX_DEBT_US = MAX_WINDOW_SECONDS * SECOND_US
"""The time to refill the debt of a bucket, at most (microseconds)."""

MAX_USED_US = 2 * MAX_WINDOW_SECONDS * SECOND_US
"""The time to refill the burst and the debt of a bucket, at most (microseconds)."""


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least usage (as in :class:`TokenBucket`) after the reservations with this ``label`` and before the end of
    the next label, at the moments when it is least: just before a request consumes."""

    label: int
    used: int = UNBOUNDED
    rest: int = 0


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A bucket at ``now``: full again in ``used + rest / quota`` microseconds.

    ``quota`` is the one for which ``used`` and ``rest`` were computed (0: never used). Until ``tracked_until``
    (microseconds since 1970) a reservation may be refunded: ``reserved`` is the total cost of the reservations since
    the first, and ``minima`` increase.
    """

    now: int = 0
    used: int = 0
    rest: int = 0
    quota: int = 0
    tracked_until: int = 0
    reserved: int = 0
    minima: tuple[Minimum, ...] = ()


def corrected(bucket: TokenBucket, limit: Limit, now: int) -> TokenBucket:
    """The bucket, moved to ``now`` if a wrong clock recorded it in the future."""
    is_ahead = limit.quota > 0 and bucket.now - now > limit.skew
    return replace(bucket, now=now) if is_ahead else bucket


def advance(bucket: TokenBucket, limit: Limit, now: int) -> TokenBucket:
    """The bucket at ``now``, refilled, converted to this limit's quota and burst.

    After a change of the limit, the bucket is as if the new values had applied since the last request. So
    every wait that a caller was given remains correct, regardless of checks in between.
    """
    if limit.quota == 0:
        return TokenBucket(now)
    if bucket.tracked_until <= now:
        bucket = replace(bucket, tracked_until=0, reserved=0, minima=())
    if bucket.quota not in (0, limit.quota):
        bucket = _convert(bucket, limit.quota)
    return _refill(bucket, now)


def _refill(bucket: TokenBucket, now: int) -> TokenBucket:
    # A clock slightly behind the state must not make the bucket full earlier.
    used = bucket.used - (now - bucket.now)
    return replace(bucket, now=now, used=max(0, used), rest=bucket.rest if used >= 0 else 0)


def _convert(bucket: TokenBucket, quota: int) -> TokenBucket:
    """The bucket with the same tokens at another rate, rounded up to a whole microsecond. Computed in doubles, because
    the script has no other numbers: a relative error of 1e-16, once per change of the quota."""
    used = math.ceil(float(bucket.used) * bucket.quota / quota + bucket.rest / quota)
    minima = tuple(_converted(minimum, bucket.quota, quota) for minimum in bucket.minima)
    return replace(bucket, used=min(used, MAX_USED_US), rest=0, quota=quota, minima=minima)


def _converted(minimum: Minimum, before: int, quota: int) -> Minimum:
    """Rounded down, so that no refund is too large."""
    if minimum.used == UNBOUNDED:
        return minimum
    used = math.floor(float(minimum.used) * before / quota + minimum.rest / quota)
    return replace(minimum, used=min(used, MAX_USED_US), rest=0)


def admits(bucket: TokenBucket, limit: Limit, cost: int) -> bool:
    """Whether the limit admits a request of this cost; ``bucket`` must be at the present time (:func:`advance`)."""
    return limit.quota > 0 and _units(bucket) + cost * limit.window_us <= limit.capacity * limit.window_us


def room(bucket: TokenBucket, limit: Limit) -> int:
    """The tokens in the bucket, rounded down; below zero if it has debts. ``bucket`` must be at the present time
    (:func:`advance`)."""
    return (limit.capacity * limit.window_us - _units(bucket)) // limit.window_us if limit.quota else 0


def consume(bucket: TokenBucket, limit: Limit, cost: int) -> TokenBucket:
    """The bucket after an admitted request of this cost; ``bucket`` must be at the present time
    (:func:`advance`)."""
    used, rest = divmod(_units(bucket) + cost * limit.window_us, limit.quota)
    return replace(bucket, used=used, rest=rest, quota=limit.quota, minima=_with_present_usage(bucket, limit))


def _with_present_usage(bucket: TokenBucket, limit: Limit) -> tuple[Minimum, ...]:
    """The minima if a request consumes now. Usage that covers all reservations bounds none of their refunds."""
    if not bucket.minima or bucket.used >= bucket.reserved * (limit.window_us // limit.quota + 1):
        return bucket.minima
    lower = tuple(minimum for minimum in bucket.minima if _level(minimum) < _level(bucket))
    if len(lower) == len(bucket.minima):
        return bucket.minima
    return (*lower, Minimum(bucket.minima[-1].label, bucket.used, bucket.rest))


def _level(state: TokenBucket | Minimum) -> tuple[int, int]:
    return state.used, state.rest


def reserve(bucket: TokenBucket, limit: Limit, cost: int, until: int) -> tuple[TokenBucket, int]:
    """The counter after an admitted reservation that may be refunded until ``until`` (microseconds since 1970), and
    the label of the minima that bound a refund."""
    minima = _with_present_usage(bucket, limit)
    if not minima or minima[-1].used != UNBOUNDED:
        minima = (*minima, Minimum(minima[-1].label + 1 if minima else 1))
    if len(minima) > MAX_MINIMA:
        minima = _merged(minima)
    tracked_until = max(bucket.tracked_until, until)
    tracked = replace(
        consume(bucket, limit, cost), minima=minima, tracked_until=tracked_until, reserved=bucket.reserved + cost
    )
    return tracked, minima[-1].label


def _merged(minima: Sequence[Minimum]) -> tuple[Minimum, ...]:
    """Merges the two minima that differ least, except the last one, into the lower: this can only refund less."""
    rises = [later.used - earlier.used for earlier, later in pairwise(minima[:-1])]
    at = rises.index(min(rises))
    return (*minima[:at], replace(minima[at], label=minima[at + 1].label), *minima[at + 2 :])


def refund(bucket: TokenBucket, limit: Limit, cost: int, reserved: int, label: int) -> TokenBucket:
    """The counter as if a reservation of ``reserved`` had cost ``cost`` less: ``used(t) - min(cost, least used(s))``,
    with s from the reservation to t. ``bucket`` stays at the time of the last request: it is refilled from there on, at
    the quota of whoever reads it next."""
    bounds = [_units_of(minimum, bucket.quota) for minimum in bucket.minima if minimum.label >= label]
    if not bounds:
        return bucket
    most = min(cost * limit.window_us, bounds[0])
    used, rest = divmod(max(0, _units(bucket) - most), bucket.quota)
    minima = tuple(_lowered(bucket, label, most))
    return replace(bucket, used=used, rest=rest, minima=minima, reserved=max(0, bucket.reserved - reserved))


def _lowered(bucket: TokenBucket, label: int, by: int) -> Iterator[Minimum]:
    """Later minima are lower by the refund. Earlier ones that are not below the first of these are of no use."""
    first = next(_units_of(minimum, bucket.quota) for minimum in bucket.minima if minimum.label >= label)
    for minimum in bucket.minima:
        units = _units_of(minimum, bucket.quota)
        if minimum.label >= label and minimum.used != UNBOUNDED:
            used, rest = divmod(units - by, bucket.quota)
            yield Minimum(minimum.label, used, rest)
        elif minimum.label >= label or units < first - by or minimum.used == UNBOUNDED:
            yield minimum


def refund_newest(bucket: TokenBucket, limit: Limit, cost: int, now: int) -> tuple[TokenBucket, int]:
    """The counter after a refund of up to ``cost`` at ``now``, and the number of tokens refunded, rounded up. The usage
    is lower from ``now`` on, which bounds later refunds of open reservations. ``limit`` has the quota for which the
    bucket's state was computed. The bucket stays at the time of the last request."""
    if bucket.quota == 0:
        return bucket, 0
    if bucket.tracked_until <= now:
        bucket = replace(bucket, tracked_until=0, reserved=0, minima=())
    present = _refill(bucket, now)
    units = min(cost * limit.window_us, _units(present), _units(bucket))
    used, rest = divmod(_units(present) - units, bucket.quota)
    minima = _with_present_usage(replace(present, used=used, rest=rest), limit)
    used, rest = divmod(_units(bucket) - units, bucket.quota)
    return replace(bucket, used=used, rest=rest, minima=minima), -(-units // limit.window_us)


def debit(bucket: TokenBucket, limit: Limit, cost: int, now: int) -> tuple[TokenBucket, int]:
    """The counter after consuming ``cost`` beyond the burst if necessary, and the number of tokens beyond it that are
    missing at ``now``, rounded up. The debt is at most :data:`~ratelimit_enforcer.domain.limit.MAX_DEBT` tokens, and
    what is refilled in 366 days. Unless the bucket was full meanwhile, it stays at the time of the last request."""
    since, bucket = bucket.now, advance(bucket, limit, now)
    burst = limit.capacity * limit.window_us
    most = burst + min(MAX_DEBT * limit.window_us, MAX_DEBT_US * limit.quota)
    units = max(_units(bucket), min(_units(bucket) + cost * limit.window_us, most))
    used, rest = divmod(units, limit.quota)
    after = replace(bucket, used=used, rest=rest, quota=limit.quota, minima=_with_present_usage(bucket, limit))
    if _units(bucket):
        after = replace(after, now=since, used=after.used + now - since)
    return after, max(0, -((burst - units) // limit.window_us))


def _units(bucket: TokenBucket) -> int:
    """The usage in microseconds times quota."""
    return bucket.used * bucket.quota + bucket.rest


def _units_of(minimum: Minimum, quota: int) -> int:
    return minimum.used * quota + minimum.rest


def figures(bucket: TokenBucket) -> tuple[int, int, int, int]:
    """(used, rest, 0, 0): the time until full, from which every other figure follows exactly."""
    return bucket.used, bucket.rest, 0, 0
