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
from limits.domain.decision import STATE_READERS, LimitState
from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
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
    """What one process may admit of a limit. The shares of all processes add up to the limit."""
    burst = None if limit.burst is None else _part(limit.burst, share)
    return replace(limit, quota=_part(limit.quota, share), burst=burst)


def _part(whole: int, share: Share) -> int:
    return whole // share.processes + (1 if share.rank < whole % share.processes else 0)


class LocalCounters:
    """The counters of one process for one outage at a time. Safe for threads."""

    def __init__(self, size: int = MAX_COUNTERS) -> None:
        self._size = size
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
            _, readings = self._counters.check(shares, cost, now, client=client, consume=consume)
        return tuple(
            _state(policy, whole, part, cost, reading)
            for policy, shared, row in zip(policies, shares, readings, strict=True)
            for whole, part, reading in zip(policy.limits, shared.limits, row, strict=True)
        )


def _shares(policy: EffectivePolicy, share: Share) -> tuple[Limit, ...]:
    return tuple(share_of(limit, share) for limit in policy.limits)


def _state(
    policy: EffectivePolicy, whole: Limit, part: Limit, cost: int, reading: tuple[bool, Sequence[int]]
) -> LimitState:
    """The limit by its own name and quota, with what is left of the process's share."""
    admits, figures = reading
    read = STATE_READERS[part.algorithm]
    name = policy.policy.name_of(whole)
    state = read(name, policy.policy.slug, policy.mode, part, cost, admits, figures)
    return replace(state, limit=whole, can_ever_admit=cost <= whole.capacity)
