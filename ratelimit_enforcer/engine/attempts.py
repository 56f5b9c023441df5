"""One attempt at a check: the request to the store, and the decision that follows from the answer."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ratelimit_enforcer.domain.client import ClientRecord, counter_owners
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitStates, denial_reason
from ratelimit_enforcer.domain.enums import ClientStatus, Reason
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.readings import Reading, readings_by_policy, with_more_used
from ratelimit_enforcer.domain.reservations import ID_SIZE, ReservationId, Reserve, Store
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine.client_cache import ClientCache
from ratelimit_enforcer.engine.layouts import Layout
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.store.answers import AncestorsUnknown, Consumed, Decided, Undecidable
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.requests import NO_NAME, Settleable, SettleableKind, StoreRequest, shard_key_of
from ratelimit_enforcer.store.reservations import OpenRecord, Record

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
    settleable: Settleable | None = None

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
            settleable=self.settleable,
            has_grants=layout.has_grants,
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
    current = current.rules_for(ancestors[-1] if ancestors else record, now)
    endpoint = current.endpoint_of(request)
    slug = endpoint.slug if endpoint else None
    limited = record if request.limit is None else current.with_limit(record, slug, request.limit)
    layout = current.layout(limited, slug, now, request.attributes, ancestors, places=request.takes_places)
    cost = request.cost or (endpoint.cost if endpoint else 1)
    known = cached is not None
    attempt = Attempt(current, clients, record, ancestors, obstacle, known, layout, cost, request)
    if request.reserve is not None or layout.longest_place:
        attempt.settleable = _settleable(request.reserve, layout)
    return attempt


def _settleable(reserve: Reserve | None, layout: Layout) -> Settleable:
    """Each attempt has a name of its own, unless the caller has chosen one."""
    if reserve is None:
        return Settleable(SettleableKind.REQUEST, os.urandom(ID_SIZE), layout.longest_place)
    kind = SettleableKind.CHARGE if reserve.for_charge else SettleableKind.RESERVATION
    return Settleable(kind, reserve.name or os.urandom(ID_SIZE), reserve.ttl * SECOND_US, reserve.at_least)


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
    current = current.rules_for(ancestors[-1] if ancestors else record, now)
    layouts = current.all_layouts(record, now, request.attributes, ancestors)
    return [
        Attempt(
            current,
            clients,
            record,
            ancestors,
            obstacle,
            known,
            layout,
            1,
            request,
            _settleable(None, layout) if layout.longest_place else None,
        )
        for layout in layouts
    ]


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
    if answer.consumed is not None:
        readings = _after_group(attempt, answer.consumed, readings)
    cost = attempt.cost if answer.cost is None else answer.cost
    consumes = consume and answer.admitted
    limits = LimitStates(layout.policies, cost, readings, consumes=consumes, subjects=attempt.subjects)
    status, admitted = layout.status, answer.admitted
    decision = Decision(
        admitted and status is not ClientStatus.BLOCKED,
        STATUS_REASONS.get(status) or (None if admitted else denial_reason(limits)),
        attempt.record.key,
        layout.plan,
        layout.endpoint,
        cost,
        attempt.current.version.sequence,
        limits,
        degraded=not answer.complete or attempt.obstacle is not None,
        admitted_by_all=False not in [reading[0] for reading in readings],
        change=attempt.current.change,
    )
    return decision if attempt.settleable is None else _with_reservation(decision, attempt, answer)


def _after_group(attempt: Attempt, consumed: Sequence[Consumed], readings: Sequence[Reading]) -> Sequence[Reading]:
    """The readings as if each policy had consumed the request's own cost, and not that of its group."""
    if all(each.cost == attempt.cost for each in consumed):
        return readings
    policies = attempt.layout.policies
    rows = readings_by_policy(readings, [len(policy.limits) for policy in policies])
    return [
        with_more_used(reading, limit, each.cost - attempt.cost) if all(admits for admits, *_ in row) else reading
        for policy, row, each in zip(policies, rows, consumed, strict=True)
        for limit, reading in zip(policy.limits, row, strict=True)
    ]


def _with_reservation(decision: Decision, attempt: Attempt, answer: Decided) -> Decision:
    """The decision with what identifies the reservation, if there is one."""
    if answer.too_many:
        return decision._replace(reason=Reason.TOO_MANY_RESERVATIONS)
    if answer.expires_at is None or attempt.settleable is None:
        return decision
    shard = shard_of(shard_key_of(attempt.store_request()))
    reservation = ReservationId(Store.SHARD, shard, attempt.settleable.name)
    return decision._replace(reservation=str(reservation), expires_at=answer.expires_at)


def nothing_to_settle(decision: Decision, reserve: Reserve, now: int) -> Decision:
    """An admitted reservation always has an id: also if there is nothing to settle, because the client is exempt or the
    store is unavailable. ``now``: the store's time in microseconds since 1970."""
    if reserve.for_charge or not decision.allowed or decision.reservation is not None:
        return decision
    reservation = ReservationId(Store.NOWHERE, 0, os.urandom(ID_SIZE))
    return decision._replace(reservation=str(reservation), expires_at=now + reserve.ttl * SECOND_US)


def with_local_reservation(decision: Decision, attempt: Attempt, now: int) -> Decision:
    """The decision of a process without the store, with a reservation that frees the places in this process, and that
    has nothing else to settle. ``now``: in microseconds since 1970."""
    settleable = attempt.settleable
    if settleable is None or not decision.allowed or settleable.kind is SettleableKind.CHARGE:
        return decision
    # The store may have decided the request, if only its answer came too late.
    shard = shard_of(shard_key_of(attempt.store_request()))
    reservation = ReservationId(Store.PROCESS, shard, settleable.name)
    return decision._replace(reservation=str(reservation), expires_at=now + settleable.ttl)


def with_record(peeked: Decision, attempt: Attempt, record: Record, now: int) -> Decision:
    """The decision on a request that has reserved before: with what is recorded. ``now``: in microseconds since
    1970."""
    shard = shard_of(shard_key_of(attempt.store_request()))
    name = attempt.settleable.name if attempt.settleable else NO_NAME
    cost, expires_at = (record.cost, record.expires_at) if isinstance(record, OpenRecord) else (record.reserved, now)
    return peeked._replace(
        allowed=True,
        reason=None,
        cost=cost,
        reservation=str(ReservationId(Store.SHARD, shard, name)),
        expires_at=expires_at,
    )
