"""One attempt at a check: the request to the store, and the decision that follows from the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from ratelimit_enforcer.domain.client import ClientRecord, counter_owners
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitStates, denial_reason
from ratelimit_enforcer.domain.enums import ClientStatus, Reason
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine.ruleset_cache import ClientCache, Layout, PreparedRuleset
from ratelimit_enforcer.store.decider import AncestorsUnknown, Decided, StoreAnswer, StoreRequest, Undecidable

Guard = Callable[[Ruleset], None]
"""Called with the ruleset before each attempt; raises an exception if the caller may not check."""


@dataclass(slots=True)
class Attempt:
    """One attempt at a check. ``known``: this process has the client's record in its cache. ``ancestors``: the
    records of the client's ancestors, from the parent up; None: this process does not have all of them."""

    current: PreparedRuleset
    clients: ClientCache
    record: ClientRecord
    ancestors: tuple[ClientRecord, ...] | None
    known: bool
    layout: Layout
    cost: int
    request: CheckRequest

    @property
    def subjects(self) -> tuple[str, ...]:
        """The keys of the client and its ancestors, from the client up."""
        if not self.ancestors:
            return (self.record.key,)
        return (self.record.key, *[ancestor.key for ancestor in self.ancestors])

    @property
    def problem(self) -> str:
        """The reason why this process cannot apply a record, or an empty text."""
        if self.record.problem or not self.ancestors:
            return self.record.problem
        return next((ancestor.problem for ancestor in self.ancestors if ancestor.problem), "")

    def obstacle(self) -> StoreAnswer | None:
        """The reason why this attempt cannot be sent, in the form of an answer; None if it can be."""
        if self.ancestors is None:
            return AncestorsUnknown()
        return Undecidable() if self.problem else None

    def store_request(self) -> StoreRequest:
        """The request that this attempt sends to the store."""
        request = self._request_as_root()
        ancestors = self.ancestors or ()
        if not ancestors and not self.record.moved:
            return request
        return request._replace(
            shard_key=ancestors[-1].key if ancestors else "",
            ancestors=tuple((ancestor.key, ancestor.revision) for ancestor in ancestors),
            owners=counter_owners((self.record, *ancestors)),
        )

    def _request_as_root(self) -> StoreRequest:
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
    ancestors = clients.ancestors_of(record) if record.is_below else ()
    endpoint = current.endpoint_of(request)
    slug = endpoint.slug if endpoint else None
    layout = current.layout(record, slug, now, request.attributes, ancestors or ())
    cost = request.cost or (endpoint.cost if endpoint else 1)
    return Attempt(current, clients, record, ancestors, cached is not None, layout, cost, request)


def prepare_all_limits(
    current: PreparedRuleset, clients: ClientCache, request: CheckRequest, now: int
) -> list[Attempt]:
    """Attempts that cover every limit that counts this client or an ancestor separately, whatever the client's status:
    of policies with attributes, those for whose attributes the request has values. ``now`` is in microseconds since
    1970."""
    cached = clients.get(request.client)
    record = cached or ClientRecord(request.client)
    ancestors = clients.ancestors_of(record) if record.is_below else ()
    known = cached is not None
    layouts = current.all_layouts(record, now, request.attributes, ancestors or ())
    return [Attempt(current, clients, record, ancestors, known, layout, 1, request) for layout in layouts]


STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided, *, consume: bool) -> Decision:
    """The decision that the store's answer means. ``consume``: the cost of an admitted request was consumed."""
    layout, readings = attempt.layout, answer.readings
    consumes, subjects = consume and answer.admitted, attempt.subjects
    limits = LimitStates(layout.policies, attempt.cost, readings, consumes=consumes, subjects=subjects)
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
        degraded=not answer.complete or bool(attempt.problem),
        admitted_by_all=False not in [reading[0] for reading in readings],
    )
