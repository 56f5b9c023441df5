"""One attempt at a check: the request to the store, and the decision that follows from the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitStates, denial_reason
from ratelimit_enforcer.domain.enums import ClientStatus, Reason
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine.ruleset_cache import ClientCache, Layout, PreparedRuleset
from ratelimit_enforcer.store.decider import Decided, StoreRequest

Guard = Callable[[Ruleset], None]
"""Called with the ruleset before each attempt; raises an exception if the caller may not check."""


@dataclass(slots=True)
class Attempt:
    """One attempt at a check. ``known``: this process has the client's record in its cache."""

    current: PreparedRuleset
    clients: ClientCache
    record: ClientRecord
    known: bool
    layout: Layout
    cost: int
    request: CheckRequest

    def store_request(self) -> StoreRequest:
        """The request that this attempt sends to the store."""
        return StoreRequest(
            client=self.record.key,
            token=self.current.token,
            revision=self.record.revision if self.known else None,
            policies=self.layout.counters,
            rules=self.layout.rules,
            cost=self.cost,
            parts=self.layout.parts,
            attributes=self.request.attributes,
            counted_together=self.request.counted_together,
        )


def prepare(current: PreparedRuleset, clients: ClientCache, request: CheckRequest, now: int) -> Attempt:
    """An attempt at a check with these rules, at about ``now`` (microseconds since 1970)."""
    cached = clients.get(request.client)
    record = cached or ClientRecord(request.client)
    endpoint = current.endpoint_of(request)
    layout = current.layout(record, endpoint.slug if endpoint else None, now, request.attributes)
    cost = request.cost or (endpoint.cost if endpoint else 1)
    return Attempt(current, clients, record, cached is not None, layout, cost, request)


def prepare_all_limits(
    current: PreparedRuleset, clients: ClientCache, request: CheckRequest, now: int
) -> list[Attempt]:
    """Attempts that cover every limit that counts this client separately, whatever its status: of policies with
    attributes, those for whose attributes the request has values. ``now`` is in microseconds since 1970."""
    cached = clients.get(request.client)
    record = cached or ClientRecord(request.client)
    known = cached is not None
    layouts = current.all_layouts(record, now, request.attributes)
    return [Attempt(current, clients, record, known, layout, 1, request) for layout in layouts]


STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided, *, consume: bool) -> Decision:
    """The decision that the store's answer means. ``consume``: the cost of an admitted request was consumed."""
    layout, readings = attempt.layout, answer.readings
    limits = LimitStates(layout.policies, attempt.cost, readings, consumes=consume and answer.admitted)
    status, admitted = layout.status, answer.admitted
    return Decision(
        admitted and status is not ClientStatus.BLOCKED,
        STATUS_REASONS.get(status) or (None if admitted else denial_reason(limits)),
        attempt.record.key,
        layout.plan,
        layout.endpoint,
        attempt.cost,
        attempt.current.version.sequence,
        limits,
        degraded=not answer.complete or bool(attempt.record.problem),
        admitted_by_all=False not in [reading[0] for reading in readings],
    )
