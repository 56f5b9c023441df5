"""Counters in the process, for policies that go on while the store is away.

Each process enforces its share of every quota by the reference model. Together they admit at most
the quota, as far as the number of live processes is known.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

from limits.domain.counters import Counter, CounterKey, Counters
from limits.domain.decision import LimitState, states_of
from limits.domain.limit import Limit
from limits.domain.ruleset import Policy
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Algorithm
from limits.forking import renewed_when_forked
from limits.store.heartbeats import Share

MAX_COUNTERS = 20_000
"""Counters that one process holds; beyond that, those used least recently are forgotten."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(OrderedDict[Key, Value]):
    """A mapping that keeps the entries written last."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._size:
            self.popitem(last=False)


def share_of(limit: Limit, share: Share) -> Limit:
    """What one process may admit of a limit. The shares of all processes add up to the limit.

    A token bucket is refilled more slowly by each; so its rate needs no whole numbers to be shared.
    """
    if limit.algorithm is Algorithm.TOKEN_BUCKET and limit.window is not None:
        return replace(limit, window=limit.window * share.processes, burst=_part(limit.capacity, share))
    return replace(limit, quota=_part(limit.quota, share))


def _part(whole: int, share: Share) -> int:
    return whole // share.processes + (1 if share.rank < whole % share.processes else 0)


class LocalCounters:
    """The counters of one process for one outage at a time. Safe for threads."""

    def __init__(self, size: int = MAX_COUNTERS) -> None:
        self._size = size
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._outage: int | None = None
        self._counters = Counters()

    def check(
        self,
        outage: int,
        share: Share,
        client: str,
        policies: Sequence[EffectivePolicy],
        cost: int,
        now: int,
        *,
        consume: bool,
    ) -> tuple[LimitState, ...]:
        """Where each limit stands after one request at ``now`` (microseconds since 1970).

        Another ``outage`` than the last begins with empty counters.
        """
        shares = [replace(policy, limits=_shares(policy, share)) for policy in policies]
        with self._lock:
            if outage != self._outage:
                kept: Recent[CounterKey, Counter] = Recent(self._size)
                self._outage, self._counters = outage, Counters(kept)
            admitted, readings = self._counters.check(shares, cost, now, client=client, consume=consume)
        flat = [reading for row in readings for reading in row]
        states = states_of(shares, cost, flat, consumes=consume and admitted)
        wholes = [(each.policy, limit) for each in policies for limit in each.limits]
        return tuple(_as_whole(state, *whole, cost) for state, whole in zip(states, wholes, strict=True))


def _shares(policy: EffectivePolicy, share: Share) -> tuple[Limit, ...]:
    return tuple(share_of(limit, share) for limit in policy.limits)


def _as_whole(state: LimitState, policy: Policy, whole: Limit, cost: int) -> LimitState:
    """The limit by its own name and quota, with what is left of the process's share."""
    return state._replace(name=policy.name_of(whole), limit=whole, can_ever_admit=cost <= whole.capacity)
