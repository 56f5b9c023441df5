"""The answer to one check.

A cost of 0, or one that is larger than any limit admits, gets an answer and not an error: in projects
that compute the cost from the request, both follow from a caller's data.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from math import inf
from typing import Any, NamedTuple

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition, Reason
from ratelimit_enforcer.domain.limit import MAX_COST, SECOND_US, Limit
from ratelimit_enforcer.domain.readings import Reading, readings_by_policy, require_reading_for_each_limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.selection import EffectivePolicy, NamedLimit
from ratelimit_enforcer.domain.sliding_window import NEVER


class CheckRequest(NamedTuple):
    """One check: the client, the endpoint, the cost and the attributes.

    The endpoint is named by its slug, or found by method and path. ``decoded``: the path was decoded
    by a framework, and is matched as it is. ``cost`` None: the endpoint's cost. ``attributes`` are normalized
    (:func:`~ratelimit_enforcer.domain.attributes.normalized`). ``counted_together``: slug and level of policies that
    count no further value separately, so that this request is counted under ``(other)``. ``reserve``: the cost may be
    settled later. ``takes_places`` False: concurrency limits are left out, because nobody would free the places.
    ``domain``: only endpoints of this domain are found (:func:`~ratelimit_enforcer.domain.rules.domains_of`); empty:
    all. ``limit``: replaces, for this request, the limits of the endpoint's policies that count each client separately;
    one with another window or algorithm than theirs starts a new counter, as when a policy is changed.
    """

    client: str
    endpoint: str | None = None
    method: str | None = None
    path: str | None = None
    cost: int | None = None
    decoded: bool = False
    attributes: Mapping[str, str] = NO_ATTRIBUTES
    counted_together: frozenset[tuple[str, int]] = frozenset()
    reserve: Reserve | None = None
    takes_places: bool = True
    domain: str = ""
    limit: Limit | None = None


class LimitState(NamedTuple):
    """One limit as a check found it. Durations are in seconds."""

    name: str
    policy: str
    mode: Mode
    limit: Limit
    override: Override | SegmentOverride | None
    """The override that the limit comes from; None: the policy."""
    allowed: bool
    remaining: int
    """Whole units of cost that the limit would still admit."""
    reset_after: float
    """Time until the full capacity of the limit is available again."""
    next_capacity_after: float | None
    """Time until the next unit becomes available; None at full capacity, or where none ever will."""
    retry_after: float | None
    """Time until this request would be admitted; None if it was admitted, or if waiting cannot help."""
    can_ever_admit: bool
    """False if the cost exceeds what the limit can ever admit."""
    ends_after: float | None = None
    """Time until the current window or calendar period ends; None where windows have no fixed end."""
    client: str | None = None
    """Whose limit it is: the client or an ancestor; None: the limit counts no client separately."""
    over_quota: int | None = None
    """The units beyond the quota in this period, of a calendar limit that admits them; None: the limit denies them."""
    granted: int = 0
    """What is left of the grants of a calendar limit; included in ``remaining``."""
    granted_taken: int = 0
    """What this request takes from grants."""

    @property
    def used(self) -> int:
        """The units used of the quota, and those beyond it."""
        return max(0, self.limit.capacity - self.remaining + self.granted) + (self.over_quota or 0)

    @property
    def is_enforced(self) -> bool:
        """Whether the limit can deny requests: False in shadow mode."""
        return self.mode is Mode.ENFORCE


class LimitStates(Sequence[LimitState]):
    """All limits of a check, in the order of the readings; computed on first access, because most
    callers only ask whether the request is admitted. ``consumes``, ``subjects``: as for :func:`states_of`."""

    __slots__ = ("_inputs", "_states")

    def __init__(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        readings: Sequence[Reading],
        *,
        consumes: bool,
        subjects: Sequence[str] = ("",),
    ) -> None:
        self._inputs = policies, cost, readings, consumes, subjects
        self._states: tuple[LimitState, ...] | None = None

    def _read(self) -> tuple[LimitState, ...]:
        if self._states is None:
            policies, cost, readings, consumes, subjects = self._inputs
            self._states = states_of(policies, cost, readings, consumes=consumes, subjects=subjects)
        return self._states

    def __len__(self) -> int:
        return len(self._inputs[2])

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
    """The sequence number of the ruleset that decided; 0 if no ruleset was loaded."""
    limits: Sequence[LimitState] = ()
    degraded: bool = False
    admitted_by_all: bool = False
    """True: every limit admitted the request, those in shadow mode too; known without reading the limits."""
    reservation: str | None = None
    """Identifies what was reserved; None unless the cost may be settled, or places are to be released."""
    expires_at: int | None = None
    """Until when the reservation may be refunded, or the places last (microseconds since 1970)."""
    change: str | None = None
    """The change set whose rules decided, if it is tried on a share of the clients or began by its schedule."""

    @property
    def denying(self) -> tuple[LimitState, ...]:
        """The limits that denied the request."""
        if self.admitted_by_all:
            return ()
        return tuple(state for state in self.limits if state.is_enforced and not state.allowed)

    @property
    def leading(self) -> LimitState | None:
        """The enforcing limit that represents all others. If denied: the one with the longest wait. Else the
        one with the least remaining, then the longest reset, then by name. None without enforcing limits."""
        if denying := self.denying:
            return max(denying, key=lambda state: (_wait(state), state.name))
        leader: LimitState | None = None
        for state in self.limits:
            if state.is_enforced and (leader is None or _room(state) < _room(leader)):
                leader = state
        return leader

    @property
    def retry_after(self) -> float | None:
        """The longest wait of the denying limits (seconds); None if none deny, or if waiting cannot help."""
        longest = max(map(_wait, self.denying), default=inf)
        return None if longest == inf else longest


CONCURRENCY_RETRY_AFTER = 1.0
"""Seconds after which a caller should try again that a concurrency limit denied: nobody knows when one of the
requests in progress will end."""


def _room(state: LimitState) -> tuple[int, float, str]:
    return state.remaining, -state.reset_after, state.name


def _wait(state: LimitState) -> float:
    return inf if state.retry_after is None else state.retry_after


def _sliding_window(named: NamedLimit, client: str | None, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, used, next_capacity, reset, retry_or_ahead = reading
    limit = named.limit
    quota = limit.quota
    if consumed:
        used, reset = used + cost, limit.window_us + (retry_or_ahead if admits else 0)
        next_capacity = reset if next_capacity == NEVER else next_capacity
    remaining = quota - used if used < quota else 0
    next_capacity_after = None if next_capacity == NEVER else next_capacity / SECOND_US
    retry_after = None if admits or retry_or_ahead == NEVER else retry_or_ahead / SECOND_US
    return LimitState(
        *named, admits, remaining, reset / SECOND_US, next_capacity_after, retry_after, cost <= quota, None, client
    )


def _token_bucket(named: NamedLimit, client: str | None, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, until_full, until_full_rest, _, _ = reading
    limit = named.limit
    window, quota, capacity = limit.window_us, limit.quota, limit.capacity
    spent = until_full * quota + until_full_rest + (cost * window if consumed else 0)
    free = capacity * window - spent
    # Seen from a clock slightly behind the counter, more may be used than the capacity.
    remaining = max(0, free // window)
    can_ever_admit = cost <= capacity
    reset_after = _refill_seconds(spent, quota) if spent else 0.0
    next_capacity_after = _refill_seconds((remaining + 1) * window - free, quota) if spent else None
    retry_after = None if admits or not can_ever_admit else _refill_seconds(cost * window - free, quota)
    return LimitState(
        *named, admits, remaining, reset_after, next_capacity_after, retry_after, can_ever_admit, None, client
    )


def _fixed_window(named: NamedLimit, client: str | None, cost: int, reading: Reading, consumed: bool) -> LimitState:
    admits, used, until_end, _, _ = reading
    used, ends_after, quota = used + (cost if consumed else 0), until_end / SECOND_US, named.limit.quota
    remaining = quota - used if used < quota else 0
    reset_after = ends_after if used else 0.0
    next_capacity_after = ends_after if used and quota else None
    retry_after = None if admits or cost > quota else ends_after
    return LimitState(
        *named, admits, remaining, reset_after, next_capacity_after, retry_after, cost <= quota, ends_after, client
    )


def _beyond_quota(
    policy: EffectivePolicy, named: NamedLimit, client: str | None, cost: int, reading: Reading, consumed: bool
) -> LimitState:
    """A calendar limit with grants, or one that admits beyond its quota. ``reading``: with what is left of the grants,
    which are consumed after the quota."""
    admits, used, until_end, granted, _ = reading
    quota, ends_after, taken = named.limit.quota, until_end / SECOND_US, 0
    if consumed:
        taken = min(granted, max(0, cost - max(0, quota - used)))
        used, granted = used + cost - taken, granted - taken
    most = quota + sum(grant.amount for grant in policy.grants_of(named.limit))
    counts = policy.admits_over_quota(named.limit)
    return LimitState(
        *named,
        allowed=admits,
        remaining=max(0, quota - used) + granted,
        reset_after=ends_after if used else 0.0,
        next_capacity_after=ends_after if used and quota else None,
        retry_after=None if admits or cost > quota + granted else ends_after,
        can_ever_admit=counts or cost <= most,
        ends_after=ends_after,
        client=client,
        over_quota=max(0, used - quota) if counts else None,
        granted=granted,
        granted_taken=taken,
    )


def _concurrency(named: NamedLimit, client: str | None, cost: int, reading: Reading, consumed: bool) -> LimitState:
    """``reading``: the places taken before the request, and the microseconds until the windows of the first
    (:data:`NEVER`: none is taken) and of the last have passed. A request takes one place, whatever its cost."""
    admits, used, next_capacity, reset, _ = reading
    limit = named.limit
    quota = limit.quota
    if consumed:
        used, reset = used + 1, limit.window_us
        next_capacity = reset if next_capacity == NEVER else next_capacity
    remaining = quota - used if used < quota else 0
    next_capacity_after = None if next_capacity == NEVER else next_capacity / SECOND_US
    retry_after = CONCURRENCY_RETRY_AFTER if quota and not admits else None
    return LimitState(
        *named, admits, remaining, reset / SECOND_US, next_capacity_after, retry_after, quota > 0, None, client
    )


def _refill_seconds(units: int, quota: int) -> float:
    """The seconds to refill ``units`` (microseconds times quota), rounded up to a microsecond."""
    return -(-units // quota) / SECOND_US


_READERS = {
    Algorithm.SLIDING_WINDOW: _sliding_window,
    Algorithm.TOKEN_BUCKET: _token_bucket,
    Algorithm.FIXED_WINDOW: _fixed_window,
    Algorithm.CALENDAR: _fixed_window,
    Algorithm.CONCURRENCY: _concurrency,
}


def states_of(
    policies: Sequence[EffectivePolicy],
    cost: int,
    readings: Sequence[Reading],
    *,
    consumes: bool,
    subjects: Sequence[str] = ("",),
) -> tuple[LimitState, ...]:
    """All limits of a check, in the order of the readings. ``consumes``: the request was admitted and
    its cost is consumed from each policy that admits it. ``subjects``: the client and its ancestors, from the client
    up. Raises ``ValueError`` unless there is one reading for each limit."""
    limits = [(policy, named, _subject_of(policy, subjects)) for policy in policies for named in policy.named]
    require_reading_for_each_limit(readings, len(limits))
    if not consumes:
        consumed: Iterable[bool] = [False] * len(limits)
    elif False not in [reading[0] for reading in readings]:
        consumed = [True] * len(limits)
    else:
        consumed = _consumed(policies, readings)
    return tuple(
        [
            _READERS[named.limit.algorithm](named, subject, cost, reading, consumes_it)
            if not (policy.grants_of(named.limit) or policy.admits_over_quota(named.limit))
            else _beyond_quota(policy, named, subject, cost, reading, consumes_it)
            for (policy, named, subject), reading, consumes_it in zip(limits, readings, consumed, strict=True)
        ]
    )


def _subject_of(policy: EffectivePolicy, subjects: Sequence[str]) -> str | None:
    return subjects[policy.level] if policy.policy.partition is Partition.CLIENT else None


def _consumed(policies: Sequence[EffectivePolicy], readings: Sequence[Reading]) -> Iterator[bool]:
    """Yields, for each limit, whether the request consumes from it: all limits of its policy admit the request."""
    for of_policy in readings_by_policy(readings, [len(policy.limits) for policy in policies]):
        yield from repeat(all(reading[0] for reading in of_policy), len(of_policy))


def denial_reason(limits: Sequence[LimitState]) -> Reason | None:
    """The reason why the enforcing limits among ``limits`` deny the request; None if they admit it."""
    denying = [state for state in limits if state.is_enforced and not state.allowed]
    if not denying:
        return None
    never = any(not state.can_ever_admit for state in denying)
    return Reason.COST_EXCEEDS_QUOTA if never else Reason.LIMIT


FREE = 0


def is_in_range(cost: int) -> bool:
    """Whether limits can be checked at this cost: 1 to :data:`~ratelimit_enforcer.domain.limit.MAX_COST`."""
    return 1 <= cost <= MAX_COST


def clamped_cost(cost: int) -> int:
    """The nearest cost that is in range (:func:`is_in_range`)."""
    return min(max(cost, 1), MAX_COST)


def at_cost(peeked: Decision, cost: int) -> Decision:
    """The decision about a request of this cost, from a check at :func:`clamped_cost` cost that consumed nothing.

    A cost of 0 is admitted even if nothing remains. A cost above :data:`MAX_COST` is denied as
    ``cost_exceeds_quota`` wherever an enforcing limit applies. The answers for blocked and exempt clients,
    and ``store_unavailable``, are the same as for any other cost.
    """
    if peeked.reason not in (None, Reason.LIMIT, Reason.COST_EXCEEDS_QUOTA):
        return peeked._replace(cost=cost)
    admits = cost == FREE
    limits = tuple(_state(state, admits=admits) for state in peeked.limits)
    allowed = admits or not any(state.is_enforced for state in limits)
    reason = None if allowed else Reason.COST_EXCEEDS_QUOTA
    return peeked._replace(allowed=allowed, reason=reason, cost=cost, limits=limits, admitted_by_all=False)


def _state(state: LimitState, *, admits: bool) -> LimitState:
    return state._replace(allowed=admits, retry_after=None, can_ever_admit=admits)
