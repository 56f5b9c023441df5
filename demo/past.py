"""Requests that lie in the past: decided by the reference model, counted as the store counts.

The store decides by its own clock, which nobody can turn back.
"""

from collections import Counter, defaultdict

from demo.visitors import Visit
from limits.domain.client import ClientRecord
from limits.domain.counters import Counters
from limits.domain.counting import counts_of
from limits.domain.decision import Decision, states_of
from limits.domain.limit import SECOND
from limits.domain.selection import select
from limits.domain.words import Outcome, Reason
from limits.enforcement import CheckRequest, Held
from limits.enforcement.answers import STATUS_REASONS
from limits.monitoring.drain import usage_counts
from limits.publishing import clients
from limits.store.usage import Counted

_OUTCOMES: dict[Reason | None, Outcome] = {Reason.BLOCKED: Outcome.BLOCKED, Reason.EXEMPT: Outcome.EXEMPT}


class Past:
    """The rules as they are now, applied to an hour whose first minute is ``begin`` (in minutes
    since 1970)."""

    def __init__(self, held: Held, begin: int) -> None:
        self._held = held
        self._begin = begin
        self._records: dict[str, ClientRecord] = {}
        self._counters: defaultdict[str, Counters] = defaultdict(Counters)
        self._counts: Counter[Counted] = Counter()

    def ask(self, visit: Visit) -> Outcome:
        """Decides and counts one request."""
        decision = self._decide(visit)
        for kind, policy, amount in counts_of(decision):
            counted = Counted(self._begin + visit.minute, kind, decision.endpoint or "", policy, visit.client)
            self._counts[counted] += amount
        return _OUTCOMES.get(decision.reason) or (Outcome.ADMITTED if decision.allowed else Outcome.DENIED)

    def _decide(self, visit: Visit) -> Decision:
        endpoint = self._held.endpoint_of(CheckRequest(visit.client, method=visit.method, path=visit.path))
        slug, cost = (endpoint.slug, endpoint.cost) if endpoint else (None, 1)
        record = self._record(visit.client)
        reason = STATUS_REASONS.get(record.status)
        now = int(((self._begin + visit.minute) * 60 + visit.second) * SECOND)
        policies = () if reason else select(self._held.ruleset, record, slug, now).policies
        admitted, rows = self._counters[visit.client].check(policies, cost, now)
        limits = states_of(policies, cost, [reading for row in rows for reading in row], consumes=admitted)
        allowed = admitted and reason is not Reason.BLOCKED
        return Decision(allowed, reason, visit.client, None, slug, cost, self._held.version.sequence, limits)

    def count(self) -> None:
        """Brings the counts to the store. Raises :class:`~limits.store.errors.StoreUnavailable`."""
        usage_counts().add(self._counts)
        self._counts.clear()

    def _record(self, client: str) -> ClientRecord:
        if client not in self._records:
            self._records[client] = clients.record_of(client) or ClientRecord(client)
        return self._records[client]
