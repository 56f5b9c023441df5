"""The ruleset and the client records that a process uses to decide, and how it loads newer ones.

A loaded ruleset never changes. A process that learns of a newer one makes a new :class:`PreparedRuleset`;
checks that are under way finish, or restart, with the one that they started with.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ratelimit_enforcer.domain.attributes import IP, NO_ATTRIBUTES, Match
from ratelimit_enforcer.domain.client import MAX_LEVELS, ClientRecord
from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Partition
from ratelimit_enforcer.domain.routes import Router
from ratelimit_enforcer.domain.ruleset import Endpoint, Ruleset, Version
from ratelimit_enforcer.domain.selection import (
    EffectivePolicy,
    Selection,
    matching,
    plan_of,
    select,
    select_all,
    status_of,
)
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.per_process import cached_property, renew_after_fork
from ratelimit_enforcer.store import damage, observers
from ratelimit_enforcer.store.damage import CLIENT
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import CounterRef, Part
from ratelimit_enforcer.store.errors import RulesetUnreadable, StoreDataError, StoreError, StoreUnavailable
from ratelimit_enforcer.store.ruleset_reader import RulesetReader
from ratelimit_enforcer.store.scripts.packing import MAX_VALUES, pack_rules


@dataclass(frozen=True, slots=True)
class Layout:
    """The limits of one request, packed for the script: for clients with this status and plan, on this
    endpoint (None: an unregistered one)."""

    status: ClientStatus
    plan: str | None
    endpoint: str | None
    policies: tuple[EffectivePolicy, ...]
    counters: tuple[CounterRef, ...]
    rules: bytes
    parts: tuple[Part, ...]
    valid_from: int | None
    valid_until: int | None
    longest_place: int = 0
    """The longest window of the concurrency limits in microseconds; 0: there are none."""

    @classmethod
    def of(
        cls,
        selection: Selection,
        status: ClientStatus,
        plan: str | None,
        endpoint: str | None,
        now: int,
        max_values: int = MAX_VALUES,
    ) -> "Layout":
        """Packs the limits of a selection. ``now``: microseconds since 1970, within the selection's validity;
        ``max_values``: see :data:`~ratelimit_enforcer.store.scripts.packing.MAX_VALUES`."""
        policies = selection.policies
        pack = partial(
            pack_rules,
            now=now,
            endpoint=endpoint,
            status=status,
            valid_from=selection.valid_from,
            valid_until=selection.valid_until,
            max_values=max_values,
        )
        counters = tuple(counter_of(each) for each in policies)
        parts = _parts(policies, pack) if any(counter.shared for counter in counters) else ()
        valid = selection.valid_from, selection.valid_until
        return cls(status, plan, endpoint, policies, counters, pack(policies), parts, *valid, _longest_place(policies))

    def is_valid(self, now: int) -> bool:
        """Whether the layout is valid at ``now`` (microseconds since 1970)."""
        begun = self.valid_from is None or self.valid_from <= now
        return begun and (self.valid_until is None or now < self.valid_until)


def _longest_place(policies: Sequence[EffectivePolicy]) -> int:
    limits = (limit for policy in policies for limit in policy.limits)
    return max((limit.window_us for limit in limits if limit.algorithm is Algorithm.CONCURRENCY), default=0)


def counter_of(policy: EffectivePolicy) -> CounterRef:
    """The counter of a policy, as the decider names it."""
    shared = policy.policy.partition is Partition.GLOBAL
    has_places = any(limit.algorithm is Algorithm.CONCURRENCY for limit in policy.limits)
    return CounterRef(policy.policy.slug, shared, policy.policy.attributes, policy.level, has_places)


def _parts(policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]) -> tuple[Part, ...]:
    """One part for the client's own policies, even if there are none, and one for each global policy."""
    own, shared = [], []
    for at, each in enumerate(policies):
        if each.policy.partition is Partition.CLIENT:
            own.append(at)
        else:
            shared.append([at])
    return tuple(_part(positions, [policies[at] for at in positions], pack) for positions in (own, *shared))


def _part(
    positions: Sequence[int], policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]
) -> Part:
    counters = tuple(counter_of(each) for each in policies)
    return Part(counters, pack(policies), tuple(positions), tuple(len(each.limits) for each in policies))


MAX_POLICIES_PER_CALL = 200
"""The number of policies looked up in one call: a script accepts a few thousand keys at most."""


LayoutKey = tuple[ClientStatus, str | None, str | None, tuple[int, ...], int, int]
"""Status, plan, endpoint, the overrides of segments that include the client, the conditions that match, and the end
of the blocks that match."""

MAX_LAYOUTS = 10_000
"""Beyond this number all layouts are dropped, and computed again when they are needed."""

UNBLOCKED = 0
"""The end of the blocks of a check that none matches."""

TreeLayoutKey = tuple[LayoutKey, ...]
"""The same for a client and each of its ancestors."""


class PreparedRuleset:
    """A ruleset with everything that can be computed before checks arrive."""

    def __init__(self, version: Version, ruleset: Ruleset, max_values: int = MAX_VALUES) -> None:
        """``max_values``: see :data:`~ratelimit_enforcer.store.scripts.packing.MAX_VALUES`."""
        self._max_values = max_values
        self.version = version
        self.ruleset = ruleset
        self.token = str(version)
        self._segments = ruleset.overrides_by_segment
        self._blocks = ruleset.blocks_by_subject
        self._has_blocks = bool(self._blocks)
        self._endpoints = {endpoint.slug: endpoint for endpoint in ruleset.endpoints}
        self._layouts: dict[LayoutKey | TreeLayoutKey, Layout] = {}
        self._matches: dict[tuple[str | None, str | None], tuple[Match, ...]] = {}
        self._has_conditions = any(policy.match for policy in ruleset.policies)

    @cached_property
    def _router(self) -> Router:
        endpoints = self.ruleset.endpoints
        return Router((route, endpoint.slug) for endpoint in endpoints for route in endpoint.routes)

    def endpoint_of(self, request: CheckRequest) -> Endpoint | None:
        """The endpoint that a request names or matches; None if it is not registered."""
        slug = request.endpoint
        if slug is None and request.method is not None and request.path is not None:
            slug = self._router.match(request.method, request.path, decoded=request.decoded)
        return self._endpoints.get(slug) if slug is not None else None

    def layout(
        self,
        record: ClientRecord,
        endpoint: str | None,
        now: int,
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        ancestors: Sequence[ClientRecord] = (),
    ) -> Layout:
        """The limits that apply to a client on an endpoint at ``now`` (microseconds since 1970); no limits if
        the client is blocked or exempt. ``ancestors``: the client's, from the parent up."""
        blocked_until = self._blocked_until(record, ancestors, attributes) if self._has_blocks else UNBLOCKED
        if record.overrides or (ancestors and any(ancestor.overrides for ancestor in ancestors)):
            return self._layout(record, endpoint, now, attributes, ancestors, blocked_until)
        own = self._key(record, endpoint, attributes, blocked_until)
        key: LayoutKey | TreeLayoutKey = own
        if ancestors:
            key = (own, *(self._key(each, endpoint, attributes, blocked_until) for each in ancestors))
        layout = self._layouts.get(key)
        if layout is None or not layout.is_valid(now):
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = self._layout(record, endpoint, now, attributes, ancestors, blocked_until)
        return layout

    def _key(
        self, record: ClientRecord, endpoint: str | None, attributes: Mapping[str, str], blocked_until: int
    ) -> LayoutKey:
        plan = plan_of(self.ruleset, record)
        conditions = self._conditions(record, plan, endpoint, attributes) if self._has_conditions else 0
        segments = self._segments.positions(record.key, record.tags, plan)
        return record.status, plan, endpoint, segments, conditions, blocked_until

    def _blocked_until(
        self, record: ClientRecord, ancestors: Sequence[ClientRecord], attributes: Mapping[str, str]
    ) -> int:
        """The end of the blocks of the client, its ancestors, and the check's address, in microseconds since 1970. The
        attributes of a view are computed when they are read: only if there are networks."""
        address = attributes.get(IP, "") if self._blocks.has_networks else ""
        block = self._blocks.of((record.key, *(ancestor.key for ancestor in ancestors)), address)
        return UNBLOCKED if block is None else block.until

    def _conditions(
        self, record: ClientRecord, plan: str | None, endpoint: str | None, attributes: Mapping[str, str]
    ) -> int:
        """Which of the conditions of this plan's policies on this endpoint match: one bit for each."""
        matches = self._matches.get((plan, endpoint))
        if matches is None:
            policies = matching(self.ruleset, plan, endpoint)
            matches = tuple(dict.fromkeys(policy.match for policy in policies if policy.match))
            self._matches[plan, endpoint] = matches
        return sum(match.includes(attributes, record.tags) << at for at, match in enumerate(matches))

    def _layout(
        self,
        record: ClientRecord,
        endpoint: str | None,
        now: int,
        attributes: Mapping[str, str],
        ancestors: Sequence[ClientRecord],
        blocked_until: int,
    ) -> Layout:
        status, selection = _status_of(record, ancestors, now, blocked_until), Selection(())
        if status is ClientStatus.ACTIVE:
            selection = select(self.ruleset, record, endpoint, now, attributes, ancestors)
        selection = selection.divided_at(blocked_until, now)
        return Layout.of(selection, status, plan_of(self.ruleset, record), endpoint, now, self._max_values)

    def all_layouts(
        self,
        record: ClientRecord,
        now: int,
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        ancestors: Sequence[ClientRecord] = (),
    ) -> list[Layout]:
        """All limits that count this client or an ancestor separately, on any endpoint, split into several layouts.
        ``now`` is in microseconds since 1970."""
        blocked_until = self._blocked_until(record, ancestors, attributes) if self._has_blocks else UNBLOCKED
        whole = select_all(self.ruleset, record, now, attributes, ancestors).divided_at(blocked_until, now)
        starts = range(0, max(len(whole.policies), 1), MAX_POLICIES_PER_CALL)
        selections = [
            replace(whole, policies=whole.policies[start : start + MAX_POLICIES_PER_CALL]) for start in starts
        ]
        plan, status = plan_of(self.ruleset, record), _status_of(record, ancestors, now, blocked_until)
        return [Layout.of(selection, status, plan, None, now, self._max_values) for selection in selections]


def _status_of(record: ClientRecord, ancestors: Sequence[ClientRecord], now: int, blocked_until: int) -> ClientStatus:
    return ClientStatus.BLOCKED if now < blocked_until else status_of(record, ancestors)


class ClientCache:
    """The most recently used client records, at most ``size`` of them, for one epoch."""

    def __init__(self, epoch: str, size: int) -> None:
        self.epoch = epoch
        # A client is decided with all its ancestors.
        self._size = max(size, MAX_LEVELS)
        renew_after_fork(self)

    def renew(self) -> None:
        # A fork may happen in the middle of a change: the records are not trusted but read again.
        self._lock = threading.Lock()
        self._records: OrderedDict[str, ClientRecord] = OrderedDict()

    def get(self, key: str) -> ClientRecord | None:
        """The cached record of the client with this key; None if there is none."""
        with self._lock:
            record = self._records.get(key)
            if record is not None:
                self._records.move_to_end(key)
            return record

    def ancestors_of(self, record: ClientRecord) -> tuple[ClientRecord, ...] | None:
        """The cached records of a client's ancestors, from the parent up; None if they are not all cached."""
        ancestors: list[ClientRecord] = []
        with self._lock:
            while record.root is None and record.parent is not None and len(ancestors) < MAX_LEVELS - 1:
                ancestor = self._records.get(record.parent)
                if ancestor is None or not ancestor.is_registered:
                    return None
                self._records.move_to_end(record.parent)
                ancestors.append(ancestor)
                record = ancestor
        return None if record.is_below else tuple(ancestors)

    def root_of(self, key: str) -> str:
        """The key of the client's root, as far as it is known; else the client's key."""
        record = self.get(key)
        if record is None or not record.is_below:
            return key
        ancestors = self.ancestors_of(record)
        return ancestors[-1].key if ancestors else record.root or key

    def records_of(self, key: str) -> tuple[ClientRecord, ...]:
        """The records of a client and its ancestors, as far as they are cached, from the client up."""
        record = self.get(key) or ClientRecord(key)
        return (record, *(self.ancestors_of(record) or ()))

    def remove(self, key: str) -> None:
        """Removes the record of the client with this key, if it is cached."""
        with self._lock:
            self._records.pop(key, None)

    def put(self, record: ClientRecord) -> None:
        """Adds or replaces a record; beyond ``size`` records, the least recently used one is dropped."""
        with self._lock:
            self._records[record.key] = record
            self._records.move_to_end(record.key)
            while len(self._records) > self._size:
                self._records.popitem(last=False)


log = logging.getLogger(__name__)


_unreadable_records = RateLimitedLog(log)


class RulesetMissing(Exception):
    """No ruleset was published yet, or none could be read yet."""


class StoreClock:
    """The store's time, estimated from this process's clock and the last time value that the store returned.

    The estimate only saves round trips. Everything that depends on time is decided by the store's clock.
    """

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> int:
        """The estimated time in microseconds since 1970."""
        return time.time_ns() // 1000 + self._ahead

    def set(self, now: int) -> None:
        """Adjusts to the store's time (microseconds since 1970)."""
        self._ahead = now - time.time_ns() // 1000


class RulesetCache:
    """Has one current ruleset, and keeps the previous one: while a publication goes from master to master, some
    clients are still decided by it. Thread-safe."""

    def __init__(self, reader: RulesetReader, cache_size: int, max_values: int = MAX_VALUES) -> None:
        self._reader = reader
        self._max_values = max_values
        self._cache_size = cache_size
        self._state: tuple[PreparedRuleset, ClientCache] | None = None
        self._previous: PreparedRuleset | None = None
        self._unreadable: tuple[str, str] | None = None
        """The token of a ruleset that this process cannot use, and why."""
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    @property
    def current(self) -> PreparedRuleset | None:
        """The ruleset that this process uses; None until the first one was read."""
        return self._state[0] if self._state else None

    def root_of(self, client: str) -> str:
        """The key of the client's root, as far as this process knows it; else the client's key."""
        return self._state[1].root_of(client) if self._state else client

    def records_of(self, client: str) -> tuple[ClientRecord, ...]:
        """The records of a client and its ancestors, as far as this process has them, from the client up."""
        return self._state[1].records_of(client) if self._state else (ClientRecord(client),)

    def state(self, deadline: Deadline) -> tuple[PreparedRuleset, ClientCache]:
        """The ruleset and the clients, read now if there are none yet. Raises :class:`RulesetMissing`."""
        if self._state is None:
            self._load_first(deadline)
        if self._state is None:
            raise RulesetMissing("No ruleset has been published yet.")
        return self._state

    def _load_first(self, deadline: Deadline) -> None:
        try:
            self.refresh(deadline)
        except StoreUnavailable as error:
            raise RulesetMissing("The store is unavailable, and no ruleset has been loaded yet.") from error
        except StoreError as error:
            raise RulesetMissing(f"No ruleset has been loaded yet. {error}") from error

    def refresh(self, deadline: Deadline) -> Version | None:
        """Loads the published ruleset; costs one read if it is already loaded. Returns its version, or None
        if the store has no ruleset.

        Raises :class:`~ratelimit_enforcer.store.errors.StoreError`.
        """
        token = self._reader.pointer(deadline)
        if token is None:
            return None
        self.switch_to(token, deadline)
        return Version.parse(token)

    def switch_to(self, token: str, deadline: Deadline) -> None:
        """Makes the ruleset of ``token`` current. One thread reads while the others wait. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreError`."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("Another thread is still loading the ruleset.")
        try:
            if self._state is None or self._state[0].token != token:
                self._state = self._read(token, deadline)
        finally:
            self._lock.release()

    def reconcile_shard(self, found: str, shard: int, deadline: Deadline) -> None:
        """Loads the ruleset that the pointer names, and updates this shard to it, if shards disagree because a
        publication has not reached all of them. Raises :class:`StoreUnavailable`."""
        named = self._reader.pointer(deadline)
        if named is None or named == found:
            self.switch_to(found, deadline)
        else:
            self.switch_to(named, deadline)
            self._reader.move_token(shard, found, named, deadline)

    def _read(self, token: str, deadline: Deadline) -> tuple[PreparedRuleset, ClientCache]:
        """Client records remain valid when the rules change, but not when the database does."""
        current, clients = self._state or (None, None)
        known = self._previous is not None and self._previous.token == token
        new = self._previous if self._previous and known else self._read_new(token, deadline)
        if clients is None or clients.epoch != new.version.epoch:
            clients = ClientCache(new.version.epoch, self._cache_size)
        self._previous = current
        observers.observer.ruleset_loaded(new.version.sequence)
        return new, clients

    def _read_new(self, token: str, deadline: Deadline) -> PreparedRuleset:
        """Reads an unreadable ruleset once only, and not with every check."""
        if self._unreadable is not None and self._unreadable[0] == token:
            raise RulesetUnreadable(self._unreadable[1])
        try:
            return PreparedRuleset(*self._reader.read(token, deadline), self._max_values)
        except RulesetUnreadable as error:
            self._unreadable = token, str(error)
            log.error("ruleset_unreadable: %s", error, extra={"event": "ruleset_unreadable", "error": str(error)})
            raise


def parse_record(key: str, text: str | None) -> ClientRecord:
    """The client record in the store's answer (None: the client is not registered). Raises
    :class:`~ratelimit_enforcer.store.errors.StoreDataError`."""
    if text is None:
        return ClientRecord(key)
    try:
        record = ClientRecord.from_text(key, text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        damage.record(CLIENT)
        raise StoreDataError(CLIENT, "A client's record in the store is damaged.") from error
    if record.problem:
        _unreadable_records.warning("client_unreadable: %s", record.problem)
    return record
