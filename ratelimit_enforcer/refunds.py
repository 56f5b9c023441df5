"""How much one process refunds of failed requests: otherwise errors that callers provoke would remove their limits."""

import threading
import time
from collections import deque
from collections.abc import Hashable
from decimal import Decimal

from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.engine.fallback import BoundedMapping, portion
from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.heartbeats import ALONE, Share

MAX_LIMITS = 20_000
"""The number of limits of clients for which one process remembers refunds: those that refunded last."""

CELLS = 64
"""Refunds in the same 64th of a window are remembered together, so that memory is bounded for any quota."""


class RefundedCost:
    """The cost refunded in the present window of one limit."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, int]] = deque()
        self._total = 0

    def total(self, now: float) -> int:
        """The cost that was refunded within one window before ``now``, or up to 1/64 of the window earlier."""
        while self._entries and self._entries[0][0] <= now:
            self._total -= self._entries.popleft()[1]
        return self._total

    def add(self, cost: int, now: float, window: float) -> None:
        """Remembers a refund for at least ``window`` seconds."""
        self._total += cost
        if self._entries and self._entries[-1][0] >= now + window:
            until, together = self._entries.pop()
            self._entries.append((until, together + cost))
        else:
            self._entries.append((now + window * (1 + 1 / CELLS), cost))


class Refunds:
    """The refunds of one process. Thread-safe."""

    def __init__(self) -> None:
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._by_limit: BoundedMapping[Hashable, RefundedCost] = BoundedMapping(MAX_LIMITS)

    def admit(self, decision: Decision, share: float, process: Share = ALONE, now: float | None = None) -> bool:
        """Whether the cost of this request may be refunded; if so, it is remembered. In no window of an enforcing limit
        do all processes together refund more than ``share`` (0 to 1) of the quota, and this one more than its part:
        for each client whose limit it is, or, if the limit counts no client separately, in all. ``now`` is in seconds,
        by the monotonic clock."""
        now = time.monotonic() if now is None else now
        with self._lock:
            costs = [(state, self._cost_of(state)) for state in decision.limits if _is_bounded(state)]
            if any(cost.total(now) + decision.cost > _bound(state, share, process) for state, cost in costs):
                return False
            for state, cost in costs:
                cost.add(decision.cost, now, _window(state))
        return True

    def _cost_of(self, state: LimitState) -> RefundedCost:
        key = state.name, state.client
        self._by_limit[key] = cost = self._by_limit.get(key) or RefundedCost()
        return cost


def _is_bounded(state: LimitState) -> bool:
    """Places are freed in any case, and a policy in shadow mode denies nobody."""
    return state.is_enforced and state.limit.algorithm is not Algorithm.CONCURRENCY


def _bound(state: LimitState, share: float, process: Share) -> int:
    return portion(int(Decimal(str(share)) * state.limit.quota), process)


def _window(state: LimitState) -> float:
    """In seconds; for a calendar limit, the rest of the period."""
    return float(state.limit.window or state.ends_after or 0)
