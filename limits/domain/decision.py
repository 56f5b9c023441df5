"""The answer to one check."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from math import inf
from typing import Any, NamedTuple

from limits.domain.counters import Reading
from limits.domain.limit import SECOND, Limit
from limits.domain.selection import EffectivePolicy, LimitOf
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
    ends_after: float | None = None
    """Until the current window or calendar period ends; None where windows have no fixed end."""

    @property
    def is_enforced(self) -> bool:
        return self.mode is Mode.ENFORCE


class LimitStates(Sequence[LimitState]):
    """All limits of a check, in the order of the readings; worked out when first read, since most
    callers only ask whether they may go on. ``consumes``: as for :func:`states_of`."""

    __slots__ = ("_found", "_states")

    def __init__(
        self, policies: Sequence[EffectivePolicy], cost: int, readings: Sequence[Reading], *, consumes: bool
    ) -> None:
        self._found = policies, cost, readings, consumes
        self._states: tuple[LimitState, ...] | None = None

    def _read(self) -> tuple[LimitState, ...]:
        if self._states is None:
            policies, cost, readings, consumes = self._found
            self._states = states_of(policies, cost, readings, consumes=consumes)
        return self._states

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[LimitState]:
        return iter(self._read())

    def __getitem__(self, at: Any) -> Any:
        return self._read()[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._read() == tuple(other)

    __hash__ = None  # type: ignore[assignment]


class Decision(NamedTuple):
    """The answer to one check. Durations are in seconds."""

    allowed: bool
    reason: Reason | None
    client: str
    plan: str | None
    endpoint: str | None
    cost: int
    ruleset: int
    """The sequence of the ruleset that decided; 0 where none was held."""
    limits: Sequence[LimitState] = ()
    degraded: bool = False
    undisputed: bool = False
    """Known without reading the limits: each of them admitted, in shadow mode too."""

    @property
    def denying(self) -> tuple[LimitState, ...]:
        """The limits that denied the request."""
        if self.undisputed:
            return ()
        return tuple(state for state in self.limits if state.is_enforced and not state.allowed)

    @property
    def leading(self) -> LimitState | None:
        """The one enforcing limit that speaks for all: when denied the one with the longest wait,
        else the one with the least remaining, then the longest reset, then by name."""
        if denying := self.denying:
            return max(denying, key=lambda state: (_wait(state), state.name))
        leader: LimitState | None = None
        for state in self.limits:
            if state.is_enforced and (leader is None or _room(state) < _room(leader)):
                leader = state
        return leader

    @property
    def retry_after(self) -> float | None:
        """The longest wait of the denying limits; None where there is none or it cannot help."""
        longest = max(map(_wait, self.denying), default=inf)
        return None if longest == inf else longest


def _room(state: LimitState) -> tuple[int, float, str]:
    return state.remaining, -state.reset_after, state.name


def _wait(state: LimitState) -> float:
    return inf if state.retry_after is None else state.retry_after


def _sliding_window(which: LimitOf, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, used, next_capacity, reset, retry = reading
    limit = which[3]
    quota = limit.quota
    if consumed:
        # Where it admits, `retry` is how far the counter is ahead of the clock.
        used, reset = used + cost, limit.window_us + (retry if admits else 0)
        next_capacity = reset if next_capacity == NEVER else next_capacity
    remaining = quota - used if used < quota else 0
    next_capacity_after = None if next_capacity == NEVER else next_capacity / SECOND
    retry_after = None if admits or retry == NEVER else retry / SECOND
    return LimitState(*which, admits, remaining, reset / SECOND, next_capacity_after, retry_after, cost <= quota)


def _token_bucket(which: LimitOf, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, used, rest, _, _ = reading
    limit = which[3]
    window, quota, capacity = limit.window_us, limit.quota, limit.capacity
    spent = used * quota + rest + (cost * window if consumed else 0)
    free = capacity * window - spent
    # A clock that is a little behind the counter finds more used than there is.
    remaining = max(0, free // window)
    can_ever_admit = cost <= capacity
    reset_after = _refill_seconds(spent, quota) if spent else 0.0
    next_capacity_after = _refill_seconds((remaining + 1) * window - free, quota) if spent else None
    retry_after = None if admits or not can_ever_admit else _refill_seconds(cost * window - free, quota)
    return LimitState(*which, admits, remaining, reset_after, next_capacity_after, retry_after, can_ever_admit)


def _fixed_window(which: LimitOf, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, used, rest, _, _ = reading
    used, ends_after, quota = used + (cost if consumed else 0), rest / SECOND, which[3].quota
    remaining = quota - used if used < quota else 0
    reset_after = ends_after if used else 0.0
    next_capacity_after = ends_after if used and quota else None
    retry_after = None if admits or cost > quota else ends_after
    return LimitState(
        *which, admits, remaining, reset_after, next_capacity_after, retry_after, cost <= quota, ends_after
    )


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
    named = [which for policy in policies for which in policy.named]
    if consumes and False not in [reading[0] for reading in readings]:
        taken: Iterable[bool] = repeat(True)
    else:
        taken = _taken(policies, readings) if consumes else repeat(False)
    return tuple(
        [
            _READERS[which[3].algorithm](which, cost, reading, takes)
            for which, reading, takes in zip(named, readings, taken, strict=False)
        ]
    )


def _taken(policies: Sequence[EffectivePolicy], readings: Sequence[Reading]) -> Iterator[bool]:
    """Yields for each limit whether the request takes from it: all limits of its policy admit."""
    admits = iter([reading[0] for reading in readings])
    for policy in policies:
        its = list(islice(admits, len(policy.limits)))
        yield from repeat(all(its), len(its))


def denial_reason(limits: Sequence[LimitState]) -> Reason | None:
    """Why the enforcing limits among these deny the request; None where they admit it."""
    denying = [state for state in limits if state.is_enforced and not state.allowed]
    if not denying:
        return None
    never = any(not state.can_ever_admit for state in denying)
    return Reason.COST_EXCEEDS_QUOTA if never else Reason.LIMIT
