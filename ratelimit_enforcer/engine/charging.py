"""Debits and refunds of the newest usage, without a check."""

from collections.abc import Callable

from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.domain.reservations import RETENTION, Charge, Refund, Reserve
from ratelimit_enforcer.engine.attempts import Guard
from ratelimit_enforcer.engine.settling import Settler
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable

UNNAMED_RETENTION = 60
"""Seconds for which a charge or refund is stored that cannot be repeated, because it has no name."""

Look = Callable[[CheckRequest, Deadline, Guard | None], Decision]
"""Decides a request that consumes nothing."""


class Charges:
    """Debits and refunds for one process: a reservation that consumes nothing, settled at once. Thread-safe. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreError`, :class:`RulesetMissing`, and any exception of ``guard``."""

    def __init__(self, look: Look, settler: Settler) -> None:
        self._look = look
        self._settler = settler

    def charge(
        self, request: CheckRequest, cost: int, deadline: Deadline, guard: Guard | None, *, name: bytes | None
    ) -> Charge:
        """See :meth:`Engine.charge`."""
        decision = self._record(request, name, deadline, guard)
        overdrawn = 0
        if decision.reservation is not None:
            retention = RETENTION if name else UNNAMED_RETENTION
            overdrawn = self._settler.settle(decision.reservation, cost, deadline, retention=retention).overdrawn
        return Charge(
            decision.client,
            decision.plan,
            decision.endpoint,
            0 if decision.reservation is None else cost,
            overdrawn,
            decision.ruleset,
            decision.reason if decision.reservation is None else None,
        )

    def refund_newest(self, request: CheckRequest, amount: int, deadline: Deadline, guard: Guard | None) -> Refund:
        """See :meth:`Engine.refund_newest`."""
        decision = self._record(request, None, deadline, guard)
        refunded = 0
        if decision.reservation is not None:
            refunded = self._settler.refund_newest(decision.reservation, amount, deadline, retention=UNNAMED_RETENTION)
        reason = decision.reason if decision.reservation is None else None
        return Refund(decision.client, decision.plan, decision.endpoint, refunded, decision.ruleset, reason)

    def _record(self, request: CheckRequest, name: bytes | None, deadline: Deadline, guard: Guard | None) -> Decision:
        """The counters that the request reaches are recorded as those of a charge."""
        asked = request._replace(cost=1, reserve=Reserve(name=name, for_charge=True))
        decision = self._look(asked, deadline, guard)
        if decision.degraded:
            raise StoreUnavailable("Nothing can be charged or refunded while the store is unavailable.")
        return decision
