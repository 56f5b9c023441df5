"""Decisions without the store: the strictest of the policies' ``on_store_failure`` answers.

Policies with ``local`` use counters in the process while the store is unavailable. Each process enforces
its share of every quota with the reference model. Together, the processes admit at most the quota, as
far as the number of live processes is known.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, TypeVar

from ratelimit_enforcer.domain.counters import Counter, CounterKey, Counters, Together
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitState, denial_reason, states_of
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.readings import Reading
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.engine.attempts import STATUS_REASONS, Attempt, with_local_reservation
from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.connections.server import Outages
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.heartbeats import ALONE, BEAT_SECONDS, Heartbeats, Share

MAX_COUNTERS = 20_000
"""Maximum number of counters in one process; beyond that, the least recently used ones are dropped."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedMapping(OrderedDict[Key, Value]):
    """A mapping of at most ``size`` entries: the most recently written ones."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._size:
            self.popitem(last=False)


def share_of(limit: Limit, share: Share) -> Limit:
    """The part of a limit that one process may admit. The shares of all processes add up to the limit.

    For a token bucket, each process refills more slowly, so that its rate can be divided without rounding.
    """
    if limit.algorithm is Algorithm.TOKEN_BUCKET and limit.window is not None:
        return replace(limit, window=limit.window * share.processes, burst=portion(limit.capacity, share))
    return replace(limit, quota=portion(limit.quota, share))


def portion(whole: int, share: Share) -> int:
    """The part of a whole number that is one process's. The parts of all processes add up to it."""
    return whole // share.processes + (1 if share.rank < whole % share.processes else 0)


class Whose(TypedDict):
    """Whose counters a request consumes from, as arguments of :class:`Counters`."""

    client: str
    ancestors: Sequence[str]
    attributes: Mapping[str, str]


class LocalCounters:
    """The counters of one process during one outage. Thread-safe."""

    def __init__(self, size: int = MAX_COUNTERS) -> None:
        self._size = size
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._outage: int | None = None
        self._counters = Counters()

    def check(
        self,
        outage: int,
        share: Share,
        subjects: Sequence[str],
        request: CheckRequest,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        consume: bool,
        name: bytes | None = None,
    ) -> tuple[int, tuple[LimitState, ...]]:
        """The cost that was decided, and the state of each limit after one request at ``now`` (microseconds since
        1970). ``subjects``: the client and its ancestors, from the client up. ``name``: under which the request takes
        places of concurrency limits.

        A different ``outage`` than in the last call starts with empty counters.
        """
        shares = [replace(policy, limits=_shares(policy, share)) for policy in policies]
        with self._lock:
            self._start(outage)
            whose = Whose(client=subjects[0], ancestors=subjects[1:], attributes=request.attributes)
            if request.reserve is not None:
                cost = self._counters.amount(shares, cost, request.reserve.at_least, now, **whose)
            admitted, readings = self._counters.check(shares, cost, now, consume=consume, name=name, **whose)
        consumes = consume and admitted
        return cost, _states(policies, shares, cost, readings, subjects, consumes=consumes)

    def _start(self, outage: int) -> None:
        if outage != self._outage:
            counters: BoundedMapping[CounterKey, Counter] = BoundedMapping(self._size)
            places: BoundedMapping[CounterKey, Mapping[Hashable, int]] = BoundedMapping(self._size)
            over_quota: BoundedMapping[CounterKey, int] = BoundedMapping(self._size)
            self._outage, self._counters = outage, Counters(counters, places, over_quota)

    def check_together(
        self, outage: int, share: Share, requests: Sequence[Together], now: int, *, consume: bool
    ) -> list[tuple[LimitState, ...]]:
        """The state of each limit of several requests that are decided together, before they consume. Other arguments
        are those of :meth:`check`."""
        shares = [[replace(each, limits=_shares(each, share)) for each in request.policies] for request in requests]
        shared = [request._replace(policies=each) for request, each in zip(requests, shares, strict=True)]
        with self._lock:
            self._start(outage)
            checked = self._counters.check_together(shared, now, consume=consume)
        return [
            _states(
                request.policies,
                each,
                request.cost or 1,
                readings,
                (request.client, *request.ancestors),
                consumes=False,
            )
            for request, each, (_, readings) in zip(requests, shares, checked, strict=True)
        ]

    def release(self, name: bytes) -> None:
        """Frees the places that were taken under this name."""
        with self._lock:
            self._counters.release(name)


def _states(
    policies: Sequence[EffectivePolicy],
    shares: Sequence[EffectivePolicy],
    cost: int,
    readings: Sequence[Sequence[Reading]],
    subjects: Sequence[str],
    *,
    consumes: bool,
) -> tuple[LimitState, ...]:
    flat = [reading for row in readings for reading in row]
    states = states_of(shares, cost, flat, consumes=consumes, subjects=subjects)
    wholes = [(each, limit) for each in policies for limit in each.limits]
    return tuple(_with_whole_limit(state, *whole, cost) for state, whole in zip(states, wholes, strict=True))


def _shares(policy: EffectivePolicy, share: Share) -> tuple[Limit, ...]:
    return tuple(share_of(limit, share) for limit in policy.limits)


def _with_whole_limit(state: LimitState, policy: EffectivePolicy, whole: Limit, cost: int) -> LimitState:
    """The limit with its own name and quota, and the remainder of the process's share."""
    needed = 1 if whole.algorithm is Algorithm.CONCURRENCY else cost
    can_ever_admit = needed <= whole.capacity or state.over_quota is not None
    return state._replace(name=policy.name_of(whole), limit=whole, can_ever_admit=can_ever_admit)


BEAT_TIMEOUT = 0.5
"""Timeout of one call to the store in a heartbeat, in seconds."""


class Fallback:
    """Decides for one process while the store is unavailable. Thread-safe."""

    def __init__(self, outages: Outages, heartbeats: Heartbeats) -> None:
        self._outages = outages
        self._heartbeats = heartbeats
        self._local = LocalCounters()
        renew_after_fork(self)

    def renew(self) -> None:
        self._beating = threading.Lock()
        self._share = ALONE
        self._next_beat = 0.0

    @property
    def share(self) -> Share:
        """The process's share, as last known."""
        return self._share

    def beat(self) -> None:
        """Sends a heartbeat every few seconds and learns the process's share. Called with each check, so that
        a process without checks takes no share; done in a thread, so that no check waits."""
        if time.monotonic() < self._next_beat or not self._beating.acquire(blocking=False):
            return
        self._next_beat = time.monotonic() + BEAT_SECONDS
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        """Keeps the last known share if the store is unavailable."""
        try:
            self._heartbeats.report_damage(Deadline(BEAT_TIMEOUT))
            self._share = self._heartbeats.beat(Deadline(BEAT_TIMEOUT))
        except StoreError:
            pass
        finally:
            self._beating.release()

    def decide(self, attempt: Attempt, now: int, *, consume: bool) -> Decision:
        """A decision marked as degraded. ``deny`` takes precedence over ``local``, and ``local`` over ``allow``.

        ``now`` is in microseconds since 1970.
        """
        if OnStoreFailure.DENY in _enforced(attempt):
            return _decision(attempt, Reason.STORE_UNAVAILABLE, allowed=False)
        cost, states = self._check_locally(attempt, now, consume=consume)
        decision = _local_decision(attempt, states)._replace(cost=cost)
        return with_local_reservation(decision, attempt, now) if consume else decision

    def decide_together(
        self, attempts: Sequence[Attempt], costs: Sequence[int], now: int, *, consume: bool
    ) -> list[Decision]:
        """Decisions on several requests, of which all consume, or none does. ``costs``: as for :class:`Together`."""
        denies = [OnStoreFailure.DENY in _enforced(attempt) for attempt in attempts]
        denies_all = any(denies) or any(attempt.layout.status is ClientStatus.BLOCKED for attempt in attempts)
        requests = [
            Together(_local_policies(attempt), cost, *_whose(attempt))
            for attempt, cost in zip(attempts, costs, strict=True)
        ]
        checked = self._local.check_together(
            self._outages.trips, self._share, requests, now, consume=consume and not denies_all
        )
        return [
            _decision(attempt, Reason.STORE_UNAVAILABLE, allowed=False) if denied else _local_decision(attempt, states)
            for attempt, denied, states in zip(attempts, denies, checked, strict=True)
        ]

    def release(self, name: bytes) -> None:
        """Frees the places that were taken under this name in this process."""
        self._local.release(name)

    def _check_locally(self, attempt: Attempt, now: int, *, consume: bool) -> tuple[int, tuple[LimitState, ...]]:
        return self._local.check(
            self._outages.trips,
            self._share,
            attempt.subjects,
            attempt.request,
            _local_policies(attempt),
            attempt.cost,
            now,
            consume=consume,
            name=attempt.settleable.name if attempt.settleable else None,
        )


def _enforced(attempt: Attempt) -> set[OnStoreFailure]:
    """What the enforcing policies do without the store."""
    return {each.policy.on_store_failure for each in attempt.layout.policies if each.mode is Mode.ENFORCE}


def _local_policies(attempt: Attempt) -> list[EffectivePolicy]:
    return [each for each in attempt.layout.policies if each.policy.on_store_failure is OnStoreFailure.LOCAL]


def _whose(attempt: Attempt) -> tuple[str, Sequence[str], Mapping[str, str]]:
    client, *ancestors = attempt.subjects
    return client, ancestors, attempt.request.attributes


def _local_decision(attempt: Attempt, states: tuple[LimitState, ...]) -> Decision:
    reason = STATUS_REASONS.get(attempt.layout.status) or denial_reason(states)
    allowed = reason in (None, Reason.EXEMPT)
    if reason is None and OnStoreFailure.ALLOW in _enforced(attempt):
        reason = Reason.STORE_UNAVAILABLE
    return _decision(attempt, reason, states, allowed=allowed)


def _decision(
    attempt: Attempt, reason: Reason | None, limits: tuple[LimitState, ...] = (), *, allowed: bool
) -> Decision:
    return Decision(
        allowed=allowed,
        reason=reason,
        client=attempt.record.key,
        plan=attempt.layout.plan,
        endpoint=attempt.layout.endpoint,
        cost=attempt.cost,
        ruleset=attempt.current.version.sequence,
        limits=limits,
        degraded=True,
        change=attempt.current.change,
    )
