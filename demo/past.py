"""Requests that lie in the past: decided by the reference model, counted as the store counts.

The store decides by its own clock, which nobody can turn back.
"""

from collections import Counter, defaultdict

from demo.visitors import Visit
from limits.domain.client import ClientRecord
from limits.domain.counters import Counters, Reading
from limits.domain.decision import STATE_READERS
from limits.domain.limit import SECOND
from limits.domain.selection import EffectivePolicy, select
from limits.domain.words import ClientStatus, Mode, Outcome
from limits.enforcement import CheckRequest, Held
from limits.models.usage import MARKS
from limits.monitoring.drain import usage_counts
from limits.publishing import clients
from limits.store.usage import Counted

_KINDS = {Outcome.ADMITTED: "a", Outcome.DENIED: "d", Outcome.BLOCKED: "b", Outcome.EXEMPT: "e"}
_BY_STATUS = {ClientStatus.BLOCKED: Outcome.BLOCKED, ClientStatus.EXEMPT: Outcome.EXEMPT}


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
        endpoint = self._held.endpoint_of(CheckRequest(visit.client, method=visit.method, path=visit.path))
        slug, cost = (endpoint.slug, endpoint.cost) if endpoint else (None, 1)
        record = self._record(visit.client)
        now = int(((self._begin + visit.minute) * 60 + visit.second) * SECOND)
        if (outcome := _BY_STATUS.get(record.status)) is None:
            policies = select(self._held.ruleset, record, slug, now).policies
            admitted, readings = self._counters[visit.client].check(policies, cost, now)
            outcome = Outcome.ADMITTED if admitted else Outcome.DENIED
            self._count_policies(visit, cost, slug or "", policies, readings, admitted=admitted)
        self._count(visit, _KINDS[outcome], slug or "", "", 1)
        if cost > 1:
            self._count(visit, _KINDS[outcome].upper(), slug or "", "", cost - 1)
        return outcome

    def count(self) -> None:
        """Brings the counts to the store. Raises :class:`~limits.store.errors.StoreUnavailable`."""
        usage_counts().add(self._counts)
        self._counts.clear()

    def _record(self, client: str) -> ClientRecord:
        if client not in self._records:
            self._records[client] = clients.record_of(client) or ClientRecord(client)
        return self._records[client]

    def _count_policies(
        self,
        visit: Visit,
        cost: int,
        endpoint: str,
        policies: tuple[EffectivePolicy, ...],
        readings: list[list[Reading]],
        *,
        admitted: bool,
    ) -> None:
        for policy, row in zip(policies, readings, strict=True):
            if not all(reading.admits for reading in row):
                kind = "d" if policy.mode is Mode.ENFORCE else "s"
                self._count(visit, kind, endpoint, policy.policy.slug, 1)
            elif admitted and policy.mode is Mode.ENFORCE:
                self._count_crossings(visit, cost, endpoint, policy, row)

    def _count_crossings(
        self, visit: Visit, cost: int, endpoint: str, policy: EffectivePolicy, row: list[Reading]
    ) -> None:
        for limit, reading in zip(policy.limits, row, strict=True):
            state = STATE_READERS[limit.algorithm]("", "", policy.mode, limit, cost, reading.admits, reading.figures)
            used = limit.capacity - state.remaining
            for mark in MARKS:
                if (used - cost) * 100 < mark * limit.capacity <= used * 100:
                    self._count(visit, str(mark), endpoint, policy.policy.slug, 1)

    def _count(self, visit: Visit, kind: str, endpoint: str, policy: str, by: int) -> None:
        self._counts[Counted(self._begin + visit.minute, kind, endpoint, policy, visit.client)] += by
