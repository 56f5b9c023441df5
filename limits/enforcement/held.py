"""What one process holds: a ruleset made ready for checks, and the client records it has met.

A held ruleset never changes. A process that learns of a newer one makes a new :class:`Held`, and
checks that are under way finish, or start anew, with the one that they began with.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from limits.domain.cached import cached_property
from limits.domain.client import ClientRecord
from limits.domain.routes import Router
from limits.domain.ruleset import Endpoint, Ruleset, Version
from limits.domain.selection import EffectivePolicy, Selection, effective, own_policies, plan_of, select
from limits.domain.words import ClientStatus, Partition
from limits.enforcement.requests import CheckRequest
from limits.forking import renewed_when_forked
from limits.store.decider import CounterOf, Part
from limits.store.packing import pack_rules


@dataclass(frozen=True, slots=True)
class Layout:
    """The limits of one request, ready to be sent: of clients with this status and plan, on this
    endpoint (None: one that nobody registered)."""

    status: ClientStatus
    plan: str | None
    endpoint: str | None
    policies: tuple[EffectivePolicy, ...]
    counters: tuple[CounterOf, ...]
    rules: bytes
    parts: tuple[Part, ...]
    valid_from: int | None
    valid_until: int | None

    @classmethod
    def of(
        cls, selection: Selection, status: ClientStatus, plan: str | None, endpoint: str | None, now: int
    ) -> "Layout":
        policies = selection.policies
        pack = partial(
            pack_rules,
            now=now,
            endpoint=endpoint,
            status=status,
            valid_from=selection.valid_from,
            valid_until=selection.valid_until,
        )
        counters = tuple(_counter_of(each) for each in policies)
        parts = _parts(policies, pack) if any(counter.shared for counter in counters) else ()
        valid = selection.valid_from, selection.valid_until
        return cls(status, plan, endpoint, policies, counters, pack(policies), parts, *valid)

    def is_valid(self, now: int) -> bool:
        """Whether it holds at ``now`` (microseconds since 1970)."""
        begun = self.valid_from is None or self.valid_from <= now
        return begun and (self.valid_until is None or now < self.valid_until)


def _counter_of(policy: EffectivePolicy) -> CounterOf:
    return CounterOf(policy.policy.slug, policy.policy.partition is Partition.GLOBAL)


def _parts(policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]) -> tuple[Part, ...]:
    """The client's own policies together, also where there are none, and each global one by itself."""
    own, alone = [], []
    for at, each in enumerate(policies):
        if each.policy.partition is Partition.CLIENT:
            own.append(at)
        else:
            alone.append([at])
    return tuple(_part(places, [policies[at] for at in places], pack) for places in (own, *alone))


def _part(
    places: Sequence[int], policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]
) -> Part:
    counters = tuple(_counter_of(each) for each in policies)
    return Part(counters, pack(policies), tuple(places), tuple(len(each.limits) for each in policies))


AT_A_TIME = 200
"""Policies that are looked at together: a script takes a few thousand keys at most."""


class Held:
    """A ruleset with everything that can be worked out before a check comes."""

    def __init__(self, version: Version, ruleset: Ruleset) -> None:
        self.version = version
        self.ruleset = ruleset
        self.token = str(version)
        self._endpoints = {endpoint.slug: endpoint for endpoint in ruleset.endpoints}
        self._layouts: dict[tuple[ClientStatus, str | None, str | None], Layout] = {}

    @cached_property
    def _router(self) -> Router:
        endpoints = self.ruleset.endpoints
        return Router((route, endpoint.slug) for endpoint in endpoints for route in endpoint.routes)

    def endpoint_of(self, request: CheckRequest) -> Endpoint | None:
        """The endpoint that a request means; None where nobody registered it."""
        slug = request.endpoint
        if slug is None and request.method is not None and request.path is not None:
            slug = self._router.match(request.method, request.path, decoded=request.decoded)
        return self._endpoints.get(slug) if slug is not None else None

    def layout(self, record: ClientRecord, endpoint: str | None, now: int) -> Layout:
        """The limits that a client meets on an endpoint at ``now`` (microseconds since 1970): none
        where it is blocked or exempt."""
        if record.overrides:
            return self._layout(record, endpoint, now)
        key = record.status, plan_of(self.ruleset, record), endpoint
        layout = self._layouts.get(key)
        if layout is None or not layout.is_valid(now):
            layout = self._layouts[key] = self._layout(record, endpoint, now)
        return layout

    def _layout(self, record: ClientRecord, endpoint: str | None, now: int) -> Layout:
        is_limited = record.status is ClientStatus.ACTIVE
        selection = select(self.ruleset, record, endpoint, now) if is_limited else Selection(())
        return Layout.of(selection, record.status, plan_of(self.ruleset, record), endpoint, now)

    def whole_layouts(self, record: ClientRecord, now: int) -> list[Layout]:
        """All limits that count this client by itself, on whichever endpoint, some policies at a time."""
        whole = effective(self.ruleset, record, own_policies(self.ruleset, record), now)
        starts = range(0, max(len(whole.policies), 1), AT_A_TIME)
        selections = [replace(whole, policies=whole.policies[start : start + AT_A_TIME]) for start in starts]
        plan = plan_of(self.ruleset, record)
        return [Layout.of(selection, record.status, plan, None, now) for selection in selections]


class ClientCache:
    """The records of the clients met last, at most ``size`` of them, for one epoch."""

    def __init__(self, epoch: str, size: int) -> None:
        self.epoch = epoch
        self._size = size
        renewed_when_forked(self)

    def renew(self) -> None:
        # A fork may come in the middle of a change: the records are met again, and not trusted.
        self._lock = threading.Lock()
        self._records: OrderedDict[str, ClientRecord] = OrderedDict()

    def get(self, key: str) -> ClientRecord | None:
        with self._lock:
            record = self._records.get(key)
            if record is not None:
                self._records.move_to_end(key)
            return record

    def put(self, record: ClientRecord) -> None:
        with self._lock:
            self._records[record.key] = record
            self._records.move_to_end(record.key)
            while len(self._records) > self._size:
                self._records.popitem(last=False)
