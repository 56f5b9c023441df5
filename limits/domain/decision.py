"""The answer to one check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from limits.domain.counters import Reading
from limits.domain.limit import SECOND, Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.sliding_window import NEVER
from limits.domain.words import Algorithm, Mode, Reason


class LimitState(NamedTuple):
    """One limit as a check found it. Durations are in seconds."""

    name: str
    policy: str
    mode: Mode
    limit: Limit
    allowed: bool
    remaining: int
    """Whole units of cost that the limit would still admit now."""
    reset_after: float
    """Until the limit is as if it had never been used."""
    next_capacity_after: float | None
    """Until the first capacity comes back; None at full capacity, or where none ever will."""
    retry_after: float | None
    """Until this request would be admitted; None where it was, or where waiting cannot help."""
    can_ever_admit: bool
    """False where the cost is above what the limit can ever admit."""

    @property
    def is_enforced(self) -> bool:
        return self.mode is Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one check. Durations are in seconds."""

    allowed: bool
    reason: Reason | None
    client: str
    plan: str | None
    endpoint: str | None
    cost: int
    ruleset: int
    """The sequence of the ruleset that decided; 0 where none was held."""
    limits: tuple[LimitState, ...] = ()
    degraded: bool = False

    @property
    def denying(self) -> tuple[LimitState, ...]:
        """The limits that denied the request."""
        return tuple(state for state in self.limits if state.is_enforced and not state.allowed)

    @property
    def leading(self) -> LimitState | None:
        """The one enforcing limit that speaks for all: when denied the one with the longest wait,
        else the one with the least remaining, then the longest reset, then by name."""
        if denying := self.denying:
            return max(denying, key=lambda state: (_wait(state), state.name))
        enforcing = [state for state in self.limits if state.is_enforced]
        return min(enforcing, key=lambda state: (state.remaining, -state.reset_after, state.name), default=None)

    @property
    def retry_after(self) -> float | None:
        """The longest wait of the denying limits; None where there is none or it cannot help."""
        waits = [state.retry_after for state in self.denying]
        return None if None in waits else max((wait for wait in waits if wait is not None), default=None)


def _wait(state: LimitState) -> float:
    return float("inf") if state.retry_after is None else state.retry_after


def state_of(
    name: str, policy: EffectivePolicy, limit: Limit, cost: int, reading: Reading, *, consumed: bool
) -> LimitState:
    """One limit of a policy as the caller sees it after the check. ``reading`` is its state before
    the request; ``consumed``: the request took its cost."""
    admits = reading[0]
    remaining, reset_after, next_capacity_after, retry_after = _READERS[limit.algorithm](limit, cost, reading, consumed)
    return LimitState(
        name,
        policy.policy.slug,
        policy.mode,
        limit,
        admits,
        remaining,
        reset_after,
        next_capacity_after,
        None if admits else retry_after,
        cost <= limit.capacity,
    )


Shown = tuple[int, float, float | None, float | None]
"""Remaining, reset_after, next_capacity_after, retry_after."""


def _sliding_window(limit: Limit, cost: int, reading: Reading, consumed: bool) -> Shown:
    _, used, next_capacity, reset, retry = reading
    if consumed:
        used, reset = used + cost, limit.window_us
        next_capacity = limit.window_us if next_capacity == NEVER else next_capacity
    return max(0, limit.quota - used), reset / SECOND, _seconds(next_capacity), _seconds(retry)


def _token_bucket(limit: Limit, cost: int, reading: Reading, consumed: bool) -> Shown:
    _, used, rest, _, _ = reading
    window, quota, capacity = limit.window_us, limit.quota, limit.capacity
    spent = used * quota + rest + (cost * window if consumed else 0)
    free = capacity * window - spent
    remaining = free // window
    if not spent:
        return remaining, 0.0, None, None
    retry = _refill_seconds(cost * window - free, quota) if cost <= capacity else None
    return remaining, _refill_seconds(spent, quota), _refill_seconds((remaining + 1) * window - free, quota), retry


def _fixed_window(limit: Limit, cost: int, reading: Reading, consumed: bool) -> Shown:
    used, rest = reading[1] + (cost if consumed else 0), reading[2] / SECOND
    next_capacity = rest if used and limit.quota else None
    return max(0, limit.quota - used), rest if used else 0.0, next_capacity, rest if cost <= limit.quota else None


def _seconds(microseconds: int) -> float | None:
    return None if microseconds == NEVER else microseconds / SECOND


def _refill_seconds(units: int, quota: int) -> float:
    """The time to refill ``units`` (microseconds times quota), rounded up to a microsecond."""
    return -(-units // quota) / SECOND


_READERS = {
    Algorithm.SLIDING_WINDOW: _sliding_window,
    Algorithm.TOKEN_BUCKET: _token_bucket,
    Algorithm.FIXED_WINDOW: _fixed_window,
    Algorithm.CALENDAR: _fixed_window,
}


def states_of(
    policies: Sequence[EffectivePolicy], cost: int, readings: Sequence[Reading], *, consumes: bool
) -> tuple[LimitState, ...]:
    """All limits of a check, in the order of the readings. ``consumes``: the request was admitted
    and takes its cost from each policy that admits it."""
    states: list[LimitState] = []
    first = 0
    for policy in policies:
        row = readings[first : first + len(policy.limits)]
        first += len(row)
        consumed = consumes and all(admits for admits, *_ in row)
        for name, limit, reading in zip(policy.names, policy.limits, row, strict=True):
            states.append(state_of(name, policy, limit, cost, reading, consumed=consumed))
    return tuple(states)


def denial_reason(limits: Sequence[LimitState]) -> Reason | None:
    """Why the enforcing limits among these deny the request; None where they admit it."""
    denying = [state for state in limits if state.is_enforced and not state.allowed]
    if not denying:
        return None
    never = any(not state.can_ever_admit for state in denying)
    return Reason.COST_EXCEEDS_QUOTA if never else Reason.LIMIT
