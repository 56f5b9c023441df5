"""The reference model of one check: every limit of every policy must admit a request, or nothing is consumed.

``store/scripts/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from ratelimit_enforcer.domain import concurrency, fixed_window, sliding_window, token_bucket
from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES, counted_values
from ratelimit_enforcer.domain.concurrency import Places
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.limit import MAX_COST, Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.sliding_window import SlidingWindow
from ratelimit_enforcer.domain.token_bucket import TokenBucket

State = SlidingWindow | TokenBucket | FixedWindow
StateKey = tuple[Algorithm, int]
"""Algorithm and window (or period and zone) of a limit, so that it never reads the state of another kind of limit."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The states of one policy's limits, for one client or for all clients together. ``beginning`` distinguishes the
    counter from earlier ones of the same name: nothing is refunded after a reset."""

    beginning: int
    states: Mapping[StateKey, State]


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


CounterKey = tuple[str, str | None, tuple[str, ...]]
"""Identifies a counter: the slug of the policy, the client (None: all clients together), and the values of the
attributes that the policy counts separately."""


class Consumed(NamedTuple):
    """One limit from which a reservation consumed. ``mark``: by which a refund finds the request: the time of its run,
    the end of its window, or the label of its minima."""

    limit: Limit
    mark: int


class ConsumedFrom(NamedTuple):
    """One counter from which a reservation consumed."""

    key: CounterKey
    beginning: int
    mode: Mode
    limits: tuple[Consumed, ...]


class Reserved(NamedTuple):
    """What a reservation consumed."""

    name: Hashable
    cost: int
    until: int
    counters: tuple[ConsumedFrom, ...]


class Row(NamedTuple):
    """One policy of a request: its counter, and the states of its limits at the present time."""

    policy: EffectivePolicy
    key: CounterKey
    states: tuple[State | Places, ...]

    @property
    def pairs(self) -> list[tuple[State | Places, Limit]]:
        return list(zip(self.states, self.policy.limits, strict=True))

    def admits(self, cost: int) -> list[bool]:
        return [_admits(state, limit, cost) for state, limit in self.pairs]

    def readings(self, cost: int) -> list[Reading]:
        return [
            (admits, *_figures(*pair, cost, admits)) for admits, pair in zip(self.admits(cost), self.pairs, strict=True)
        ]


@dataclass
class Counters:
    """The counters of all clients, in memory: the slug of a policy and the client → the states of its limits.
    Not thread-safe."""

    counters: MutableMapping[CounterKey, Counter] = field(default_factory=dict)
    places: MutableMapping[CounterKey, Mapping[Hashable, int]] = field(default_factory=dict)

    def check(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        client: str = "",
        ancestors: Sequence[str] = (),
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        consume: bool = True,
        name: Hashable = None,
    ) -> tuple[bool, list[list[Reading]]]:
        """Decides one request of ``cost`` at ``now`` (microseconds since 1970). ``ancestors``: those of the client,
        from the parent up. If ``consume``, an admitted request consumes its cost, and takes a place of each
        concurrency limit under ``name``. Returns (admitted, the readings of each policy's limits)."""
        rows = self._rows(policies, now, (client, *ancestors), attributes)
        admitted = _all_admit(rows, cost)
        for row in rows:
            if consume and admitted and all(row.admits(cost)):
                self._write(row, [_consume(*pair, cost, name) for pair in row.pairs], now)
        return admitted, [row.readings(cost) for row in rows]

    def reserve(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        name: Hashable,
        until: int,
        at_least: int | None = None,
        client: str = "",
        ancestors: Sequence[str] = (),
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> tuple[Reserved | None, int, list[list[Reading]]]:
        """Reserves what the enforcing limits admit between ``at_least`` (None: ``cost``) and ``cost``, which may be
        refunded until ``until`` (microseconds since 1970). Other arguments are those of :meth:`check`. Returns what
        was consumed (None: denied), the cost that was decided, and the readings of each policy's limits."""
        rows = self._rows(policies, now, (client, *ancestors), attributes)
        cost = _amount(rows, cost, at_least)
        readings = [row.readings(cost) for row in rows]
        if not _all_admit(rows, cost):
            return None, cost, readings
        counters = [self._reserve(row, cost, now, name, until) for row in rows if all(row.admits(cost))]
        return Reserved(name, cost, until, tuple(counters)), cost, readings

    def _reserve(self, row: Row, cost: int, now: int, name: Hashable, until: int) -> ConsumedFrom:
        marked = [_consume_with_mark(*pair, cost, name, until) for pair in row.pairs]
        beginning = self._write(row, [state for state, _ in marked], now)
        limits = [Consumed(limit, mark) for (_, mark), limit in zip(marked, row.policy.limits, strict=True)]
        return ConsumedFrom(row.key, beginning, row.policy.mode, tuple(limits))

    def amount(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        at_least: int | None,
        now: int,
        *,
        client: str = "",
        ancestors: Sequence[str] = (),
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> int:
        """The cost that :meth:`reserve` would decide with these arguments."""
        return _amount(self._rows(policies, now, (client, *ancestors), attributes), cost, at_least)

    def settle(self, reserved: Reserved, cost: int, now: int) -> int:
        """Refunds the difference to ``cost``, or debits it, and frees the places. Returns the largest excess over an
        enforcing limit that the debit caused. To be called once for each reservation."""
        refund = reserved.cost - cost if now < reserved.until else 0
        overdrawn = 0
        for counter in reserved.counters:
            self._release(counter.key, reserved.name)
            if refund > 0:
                self._refund(counter, refund, reserved.cost, now)
            elif cost > reserved.cost:
                excess = self._debit(counter, cost - reserved.cost, now)
                overdrawn = max(overdrawn, excess if counter.mode is Mode.ENFORCE else 0)
        return overdrawn

    def release(self, name: Hashable) -> None:
        """Frees all places that were taken under this name."""
        for key in [key for key, taken in self.places.items() if name in taken]:
            self._release(key, name)

    def _release(self, key: CounterKey, name: Hashable) -> None:
        self.places[key] = concurrency.release(Places(self.places.get(key, {})), name).taken

    def _refund(self, counter: ConsumedFrom, cost: int, reserved: int, now: int) -> None:
        found = self.counters.get(counter.key)
        if found is None or found.beginning != counter.beginning:
            return
        states = dict(found.states)
        for limit, mark in counter.limits:
            if (state := states.get(_state_key(limit))) is not None:
                states[_state_key(limit)] = _refunded(state, limit, cost, reserved, mark, now)
        self.counters[counter.key] = replace(found, states=states)

    def _debit(self, counter: ConsumedFrom, cost: int, now: int) -> int:
        """Returns the largest excess over a limit, at most ``cost``."""
        found = self.counters.get(counter.key)
        states, missing, overdrawn = dict(found.states) if found else {}, found is None, 0
        for limit, _ in counter.limits:
            if _can_have_debts(limit):
                state = states.get(_state_key(limit))
                missing = missing or state is None
                states[_state_key(limit)], excess = _debited(state, limit, cost, now)
                overdrawn = max(overdrawn, min(excess, cost))
        beginning = found.beginning if found and not missing else now % BEGINNINGS
        self.counters[counter.key] = Counter(beginning, states)
        return overdrawn

    def _rows(
        self, policies: Sequence[EffectivePolicy], now: int, subjects: Sequence[str], attributes: Mapping[str, str]
    ) -> list[Row]:
        keys = [_key(policy, subjects[policy.level], attributes) for policy in policies]
        return [
            Row(policy, key, tuple(self._state(key, limit, now) for limit in policy.limits))
            for key, policy in zip(keys, policies, strict=True)
        ]

    def _state(self, key: CounterKey, limit: Limit, now: int) -> State | Places:
        if limit.algorithm is Algorithm.CONCURRENCY:
            return concurrency.advance(Places(self.places.get(key, {})), now)
        counter = self.counters.get(key)
        state = counter.states.get(_state_key(limit)) if counter else None
        if counter and state is not None and (corrected := _corrected(state, limit, now)) is not state:
            # Even if the request is denied: so a wrong clock blocks no client for longer than a window.
            self.counters[key] = replace(counter, states={**counter.states, _state_key(limit): corrected})
            state = corrected
        return _advanced(state, limit, now)

    def _write(self, row: Row, states: Sequence[State | Places], now: int) -> int:
        """Writes the states after a request. Returns the beginning of the counter: a new one unless every limit had a
        state before."""
        counter = self.counters.get(row.key)
        written: dict[StateKey, State] = {}
        for state, limit in zip(states, row.policy.limits, strict=True):
            if isinstance(state, Places):
                self.places[row.key] = state.taken
            else:
                written[_state_key(limit)] = state
        continues = counter is not None and written.keys() <= counter.states.keys()
        beginning = counter.beginning if counter and continues else now % BEGINNINGS
        self.counters[row.key] = Counter(beginning, written)
        return beginning


BEGINNINGS = 2**32
"""The number of values of a counter's beginning: the lower bits of its first time."""


def _all_admit(rows: Sequence[Row], cost: int) -> bool:
    """Whether every policy in enforce mode admits this cost."""
    return all(all(row.admits(cost)) for row in rows if row.policy.mode is Mode.ENFORCE)


def _amount(rows: Sequence[Row], cost: int, at_least: int | None) -> int:
    """What the enforcing limits admit between ``at_least`` (None: ``cost``) and ``cost``."""
    return cost if at_least is None else max(at_least, min(cost, _available(rows)))


def _available(rows: Sequence[Row]) -> int:
    """The largest cost that every policy in enforce mode admits; below zero if a limit has debts."""
    enforced = [pair for row in rows if row.policy.mode is Mode.ENFORCE for pair in row.pairs]
    return min((_room(*pair) for pair in enforced), default=MAX_COST)


def _room(state: State | Places, limit: Limit) -> int:
    match state:
        case Places():
            return MAX_COST if concurrency.admits(state, limit) else 0
        case TokenBucket():
            return token_bucket.room(state, limit)
        case SlidingWindow() | FixedWindow():
            return limit.quota - state.used


def _key(policy: EffectivePolicy, counted: str, attributes: Mapping[str, str]) -> CounterKey:
    subject = counted if policy.policy.partition is Partition.CLIENT else None
    return policy.policy.slug, subject, counted_values(policy.policy.attributes, attributes)


def _state_key(limit: Limit) -> StateKey:
    return limit.algorithm, limit.window_code


def _advanced(state: State | None, limit: Limit, now: int) -> State:
    if limit.algorithm is Algorithm.SLIDING_WINDOW:
        return sliding_window.advance(state if isinstance(state, SlidingWindow) else SlidingWindow(), limit, now)
    if limit.algorithm is Algorithm.TOKEN_BUCKET:
        return token_bucket.advance(state if isinstance(state, TokenBucket) else TokenBucket(), limit, now)
    return fixed_window.advance(state if isinstance(state, FixedWindow) else FixedWindow(), limit, now)


def _corrected(state: State, limit: Limit, now: int) -> State:
    match state:
        case SlidingWindow():
            return sliding_window.corrected(state, limit, now)
        case TokenBucket():
            return token_bucket.corrected(state, limit, now)
        case FixedWindow():
            return fixed_window.corrected(state, limit, now)


def _admits(state: State | Places, limit: Limit, cost: int) -> bool:
    match state:
        case SlidingWindow():
            return sliding_window.admits(state, limit, cost)
        case TokenBucket():
            return token_bucket.admits(state, limit, cost)
        case FixedWindow():
            return fixed_window.admits(state, limit, cost)
        case Places():
            return concurrency.admits(state, limit)


def _consume(state: State | Places, limit: Limit, cost: int, name: Hashable) -> State | Places:
    match state:
        case SlidingWindow():
            return sliding_window.consume(state, limit, cost)
        case TokenBucket():
            return token_bucket.consume(state, limit, cost)
        case FixedWindow():
            return fixed_window.consume(state, limit, cost)
        case Places():
            return concurrency.take(state, limit, name)


def _consume_with_mark(
    state: State | Places, limit: Limit, cost: int, name: Hashable, until: int
) -> tuple[State | Places, int]:
    if isinstance(state, TokenBucket):
        return token_bucket.reserve(state, limit, cost, until)
    after = _consume(state, limit, cost, name)
    match after:
        case SlidingWindow():
            return after, after.last_at
        case FixedWindow():
            return after, after.end
    return after, 0


def _refunded(state: State, limit: Limit, cost: int, reserved: int, mark: int, now: int) -> State:
    match state:
        case SlidingWindow():
            return sliding_window.refund(sliding_window.advance(state, limit, now), limit, cost, mark)
        case TokenBucket():
            limit = _at_quota_of(state, limit)
            current = token_bucket.advance(token_bucket.corrected(state, limit, now), limit, now)
            return token_bucket.refund(current, limit, cost, reserved, mark)
        case FixedWindow():
            return fixed_window.refund(state, cost, mark)


def _debited(state: State | None, limit: Limit, cost: int, now: int) -> tuple[State, int]:
    """The state after a debit, and the excess over the limit."""
    if isinstance(state, TokenBucket):
        limit = _at_quota_of(state, limit)
    current = _advanced(state and _corrected(state, limit, now), limit, now)
    match current:
        case SlidingWindow():
            return sliding_window.debit(current, limit, cost)
        case TokenBucket():
            return token_bucket.debit(current, limit, cost)
        case FixedWindow():
            return fixed_window.debit(current, limit, cost)


def _can_have_debts(limit: Limit) -> bool:
    """Nothing is ever refilled into a bucket with a quota of 0."""
    return limit.algorithm is not Algorithm.CONCURRENCY and (
        limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota > 0
    )


def _at_quota_of(bucket: TokenBucket, limit: Limit) -> Limit:
    """The limit with the quota for which the bucket's state was computed, and the same burst."""
    return replace(limit, quota=bucket.quota or limit.quota, burst=limit.capacity)


def _figures(state: State | Places, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
    match state:
        case SlidingWindow():
            return sliding_window.figures(state, limit, cost, admits)
        case TokenBucket():
            return token_bucket.figures(state)
        case FixedWindow():
            return fixed_window.figures(state)
        case Places():
            return concurrency.figures(state)
