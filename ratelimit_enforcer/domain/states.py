"""The state of one limit, whatever its algorithm."""

from collections.abc import Hashable
from dataclasses import replace

from ratelimit_enforcer.domain import concurrency, fixed_window, sliding_window, token_bucket
from ratelimit_enforcer.domain.concurrency import Places
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.limit import MAX_COST, Limit
from ratelimit_enforcer.domain.sliding_window import SlidingWindow
from ratelimit_enforcer.domain.token_bucket import TokenBucket

State = SlidingWindow | TokenBucket | FixedWindow
StateKey = tuple[Algorithm, int]
"""Algorithm and window (or period and zone) of a limit, so that it never reads the state of another kind of limit."""


def room_of(state: State | Places, limit: Limit) -> int:
    """The cost that the limit still admits; below zero if it has debts."""
    match state:
        case Places():
            return MAX_COST if concurrency.admits(state, limit) else 0
        case TokenBucket():
            return token_bucket.room(state, limit)
        case SlidingWindow() | FixedWindow():
            return limit.quota - state.used


def state_key(limit: Limit) -> StateKey:
    """Under which the state of a limit is stored."""
    return limit.algorithm, limit.window_code


def state_at(state: State | None, limit: Limit, now: int) -> State:
    """The state at ``now`` (microseconds since 1970)."""
    if limit.algorithm is Algorithm.SLIDING_WINDOW:
        return sliding_window.advance(state if isinstance(state, SlidingWindow) else SlidingWindow(), limit, now)
    if limit.algorithm is Algorithm.TOKEN_BUCKET:
        return token_bucket.advance(state if isinstance(state, TokenBucket) else TokenBucket(), limit, now)
    return fixed_window.advance(state if isinstance(state, FixedWindow) else FixedWindow(), limit, now)


def corrected_state(state: State, limit: Limit, now: int) -> State:
    """The state, without times that a wrong clock wrote."""
    match state:
        case SlidingWindow():
            return sliding_window.corrected(state, limit, now)
        case TokenBucket():
            return token_bucket.corrected(state, limit, now)
        case FixedWindow():
            return fixed_window.corrected(state, limit, now)


def admits_cost(state: State | Places, limit: Limit, cost: int) -> bool:
    """Whether the limit admits a request of this cost; the state must be at the present time."""
    match state:
        case SlidingWindow():
            return sliding_window.admits(state, limit, cost)
        case TokenBucket():
            return token_bucket.admits(state, limit, cost)
        case FixedWindow():
            return fixed_window.admits(state, limit, cost)
        case Places():
            return concurrency.admits(state, limit)


def consumed_state(state: State | Places, limit: Limit, cost: int, name: Hashable) -> State | Places:
    """The state after an admitted request, which takes a place under ``name``."""
    match state:
        case SlidingWindow():
            return sliding_window.consume(state, limit, cost)
        case TokenBucket():
            return token_bucket.consume(state, limit, cost)
        case FixedWindow():
            return fixed_window.consume(state, limit, cost)
        case Places():
            return concurrency.take(state, limit, name)


def marked_state(
    state: State | Places, limit: Limit, cost: int, name: Hashable, until: int
) -> tuple[State | Places, int]:
    """The state after an admitted reservation that may be refunded until ``until``, and the mark by which a refund
    finds the request."""
    if isinstance(state, TokenBucket):
        return token_bucket.reserve(state, limit, cost, until)
    after = consumed_state(state, limit, cost, name)
    match after:
        case SlidingWindow():
            return after, after.last_at
        case FixedWindow():
            return after, after.end
    return after, 0


def refunded_state(state: State, limit: Limit, cost: int, reserved: int, mark: int, now: int) -> State:
    """The state as if a request that reserved ``reserved`` had cost ``cost`` less. ``mark``: that of
    :func:`marked_state`."""
    match state:
        case SlidingWindow():
            return sliding_window.refund(sliding_window.advance(state, limit, now), limit, cost, mark)
        case TokenBucket():
            is_tracked = state.tracked_until > now
            return token_bucket.refund(state, _at_quota_of(state, limit), cost, reserved, mark) if is_tracked else state
        case FixedWindow():
            return fixed_window.refund(state, cost, mark)


def newest_refunded_state(state: State, limit: Limit, cost: int, now: int) -> tuple[State, int]:
    """The state after a refund of up to ``cost`` of the newest usage, and the cost refunded."""
    match state:
        case SlidingWindow():
            return sliding_window.refund_newest(sliding_window.advance(state, limit, now), cost)
        case TokenBucket():
            return token_bucket.refund_newest(state, _at_quota_of(state, limit), cost, now)
        case FixedWindow():
            return fixed_window.refund_newest(state, cost) if now < state.end else (state, 0)


def debited_state(state: State | None, limit: Limit, cost: int, now: int) -> tuple[State, int]:
    """The state after a debit, and the excess over the limit."""
    match state or state_at(None, limit, now):
        case TokenBucket() as bucket:
            limit = _at_quota_of(bucket, limit)
            return token_bucket.debit(token_bucket.corrected(bucket, limit, now), limit, cost, now)
        case SlidingWindow() as window:
            corrected = sliding_window.corrected(window, limit, now)
            return sliding_window.debit(sliding_window.advance(corrected, limit, now), limit, cost)
        case FixedWindow() as period:
            return fixed_window.debit(
                fixed_window.advance(fixed_window.corrected(period, limit, now), limit, now), limit, cost
            )


def used_at(state: State | None, limit: Limit, now: int) -> int:
    """What is used of a calendar limit at ``now``."""
    window = state if isinstance(state, FixedWindow) else FixedWindow()
    return fixed_window.advance(fixed_window.corrected(window, limit, now), limit, now).used


def overused_state(state: State | None, limit: Limit, cost: int, now: int) -> tuple[State, int]:
    """The state of a calendar limit that admits beyond its quota after a debit, and the units beyond the quota."""
    window = state if isinstance(state, FixedWindow) else FixedWindow()
    window = fixed_window.advance(fixed_window.corrected(window, limit, now), limit, now)
    return fixed_window.consume(window, limit, cost), max(0, min(cost, window.used + cost - limit.quota))


def over_quota_of(state: State | None, limit: Limit) -> int:
    """The units beyond the quota of a calendar limit in the period of the state."""
    return fixed_window.over_quota(state, limit) if isinstance(state, FixedWindow) else 0


def can_have_debts(limit: Limit) -> bool:
    """Nothing is ever refilled into a bucket with a quota of 0."""
    return limit.algorithm is not Algorithm.CONCURRENCY and (
        limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota > 0
    )


def _at_quota_of(bucket: TokenBucket, limit: Limit) -> Limit:
    """The limit with the quota for which the bucket's state was computed, and the same burst."""
    return replace(limit, quota=bucket.quota or limit.quota, burst=limit.capacity)


def figures_of(state: State | Places, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
    """The figures of a reading."""
    match state:
        case SlidingWindow():
            return sliding_window.figures(state, limit, cost, admits)
        case TokenBucket():
            return token_bucket.figures(state)
        case FixedWindow():
            return fixed_window.figures(state)
        case Places():
            return concurrency.figures(state)
