"""The reference model of one check: every limit of every policy must admit a request, or nothing is consumed.

``store/scripts/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ratelimit_enforcer.domain import concurrency
from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES, counted_values
from ratelimit_enforcer.domain.concurrency import Places
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.limit import MAX_COST, Limit
from ratelimit_enforcer.domain.readings import Reading
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.states import (
    State,
    StateKey,
    admits_cost,
    can_have_debts,
    consumed_state,
    corrected_state,
    debited_state,
    figures_of,
    marked_state,
    newest_refunded_state,
    over_quota_of,
    overused_state,
    refunded_state,
    room_of,
    state_at,
    state_key,
)


@dataclass(frozen=True, slots=True)
class Counter:
    """The states of one policy's limits, for one client or for all clients together. ``beginning`` distinguishes the
    counter from earlier ones of the same name: nothing is refunded after a reset."""

    beginning: int
    states: Mapping[StateKey, State]


CounterKey = tuple[str, str | None, tuple[str, ...]]
"""Identifies a counter: the slug of the policy, the client (None: all clients together), and the values of the
attributes that the policy counts separately."""


class Consumed(NamedTuple):
    """One limit from which a reservation consumed. ``mark``: by which a refund finds the request: the time of its run,
    the end of its window, or the label of its minima."""

    limit: Limit
    mark: int
    admits_over_quota: bool = False


class ConsumedFrom(NamedTuple):
    """One counter from which a reservation consumed."""

    key: CounterKey
    beginning: int
    mode: Mode
    limits: tuple[Consumed, ...]
    counting_limit: Limit | None = None
    """The limit whose units beyond the quota the policy counts; None: it denies requests beyond the quota."""


class Reserved(NamedTuple):
    """What a reservation consumed."""

    name: Hashable
    cost: int
    until: int
    counters: tuple[ConsumedFrom, ...]


class Together(NamedTuple):
    """One of several requests that are decided together; other fields as for :meth:`Counters.check`. ``cost`` 0: the
    request consumes nothing, and is denied if a cost of 1 would be."""

    policies: Sequence[EffectivePolicy]
    cost: int
    client: str = ""
    ancestors: Sequence[str] = ()
    attributes: Mapping[str, str] = NO_ATTRIBUTES


class Row(NamedTuple):
    """One policy of a request: its counter, and the states of its limits at the present time."""

    policy: EffectivePolicy
    key: CounterKey
    states: tuple[State | Places, ...]

    @property
    def pairs(self) -> list[tuple[State | Places, Limit]]:
        return list(zip(self.states, self.policy.limits, strict=True))

    def admits(self, cost: int) -> list[bool]:
        return [admits_cost(*pair, cost) or self.policy.admits_over_quota(pair[1]) for pair in self.pairs]

    @property
    def counting_limit(self) -> Limit | None:
        limit = self.policy.counting_limit
        return limit if limit and self.policy.admits_over_quota(limit) else None

    def readings(self, cost: int) -> list[Reading]:
        return [
            (admits, *figures_of(*pair, cost, admits))
            for admits, pair in zip(self.admits(cost), self.pairs, strict=True)
        ]


@dataclass
class Counters:
    """The counters of all clients, in memory: the slug of a policy and the client → the states of its limits.
    Not thread-safe."""

    counters: MutableMapping[CounterKey, Counter] = field(default_factory=dict)
    places: MutableMapping[CounterKey, Mapping[Hashable, int]] = field(default_factory=dict)
    over_quota: MutableMapping[CounterKey, int] = field(default_factory=dict)
    """The units that were admitted over quota, less those that were refunded."""

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
                self._consume(row, cost, now, name)
        return admitted, [row.readings(cost) for row in rows]

    def check_together(
        self, requests: Sequence[Together], now: int, *, consume: bool = True
    ) -> list[tuple[bool, list[list[Reading]]]]:
        """Decides several requests at ``now`` (microseconds since 1970): if all are admitted, each counter that they
        reach consumes the largest of their costs, else none does. Returns for each request what :meth:`check` returns
        about it by itself. The policies have no concurrency limits."""
        rows = [self._rows(each.policies, now, (each.client, *each.ancestors), each.attributes) for each in requests]
        costs = [max(1, each.cost) for each in requests]
        admitted = [_all_admit(*each) for each in zip(rows, costs, strict=True)]
        largest: dict[CounterKey, tuple[int, Row]] = {}
        for each, rows_of in zip(requests, rows, strict=True):
            for row in rows_of:
                if each.cost > largest.get(row.key, (0, row))[0]:
                    largest[row.key] = each.cost, row
        for cost, row in largest.values():
            if consume and all(admitted) and all(row.admits(cost)):
                self._consume(row, cost, now, None)
        readings = [[row.readings(cost) for row in rows_of] for rows_of, cost in zip(rows, costs, strict=True)]
        return list(zip(admitted, readings, strict=True))

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

    def _consume(self, row: Row, cost: int, now: int, name: Hashable) -> None:
        self._write(row, [consumed_state(*pair, cost, name) for pair in row.pairs], now)
        self._count_over_quota(row, cost)

    def _count_over_quota(self, row: Row, cost: int) -> None:
        """Whatever the counter can remember."""
        for state, limit in row.pairs:
            if limit == row.counting_limit and isinstance(state, FixedWindow):
                self._add_over_quota(row.key, max(0, min(cost, state.used + cost - limit.quota)))

    def _add_over_quota(self, key: CounterKey, units: int) -> None:
        self.over_quota[key] = self.over_quota.get(key, 0) + units

    def _reserve(self, row: Row, cost: int, now: int, name: Hashable, until: int) -> ConsumedFrom:
        marked = [marked_state(*pair, cost, name, until) for pair in row.pairs]
        beginning = self._write(row, [state for state, _ in marked], now)
        self._count_over_quota(row, cost)
        limits = [
            Consumed(limit, mark, row.policy.admits_over_quota(limit))
            for (_, mark), limit in zip(marked, row.policy.limits, strict=True)
        ]
        return ConsumedFrom(row.key, beginning, row.policy.mode, tuple(limits), row.counting_limit)

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

    def refund_newest(
        self,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        client: str = "",
        ancestors: Sequence[str] = (),
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> int:
        """Refunds up to ``cost`` of the newest usage of each limit, whichever requests consumed it. Returns the largest
        cost refunded. Arguments are those of :meth:`check`."""
        subjects, most = (client, *ancestors), 0
        for policy in policies:
            key = _key(policy, subjects[policy.level], attributes)
            if (found := self.counters.get(key)) is None:
                continue
            states = dict(found.states)
            for limit in policy.limits:
                if (state := states.get(state_key(limit))) is not None:
                    states[state_key(limit)], refunded = newest_refunded_state(state, limit, cost, now)
                    most = max(most, refunded)
                    if policy.admits_over_quota(limit) and limit == policy.counting_limit:
                        self._add_over_quota(key, -_over_quota_refunded(state, states[state_key(limit)], limit))
            self.counters[key] = replace(found, states=states)
        return most

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
        for limit, mark, _ in counter.limits:
            if (state := states.get(state_key(limit))) is not None:
                states[state_key(limit)] = refunded_state(state, limit, cost, reserved, mark, now)
                if limit == counter.counting_limit:
                    self._add_over_quota(counter.key, -_over_quota_refunded(state, states[state_key(limit)], limit))
        self.counters[counter.key] = replace(found, states=states)

    def _debit(self, counter: ConsumedFrom, cost: int, now: int) -> int:
        """Returns the largest excess over a limit, at most ``cost``."""
        found = self.counters.get(counter.key)
        states, overdrawn = dict(found.states) if found else {}, 0
        for limit, _, admits_over_quota in counter.limits:
            if can_have_debts(limit):
                state = states.get(state_key(limit))
                if found and state is None:
                    continue  # Removed from the policy since the reservation.
                if admits_over_quota:
                    states[state_key(limit)], over_quota = overused_state(state, limit, cost, now)
                    self._add_over_quota(counter.key, over_quota if limit == counter.counting_limit else 0)
                    continue
                states[state_key(limit)], excess = debited_state(state, limit, cost, now)
                overdrawn = max(overdrawn, min(excess, cost))
        self.counters[counter.key] = Counter(found.beginning if found else now % BEGINNINGS, states)
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
        state = counter.states.get(state_key(limit)) if counter else None
        if counter and state is not None and (corrected := corrected_state(state, limit, now)) is not state:
            # Even if the request is denied: so a wrong clock blocks no client for longer than a window.
            self.counters[key] = replace(counter, states={**counter.states, state_key(limit): corrected})
            state = corrected
        return state_at(state, limit, now)

    def _write(self, row: Row, states: Sequence[State | Places], now: int) -> int:
        """Writes the states after a request. Returns the beginning of the counter: a new one unless every limit had a
        state before."""
        counter = self.counters.get(row.key)
        written: dict[StateKey, State] = {}
        for state, limit in zip(states, row.policy.limits, strict=True):
            if isinstance(state, Places):
                self.places[row.key] = state.taken
            else:
                written[state_key(limit)] = state
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
    enforced = (row for row in rows if row.policy.mode is Mode.ENFORCE)
    bounding = [pair for row in enforced for pair in row.pairs if not row.policy.admits_over_quota(pair[1])]
    return min((room_of(*pair) for pair in bounding), default=MAX_COST)


def _over_quota_refunded(before: State, after: State, limit: Limit) -> int:
    return over_quota_of(before, limit) - over_quota_of(after, limit)


def _key(policy: EffectivePolicy, counted: str, attributes: Mapping[str, str]) -> CounterKey:
    subject = counted if policy.policy.partition is Partition.CLIENT else None
    return policy.policy.slug, subject, counted_values(policy.policy.attributes, attributes)
