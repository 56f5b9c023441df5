"""The reference model of one check: every limit of every policy must admit a request, or nothing is consumed.

``store/scripts/decide.lua`` does the same on packed bytes in one script call.
"""

from collections.abc import Hashable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ratelimit_enforcer.domain import concurrency
from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES, counted_values
from ratelimit_enforcer.domain.concurrency import Places
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.grants import Grant
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
    used_at,
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
    over_quota: int = 0
    """The units of the request beyond quota and grants."""
    grants: tuple[tuple[Grant, int], ...] = ()
    """The grants of the limit, with the units that the request took from each."""


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
    left: tuple[int, ...] = ()
    """What is left of each grant of the policy."""

    @property
    def granted(self) -> int:
        """What is left of all grants."""
        return sum(self.left)

    def taken(self, cost: int) -> int:
        """What a request takes from the grants."""
        for state, limit in self.pairs:
            if self.policy.grants_of(limit) and isinstance(state, FixedWindow):
                return min(self.granted, max(0, cost - max(0, limit.quota - state.used)))
        return 0

    def own_cost(self, limit: Limit, cost: int) -> int:
        """What a request consumes from this limit itself."""
        return cost - self.taken(cost) if self.policy.grants_of(limit) else cost

    def grants_taken(self, cost: int) -> tuple[tuple[Grant, int], ...]:
        """The grants with the units that a request takes from each."""
        rest, found = self.taken(cost), list[tuple[Grant, int]]()
        for grant, left in zip(self.policy.grants, self.left, strict=True):
            found.append((grant, min(rest, left)))
            rest -= found[-1][1]
        return tuple(found)

    @property
    def pairs(self) -> list[tuple[State | Places, Limit]]:
        return list(zip(self.states, self.policy.limits, strict=True))

    def admits(self, cost: int) -> list[bool]:
        return [
            admits_cost(state, limit, self.own_cost(limit, cost)) or self.policy.admits_over_quota(limit)
            for state, limit in self.pairs
        ]

    @property
    def counting_limit(self) -> Limit | None:
        limit = self.policy.counting_limit
        return limit if limit and self.policy.admits_over_quota(limit) else None

    def readings(self, cost: int) -> list[Reading]:
        return [
            (admits, *self._figures(*pair, cost, admits))
            for admits, pair in zip(self.admits(cost), self.pairs, strict=True)
        ]

    def _figures(self, state: State | Places, limit: Limit, cost: int, admits: bool) -> tuple[int, int, int, int]:
        first, second, third, fourth = figures_of(state, limit, cost, admits)
        return first, second, self.granted if self.policy.grants_of(limit) else third, fourth

    def over_quota(self, state: State | Places, limit: Limit, cost: int) -> int:
        """The units of a request beyond quota and grants, whatever the counter can remember."""
        if not isinstance(state, FixedWindow):
            return 0
        own = self.own_cost(limit, cost)
        return max(0, min(own, state.used + own - limit.quota))


@dataclass
class Counters:
    """The counters of all clients, in memory: the slug of a policy and the client → the states of its limits.
    Not thread-safe."""

    counters: MutableMapping[CounterKey, Counter] = field(default_factory=dict)
    places: MutableMapping[CounterKey, Mapping[Hashable, int]] = field(default_factory=dict)
    over_quota: MutableMapping[CounterKey, int] = field(default_factory=dict)
    """The units that were admitted over quota, less those that were refunded."""
    grants: MutableMapping[int, tuple[int, int]] = field(default_factory=dict)
    """The id of a grant → the units consumed and the units returned. A grant without them has nothing left."""

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
        states = [consumed_state(state, limit, row.own_cost(limit, cost), name) for state, limit in row.pairs]
        self._write(row, states, now)
        self._count(row, cost)

    def _count(self, row: Row, cost: int) -> None:
        """Units over quota, and those taken from grants."""
        for state, limit in row.pairs:
            if limit == row.counting_limit:
                self._add_over_quota(row.key, row.over_quota(state, limit, cost))
        for grant, units in row.grants_taken(cost):
            self._take(grant, units)

    def _left(self, grant: Grant, now: int) -> int:
        if grant.id not in self.grants or now >= grant.ends_at:
            return 0
        return max(0, min(grant.amount, grant.amount - self._net(grant)))

    def _net(self, grant: Grant) -> int:
        consumed, returned = self.grants.get(grant.id, (0, 0))
        return consumed - returned

    def _take(self, grant: Grant, units: int) -> None:
        if units:
            consumed, returned = self.grants[grant.id]
            self.grants[grant.id] = consumed + units, returned

    def _return(self, grants: Iterable[tuple[Grant, int]], cost: int, now: int) -> int:
        """Returns up to ``cost`` of these units, those taken last first. Returns what is covered by the units, also by
        those of grants that have ended."""
        rest = cost
        for grant, taken in reversed(list(grants)):
            units = min(rest, taken)
            rest -= units
            if (returnable := min(units, self._net(grant))) > 0 and now < grant.ends_at:
                consumed, returned = self.grants[grant.id]
                self.grants[grant.id] = consumed, returned + returnable
        return cost - rest

    def _add_over_quota(self, key: CounterKey, units: int) -> None:
        self.over_quota[key] = self.over_quota.get(key, 0) + units

    def _reserve(self, row: Row, cost: int, now: int, name: Hashable, until: int) -> ConsumedFrom:
        marked = [marked_state(state, limit, row.own_cost(limit, cost), name, until) for state, limit in row.pairs]
        beginning = self._write(row, [state for state, _ in marked], now)
        taken = row.grants_taken(cost)
        self._count(row, cost)
        limits = [
            Consumed(
                limit,
                mark,
                admits_over_quota=row.policy.admits_over_quota(limit),
                over_quota=row.over_quota(state, limit, cost) if row.policy.admits_over_quota(limit) else 0,
                grants=taken if row.policy.grants_of(limit) else (),
            )
            for (_, mark), (state, limit) in zip(marked, row.pairs, strict=True)
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
                    from_grants = self._refund_newest_of_grants(policy, state, limit, cost, now)
                    states[state_key(limit)], refunded = newest_refunded_state(state, limit, cost - from_grants, now)
                    most = max(most, refunded + from_grants)
                    if policy.admits_over_quota(limit) and limit == policy.counting_limit:
                        self._add_over_quota(key, -_over_quota_refunded(state, states[state_key(limit)], limit))
            self.counters[key] = replace(found, states=states)
        return most

    def _refund_newest_of_grants(self, policy: EffectivePolicy, state: State, limit: Limit, cost: int, now: int) -> int:
        grants = policy.grants_of(limit)
        if not grants or not isinstance(state, FixedWindow) or now >= state.end or state.used < limit.quota:
            return 0
        taken = [(grant, max(0, self._net(grant)) if now < grant.ends_at else 0) for grant in grants]
        return self._return(taken, max(0, cost - (state.used - limit.quota)), now)

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
            for consumed in counter.limits:
                self._return(consumed.grants, max(0, cost - consumed.over_quota), now)
            return
        states = dict(found.states)
        for consumed in counter.limits:
            limit, mark = consumed.limit, consumed.mark
            state = states.get(state_key(limit))
            beyond = consumed.over_quota
            if isinstance(state, FixedWindow) and state.end == mark:
                beyond = max(0, state.used - limit.quota)
            from_grants = self._return(consumed.grants, max(0, cost - beyond), now)
            if state is not None:
                own = cost - from_grants if isinstance(state, FixedWindow) and state.end == mark else cost
                states[state_key(limit)] = refunded_state(state, limit, own, reserved, mark, now)
                if limit == counter.counting_limit:
                    self._add_over_quota(counter.key, -_over_quota_refunded(state, states[state_key(limit)], limit))
        self.counters[counter.key] = replace(found, states=states)

    def _debit(self, counter: ConsumedFrom, cost: int, now: int) -> int:
        """Returns the largest excess over a limit, at most ``cost``."""
        found = self.counters.get(counter.key)
        states, overdrawn = dict(found.states) if found else {}, 0
        for consumed in counter.limits:
            limit = consumed.limit
            if can_have_debts(limit):
                state = states.get(state_key(limit))
                if found and state is None:
                    continue  # Removed from the policy since the reservation.
                own = cost - self._debit_grants(consumed, state, cost, now)
                if consumed.admits_over_quota:
                    states[state_key(limit)], over_quota = overused_state(state, limit, own, now)
                    self._add_over_quota(counter.key, over_quota if limit == counter.counting_limit else 0)
                    continue
                states[state_key(limit)], excess = debited_state(state, limit, own, now)
                overdrawn = max(overdrawn, min(excess, cost))
        self.counters[counter.key] = Counter(found.beginning if found else now % BEGINNINGS, states)
        return overdrawn

    def _debit_grants(self, consumed: Consumed, state: State | None, cost: int, now: int) -> int:
        """Takes from the grants what the quota does not cover. Returns the units."""
        if not consumed.grants:
            return 0
        used = used_at(state, consumed.limit, now)
        needed = max(0, cost - max(0, consumed.limit.quota - used))
        rest = needed
        for grant, _ in consumed.grants:
            units = min(rest, self._left(grant, now))
            self._take(grant, units)
            rest -= units
        return needed - rest

    def _rows(
        self, policies: Sequence[EffectivePolicy], now: int, subjects: Sequence[str], attributes: Mapping[str, str]
    ) -> list[Row]:
        keys = [_key(policy, subjects[policy.level], attributes) for policy in policies]
        return [
            Row(
                policy,
                key,
                tuple(self._state(key, limit, now) for limit in policy.limits),
                tuple(self._left(grant, now) for grant in policy.grants),
            )
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
    rooms = (
        max(0, room_of(state, limit)) + row.granted if row.policy.grants_of(limit) else room_of(state, limit)
        for row in enforced
        for state, limit in row.pairs
        if not row.policy.admits_over_quota(limit)
    )
    return min(rooms, default=MAX_COST)


def _over_quota_refunded(before: State, after: State, limit: Limit) -> int:
    return over_quota_of(before, limit) - over_quota_of(after, limit)


def _key(policy: EffectivePolicy, counted: str, attributes: Mapping[str, str]) -> CounterKey:
    subject = counted if policy.policy.partition is Partition.CLIENT else None
    return policy.policy.slug, subject, counted_values(policy.policy.attributes, attributes)
