"""One attempt at a check: the request to the store, and the decision that follows from the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from ratelimit_enforcer.domain.client import ClientRecord, counter_owners
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitStates, denial_reason
from ratelimit_enforcer.domain.enums import ClientStatus, Reason
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine.ruleset_cache import ClientCache, Layout, PreparedRuleset
from ratelimit_enforcer.store.decider import AncestorsUnknown, Decided, StoreRequest, Undecidable

Guard = Callable[[Ruleset], None]
"""Called with the ruleset before each attempt; raises an exception if the caller may not check."""


@dataclass(slots=True)
class Attempt:
    """One attempt at a check. ``known``: this process has the client's record in its cache. ``ancestors``: the
    records of the client's ancestors, from the parent up. ``obstacle``: the reason why the attempt cannot be sent, in
    the form of an answer; None if it can be."""

    current: PreparedRuleset
    clients: ClientCache
    record: ClientRecord
    ancestors: tuple[ClientRecord, ...]
    obstacle: AncestorsUnknown | Undecidable | None
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

    def drop_records_with_problems(self) -> None:
        """Removes records from the cache that this process cannot apply: the next check reads them again, since only
        the store knows whether they have changed."""
        for record in (self.record, *self.ancestors):
            if record.problem:
                self.clients.remove(record.key)

    def store_request(self) -> StoreRequest:
        """The request that this attempt sends to the store."""
        layout, record, request = self.layout, self.record, self.request
        store_request = StoreRequest(
            client=record.key,
            token=self.current.token,
            revision=record.revision if self.known else None,
            policies=layout.counters,
            rules=layout.rules,
            cost=self.cost,
            parts=layout.parts,
            attributes=request.attributes,
            counted_together=request.counted_together,
        )
        if self.ancestors or record.moved:
            return self._in_tree(store_request, self.ancestors)
        return store_request

    def _in_tree(self, request: StoreRequest, ancestors: tuple[ClientRecord, ...]) -> StoreRequest:
        return request._replace(
            shard_key=ancestors[-1].key if ancestors else "",
            ancestors=tuple((ancestor.key, ancestor.revision) for ancestor in ancestors),
            owners=counter_owners((self.record, *ancestors)),
        )


def prepare(current: PreparedRuleset, clients: ClientCache, request: CheckRequest, now: int) -> Attempt:
    """An attempt at a check with these rules, at about ``now`` (microseconds since 1970)."""
    cached = clients.get(request.client)
    record = cached or ClientRecord(request.client)
    ancestors, obstacle = _ancestors_of(record, clients) if record.is_below or record.problem else ((), None)
    endpoint = current.endpoint_of(request)
    slug = endpoint.slug if endpoint else None
    layout = current.layout(record, slug, now, request.attributes, ancestors)
    cost = request.cost or (endpoint.cost if endpoint else 1)
    return Attempt(current, clients, record, ancestors, obstacle, cached is not None, layout, cost, request)


def prepare_all_limits(
    current: PreparedRuleset, clients: ClientCache, request: CheckRequest, now: int
) -> list[Attempt]:
    """Attempts that cover every limit that counts this client or an ancestor separately, whatever the client's status:
    of policies with attributes, those for whose attributes the request has values. ``now`` is in microseconds since
    1970."""
    cached = clients.get(request.client)
    record = cached or ClientRecord(request.client)
    ancestors, obstacle = _ancestors_of(record, clients)
    known = cached is not None
    layouts = current.all_layouts(record, now, request.attributes, ancestors)
    return [Attempt(current, clients, record, ancestors, obstacle, known, layout, 1, request) for layout in layouts]


def _ancestors_of(
    record: ClientRecord, clients: ClientCache
) -> tuple[tuple[ClientRecord, ...], AncestorsUnknown | Undecidable | None]:
    """The records of the client's ancestors, and the obstacle if this process does not have them all, or cannot apply
    one of them or the client's own."""
    ancestors = clients.ancestors_of(record)
    if ancestors is None:
        return (), AncestorsUnknown()
    cannot_apply = record.problem or any(ancestor.problem for ancestor in ancestors)
    return ancestors, Undecidable() if cannot_apply else None


STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided, *, consume: bool) -> Decision:
    """The decision that the store's answer means. ``consume``: the cost of an admitted request was consumed."""
    layout, readings = attempt.layout, answer.readings
    consumes = consume and answer.admitted
    limits = LimitStates(layout.policies, attempt.cost, readings, consumes=consumes, subjects=attempt.subjects)
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
        degraded=not answer.complete or attempt.obstacle is not None,
        admitted_by_all=False not in [reading[0] for reading in readings],
    )
