"""What the store answers to one check, and how a reply of the script is read."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ratelimit_enforcer.domain.readings import Reading
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import damage
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import TOKEN_ENCODING

RULES_CHANGED, CLIENT_CHANGED, OUTSIDE_VALIDITY, NOT_LOADED = range(1, 5)
DAMAGED, VALUES_EXHAUSTED, RESERVED = range(5, 8)

_HEAD = struct.Struct(">B?q")
_COMPLETE, _UNCOUNTED, _COUNT_DAMAGED, _TOO_MANY = 1, 2, 4, 8
_READING = struct.Struct(">?qqqq")


class Uncommitted(Protocol):
    """A request whose parts were decided by several masters, and that is neither committed nor refunded yet."""

    def conclude(self, *, admitted: bool, endpoint: str | None, counts: Sequence[Count], deadline: Deadline) -> bool:
        """Commits an admitted request, refunds a denied one, and counts the request. Returns False if it
        has certainly not been counted.

        Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` if an admitted request could not be
        committed: then it is not admitted, and the cost that it consumed will be refunded. Raises
        :class:`~ratelimit_enforcer.store.errors.CountInDoubt` if it may have been committed, and
        :class:`~ratelimit_enforcer.store.errors.TooManyReservations` if the client has too many: then it can still be
        concluded as denied. Raises :class:`~ratelimit_enforcer.store.errors.ReservedMeanwhile` if another request has
        made this reservation; this one is refunded.
        """


class Consumed(NamedTuple):
    """What requests that were decided together consumed from one counter. ``is_own``: it is the cost of this request,
    and not that of another one."""

    cost: int
    is_own: bool


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
    consumed: tuple[Consumed, ...] | None = None
    """Of a request that was decided together with others: what they consumed from the counter of each policy. None:
    each policy that admits the request consumed its cost."""


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


class Obstacle(NamedTuple):
    """Why several requests could not be decided together: the answer about the one at this position."""

    position: int
    answer: "StoreAnswer"


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


def read_answer(reply: Any, shard: int) -> StoreAnswer:
    """The script's answer for one request to this shard."""
    if isinstance(reply, bytes):
        return read_decided(reply)
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
    """The answer if the store cannot decide the request."""
    if reply[0] != DAMAGED:
        return NotLoaded()
    damaged = reply[1].decode()
    damage.record(damaged)
    return Undecidable(damaged)


def read_decided(reply: bytes) -> Decided:
    """The decision in a packed reply."""
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
    return read_decided(packed)._replace(cost=cost, expires_at=expires_at if is_settleable else None)
