"""What a decider sends to the store: one check, and everything that it was prepared from."""

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.client import MAX_LEVELS
from ratelimit_enforcer.domain.reservations import ID_SIZE, MAX_OPEN
from ratelimit_enforcer.store.keys import client_field

Argument = str | int | bytes

NO_NAME = bytes(ID_SIZE)
"""In place of the name of a reservation, for a request that makes none."""

_SETTLEABLE = struct.Struct(">BHQII16s")
_SHARD = struct.Struct(">H")


class SettleableKind(IntEnum):
    """A reservation; a request that takes places of concurrency limits; a charge; one part of a request, pending until
    the request is committed; parts of a reservation and of a charge in another shard than the client's."""

    RESERVATION = 1
    REQUEST = 2
    CHARGE = 3
    PART = 4
    RESERVATION_PART = 5
    CHARGE_PART = 6


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
    concurrency limit. ``has_grants``: one of the limits is extended by grants."""

    policy: str
    shared: bool = False
    attributes: tuple[str, ...] = ()
    level: int = 0
    has_places: bool = False
    has_grants: bool = False


class Settleable(NamedTuple):
    """Why the cost of a request may be settled later. ``name`` identifies the reservation; ``ttl`` is in microseconds;
    at least ``at_least`` is consumed (None: the cost); ``max_open``: the maximum number of unsettled reservations of
    the client. ``part`` is the number of a part of a request on a Cluster; ``request_id`` identifies this attempt at
    it, and ``shards`` are those of the parts after the client's."""

    kind: SettleableKind
    name: bytes
    ttl: int
    at_least: int | None = None
    max_open: int = MAX_OPEN
    part: int = 0
    request_id: bytes = b""
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
    ``settleable``: if the cost may be settled later, or if a limit is a concurrency limit. ``has_grants``: at least one
    of the policies has grants.
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
    has_grants: bool = False


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
    parts = settleable.request_id + b"".join(map(_SHARD.pack, settleable.shards)) if settleable.shards else b""
    return [*ancestor_arguments(request), packed + parts]
