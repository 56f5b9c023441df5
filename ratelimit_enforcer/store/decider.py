"""Checks as one script call: the request to the store, and the possible answers."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES, values_digest
from ratelimit_enforcer.domain.client import MAX_LEVELS
from ratelimit_enforcer.domain.counters import Reading
from ratelimit_enforcer.domain.reservations import ID_SIZE, MAX_OPEN
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost, CountInDoubt, StoreUnavailable
from ratelimit_enforcer.store.keys import TOKEN_ENCODING, Keys, client_field, places_of, shard_of

RULES_CHANGED, CLIENT_CHANGED, OUTSIDE_VALIDITY, NOT_LOADED, DAMAGED, VALUES_EXHAUSTED, RESERVED, UNRESOLVED = range(
    1, 9
)

COUNTS_PER_SHARD = 128
"""New usage counts that a shard accepts per minute; beyond that, unregistered clients are counted together."""

MAX_BATCH = 100
"""Requests that one script call decides. Redis serves no other client during that time: about 2 ms."""

Argument = str | int | bytes

NO_NAME = bytes(ID_SIZE)
"""In place of the name of a reservation, for a request that makes none."""

_UNKNOWN_REVISION = ""
"""Sent in place of a revision: this process does not know whether the client is registered."""

_SAME_RULES = ""
"""Sent in place of a request's rules: those of the request before it."""

_HEAD = struct.Struct(">B?q")
_COMPLETE, _UNCOUNTED, _COUNT_DAMAGED, _TOO_MANY = 1, 2, 4, 8
_READING = struct.Struct(">?qqqq")
_SETTLEABLE = struct.Struct(">BHQII16s")
_SHARD = struct.Struct(">H")


class SettleableKind(IntEnum):
    """A reservation; a request that takes places of concurrency limits; a charge; one part of a request, pending until
    the request is committed; the same of a reservation, in another shard than the client's."""

    RESERVATION = 1
    REQUEST = 2
    CHARGE = 3
    PART = 4
    RESERVATION_PART = 5


class Verb(StrEnum):
    """The effect of an admitted request. COUNT: its cost is consumed and it is counted; CONSUME: the cost of
    one part is consumed, pending until the request is committed; PEEK: none."""

    COUNT = "count"
    CONSUME = "consume"
    PEEK = "look"


OTHER = "(other)"
"""In place of a digest: the counter of all values beyond those that are counted separately."""


class CounterRef(NamedTuple):
    """The counter of a policy: that of the client (``level`` 0) or an ancestor, or one shared by all clients; for
    policies with ``attributes``, one for each combination of their values. ``has_places``: one of the limits is a
    concurrency limit."""

    policy: str
    shared: bool = False
    attributes: tuple[str, ...] = ()
    level: int = 0
    has_places: bool = False


class Settleable(NamedTuple):
    """Why the cost of a request may be settled later. ``name`` identifies the reservation; ``ttl`` is in microseconds;
    at least ``at_least`` is consumed (None: the cost); ``max_open``: the maximum number of unsettled reservations of
    the client. ``part`` is the number of a part of a request on a Cluster, and ``shards`` those of the parts after the
    client's."""

    kind: SettleableKind
    name: bytes
    ttl: int
    at_least: int | None = None
    max_open: int = MAX_OPEN
    part: int = 0
    shards: tuple[int, ...] = ()


class Part(NamedTuple):
    """The policies of a request whose counters are in one slot: the counters and the packed rules, and, for
    each policy, its position among all policies of the request and the number of its limits."""

    counters: tuple[CounterRef, ...]
    rules: bytes
    positions: tuple[int, ...]
    sizes: tuple[int, ...]


class StoreRequest(NamedTuple):
    """One check, with everything that it was prepared from.

    ``token`` and ``revision`` identify the caller's ruleset and client record (revision None: a client
    that is not in the cache). ``rules`` are packed; ``policies`` are their counters, in the same order.
    ``parts``: the same split by slot, if not all counters are in the client's slot. ``shard_key``:
    the key whose shard decides, if that is not the client's. ``attributes`` and ``counted_together``: as for
    :class:`~ratelimit_enforcer.domain.decision.CheckRequest`. ``ancestors``: keys and revisions, from the parent
    up. ``owners``: the names under which the client and its ancestors have their counters; empty: the client's key.
    ``settleable``: if the cost may be settled later, or if a limit is a concurrency limit.
    """

    client: str
    token: str
    revision: int | None
    policies: tuple[CounterRef, ...]
    rules: bytes
    cost: int
    parts: tuple[Part, ...] = ()
    shard_key: str = ""
    attributes: Mapping[str, str] = NO_ATTRIBUTES
    counted_together: frozenset[tuple[str, int]] = frozenset()
    ancestors: tuple[tuple[str, int], ...] = ()
    owners: tuple[str, ...] = ()
    settleable: Settleable | None = None


class Uncommitted(Protocol):
    """A request whose parts were decided by several masters, and that is neither committed nor refunded yet."""

    def conclude(self, *, admitted: bool, endpoint: str | None, counts: Sequence[Count], deadline: Deadline) -> bool:
        """Commits an admitted request, refunds a denied one, and counts the request. Returns False if it
        has certainly not been counted.

        Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` if an admitted request could not be
        committed: then it is not admitted, and the cost that it consumed will be refunded. Raises
        :class:`~ratelimit_enforcer.store.errors.CountInDoubt` if it may have been committed, and
        :class:`~ratelimit_enforcer.store.errors.TooManyReservations` if the client has too many: then it can still be
        concluded as denied.
        """


class Decided(NamedTuple):
    """The store's decision at ``now`` (microseconds since 1970, by the store's clock). ``readings``: the state
    of each limit before the request. ``complete`` is False if the store has lost rules or clients and is
    being refilled. ``uncommitted``, if not None, must be concluded."""

    admitted: bool
    complete: bool
    now: int
    readings: Sequence[Reading]
    uncommitted: Uncommitted | None = None
    counted: bool = True
    """False if the counts in the store are damaged, so that the request is still to be counted."""
    cost: int | None = None
    """The cost that was decided, if the request left it to the store."""
    expires_at: int | None = None
    """Until when the cost is refundable or the places last (microseconds since 1970); None: nothing to settle."""
    too_many: bool = False
    """Denied, because the client has too many unsettled reservations."""


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Another ruleset is in force in this shard: the one with this token."""

    token: str
    shard: int


@dataclass(frozen=True, slots=True)
class ClientChanged:
    """Other records are in force: those of the client and of its ancestors, as far as they were read; None: a client
    that is not registered in this shard."""

    records: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class OutsideValidity:
    """The rules were prepared for a period that does not contain the store's time (microseconds since 1970)."""

    now: int


@dataclass(frozen=True, slots=True)
class AncestorsUnknown:
    """This process does not know all ancestors of the client, or not the shard of the root."""


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The store does not have all clients yet, and this process does not have this client's record."""


@dataclass(frozen=True, slots=True)
class Undecidable:
    """Data for this one request cannot be used; nothing was consumed or counted. ``kind``: which data in
    the store is damaged, as in :mod:`ratelimit_enforcer.store.damage`; None: the client's record is valid, but
    this process cannot apply it."""

    kind: str | None = None


@dataclass(frozen=True, slots=True)
class ValuesExhausted:
    """The policy at this position counts no further value of its attributes separately in this window."""

    position: int


@dataclass(frozen=True, slots=True)
class ReservedBefore:
    """There is a reservation with this id already; ``record``: as :mod:`ratelimit_enforcer.store.reservations` reads
    it."""

    record: bytes


StoreAnswer = (
    ValuesExhausted
    | ReservedBefore
    | Decided
    | RulesChanged
    | ClientChanged
    | OutsideValidity
    | AncestorsUnknown
    | NotLoaded
    | Undecidable
)


class Decider:
    """Sends requests to the store, which decides them."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int = COUNTS_PER_SHARD) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._script = scripts.load("decide")
        self._tree_script = scripts.load("decide", scripts.TREE)
        self._reserve_script = scripts.load("decide", scripts.RESERVE)

    def batch_size(self, clients: Sequence[str], root_of: Callable[[str], str]) -> int:
        """The number of these clients' requests, from the first one on, that a single call can decide. ``root_of``:
        client → the key whose shard decides."""
        return min(len(clients), MAX_BATCH)

    def decide(self, request: StoreRequest, deadline: Deadline, verb: Verb = Verb.COUNT) -> StoreAnswer:
        """Decides in one round trip. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`, and
        :class:`~ratelimit_enforcer.store.errors.CountInDoubt` if the request may have been counted."""
        shard = shard_of(shard_key_of(request))
        keys, client_arguments = self._keys_and_arguments(request, shard)
        script, arguments = self._script, (*client_arguments, request.rules)
        if request.settleable is not None:
            script, arguments = self._reserve_script, (*arguments, *settleable_arguments(request, keys))
            keys += self._settleable_keys(request, shard)
        elif request.ancestors:
            script, arguments = self._tree_script, (*arguments, *ancestor_arguments(request))
        (reply,) = self._run(script, request.token, verb, 1, keys, arguments, deadline)
        return read_answer(reply, shard)

    def decide_in_order(
        self, requests: Sequence[StoreRequest], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[StoreAnswer]:
        """Decides several requests with the same rules in one round trip, one after another.

        If an answer is not :class:`Decided`, it is the last one, and the requests after it were not
        sent: there are then fewer answers than requests. Raises the same exceptions as :meth:`decide`.
        """
        shards = [shard_of(shard_key_of(request)) for request in requests]
        keys: list[str] = []
        arguments: list[Argument] = []
        before = None
        script = self._script_for(requests)
        for request, shard in zip(requests, shards, strict=True):
            request_keys, client_arguments = self._keys_and_arguments(request, shard)
            arguments += client_arguments
            arguments.append(_SAME_RULES if request.rules is before else request.rules)
            before = request.rules
            if script is self._reserve_script:
                arguments += settleable_arguments(request, request_keys)
                request_keys += self._settleable_keys(request, shard)
            elif script is self._tree_script:
                arguments += ancestor_arguments(request)
            keys += request_keys
        replies = self._run(script, requests[0].token, verb, len(requests), keys, arguments, deadline)
        return list(map(read_answer, replies, shards))

    def _script_for(self, requests: Sequence[StoreRequest]) -> scripts.Script:
        if any(request.settleable for request in requests):
            return self._reserve_script
        return self._tree_script if any(request.ancestors for request in requests) else self._script

    def _keys_and_arguments(self, request: StoreRequest, shard: int) -> tuple[list[str], tuple[Argument, ...]]:
        """The keys and arguments of one request, without its rules (``scripts/decide.lua``)."""
        keys = [*self._keys.of_request[shard], *self._counters(request, shard)]
        revision = _UNKNOWN_REVISION if request.revision is None else f"{request.revision} "
        return keys, (client_field(request.client), revision, request.cost)

    def _settleable_keys(self, request: StoreRequest, shard: int) -> list[str]:
        """The additional keys of a request whose cost may be settled: its record, the unsettled reservations of the
        client and of the shard, and the places of its concurrency limits."""
        name, part = (request.settleable.name, request.settleable.part) if request.settleable else (NO_NAME, 0)
        keys = [
            self._keys.reservation(shard, name, part),
            self._keys.open_reservations_of(shard, request.client),
            self._keys.open_reservations[shard],
        ]
        if any(counter.has_places for counter in request.policies):
            counters = self._counters(request, shard)
            keys += [
                places_of(key) for key, counter in zip(counters, request.policies, strict=False) if counter.has_places
            ]
        return keys

    def _run(
        self,
        script: scripts.Script,
        token: str,
        verb: Verb,
        count: int,
        keys: list[str],
        arguments: Sequence[Argument],
        deadline: Deadline,
    ) -> list[Any]:
        head = token, verb.value, self._counts_per_shard
        try:
            replies: list[Any] = script.run(self._connections, keys, (*head, *arguments), deadline)
        except AnswerLost as error:
            if verb is Verb.COUNT:
                raise CountInDoubt(error, count) from error
            raise
        return replies

    def _counters(self, request: StoreRequest, shard: int) -> list[str]:
        """The keys of the counters, in the order of the policies; then for each policy with attributes the key that
        counts new values, or the counter again if this request is counted under ``(other)``."""
        owners, separate = request.owners or (request.client,), []
        counters = []
        for counter in request.policies:
            if counter.attributes:
                key, values = self._attribute_keys(request, counter, shard, owners)
                counters.append(key)
                separate.append(values)
            elif counter.shared:
                counters.append(self._keys.shared_counter(counter.policy))
            else:
                counters.append(self._keys.counter(shard, counter.policy, owners[counter.level]))
        return counters + separate if separate else counters

    def _attribute_keys(
        self, request: StoreRequest, counter: CounterRef, shard: int, owners: Sequence[str]
    ) -> tuple[str, str]:
        """All counters of a policy that counts no client separately are in one shard, as those of global policies
        are: so its values are counted together, and the last ones share one counter."""
        policy, client = counter.policy, "" if counter.shared else owners[counter.level]
        if counter.shared:
            shard = shard_of(policy)
        if (policy, counter.level) in request.counted_together:
            other = self._keys.attribute_counter(shard, policy, OTHER, client)
            return other, other
        digest = values_digest(counter.attributes, request.attributes)
        own = self._keys.attribute_counter(shard, policy, digest, client)
        return own, self._keys.attribute_values(shard, policy, client)


def shard_key_of(request: StoreRequest) -> str:
    """The key whose shard decides."""
    return request.shard_key or request.client


def ancestor_arguments(request: StoreRequest) -> list[Argument]:
    """The field and the revision of each ancestor, for as many as a client can have."""
    known: list[Argument] = []
    for key, revision in request.ancestors:
        known += (client_field(key), f"{revision} ")
    return known + [""] * (2 * (MAX_LEVELS - 1) - len(known))


def settleable_arguments(request: StoreRequest, keys: Sequence[str]) -> list[Argument]:
    """The arguments of the variant for requests whose cost may be settled. ``keys``: those before the additional ones
    (:meth:`Decider._settleable_keys`)."""
    settleable = request.settleable or Settleable(SettleableKind.REQUEST, NO_NAME, 0)
    at_least = request.cost if settleable.at_least is None else settleable.at_least
    packed = _SETTLEABLE.pack(
        settleable.kind, len(keys) + 1, settleable.ttl, at_least, settleable.max_open, settleable.name
    )
    shards = b"".join(map(_SHARD.pack, settleable.shards))
    return [*ancestor_arguments(request), packed + shards]


def read_answer(reply: Any, shard: int) -> StoreAnswer:
    """The script's answer for one request to this shard."""
    if isinstance(reply, bytes):
        return _read_decided(reply)
    kind = reply[0]
    if kind == RULES_CHANGED:
        return RulesChanged(reply[1].decode(TOKEN_ENCODING), shard)
    if kind == CLIENT_CHANGED:
        return ClientChanged(tuple(None if text is None else text.decode(errors="replace") for text in reply[1:]))
    if kind == OUTSIDE_VALIDITY:
        return OutsideValidity(reply[1])
    if kind == VALUES_EXHAUSTED:
        return ValuesExhausted(reply[1])
    if kind == RESERVED:
        return _read_reserved(reply)
    return _read_obstacle(reply)


def _read_obstacle(reply: Any) -> StoreAnswer:
    """The answer if the request cannot be decided by the store. Raises :class:`StoreUnavailable`."""
    if reply[0] == UNRESOLVED:
        raise StoreUnavailable("An earlier attempt at this request is not resolved yet.")
    if reply[0] != DAMAGED:
        return NotLoaded()
    damaged = reply[1].decode()
    damage.record(damaged)
    return Undecidable(damaged)


def _read_decided(reply: bytes) -> Decided:
    flags, admitted, now = _HEAD.unpack_from(reply)
    readings = tuple(_READING.iter_unpack(reply[_HEAD.size :]))
    if flags <= _COMPLETE:
        return Decided(admitted, flags == _COMPLETE, now, readings)
    if flags & (_UNCOUNTED | _COUNT_DAMAGED):
        damage.record(damage.COUNTS)
    counted, too_many = not flags & _UNCOUNTED, bool(flags & _TOO_MANY)
    return Decided(admitted, bool(flags & _COMPLETE), now, readings, counted=counted, too_many=too_many)


def _read_reserved(reply: Any) -> StoreAnswer:
    if len(reply) == len((RESERVED, "record")):
        return ReservedBefore(reply[1])
    _, packed, cost, is_settleable, expires_at = reply
    return _read_decided(packed)._replace(cost=cost, expires_at=expires_at if is_settleable else None)
