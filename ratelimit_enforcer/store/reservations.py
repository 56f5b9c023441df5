"""The records of reservations in the store, and their settlement."""

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from ratelimit_enforcer.domain.calendar import timezones
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import ReservationId
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.damage import RESERVATION
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import SettleableKind
from ratelimit_enforcer.store.errors import StoreDataError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.scripts.packing import ALGORITHM_CODES

OPEN, SETTLED = 1, 2
_HEAD = struct.Struct(">BBHQQIB")
_SETTLED = struct.Struct(">BBIIII")
_COUNTER = struct.Struct(">BIH")
_LIMIT = struct.Struct(">BIIIQ")


class ConsumedCounter(NamedTuple):
    """A counter from which a reservation consumed: its key, and algorithm and window of each limit."""

    key: str
    limits: tuple[tuple[int, int], ...]

    @property
    def has_places(self) -> bool:
        return any(algorithm == ALGORITHM_CODES[Algorithm.CONCURRENCY] for algorithm, _ in self.limits)


class OpenRecord(NamedTuple):
    """An unsettled reservation. Times are in microseconds since 1970. ``content``: the whole record."""

    kind: SettleableKind
    made_at: int
    expires_at: int
    cost: int
    counters: tuple[ConsumedCounter, ...]
    endpoint: str | None
    client: str
    content: bytes

    @property
    def calendar_codes(self) -> list[int]:
        """The window codes of the calendar limits, in order."""
        calendar = ALGORITHM_CODES[Algorithm.CALENDAR]
        return [code for counter in self.counters for algorithm, code in counter.limits if algorithm == calendar]


class SettledRecord(NamedTuple):
    """A settled reservation: the cost that was reserved, and the result of the settlement."""

    kind: SettleableKind
    reserved: int
    cost: int
    refunded: int
    overdrawn: int


Record = OpenRecord | SettledRecord


def read_record(content: bytes) -> Record:
    """Raises :class:`~ratelimit_enforcer.store.errors.StoreDataError`."""
    try:
        if content[0] == SETTLED:
            _, kind, *figures = _SETTLED.unpack(content)
            return SettledRecord(SettleableKind(kind), *figures)
        return _read_open(content)
    except (IndexError, struct.error, ValueError) as error:
        damage.record(RESERVATION)
        raise StoreDataError(RESERVATION, "The record of a reservation in the store is damaged.") from error


def _read_open(content: bytes) -> OpenRecord:
    _, kind, _, made_at, expires_at, cost, number = _HEAD.unpack_from(content)
    at, counters = _HEAD.size, []
    for _ in range(number):
        counter, at = _read_counter(content, at)
        counters.append(counter)
    end = at + 1 + content[at]
    endpoint, client = content[at + 1 : end].decode() or None, content[end:].decode()
    return OpenRecord(SettleableKind(kind), made_at, expires_at, cost, tuple(counters), endpoint, client, content)


def _read_counter(content: bytes, at: int) -> tuple[ConsumedCounter, int]:
    _, _, length = _COUNTER.unpack_from(content, at)
    begin = at + _COUNTER.size
    end = begin + length
    key, number = content[begin:end].decode(), content[end]
    ends = [end + 1 + _LIMIT.size * index for index in range(number)]
    limits = tuple(_LIMIT.unpack_from(content, each)[:2] for each in ends)
    return ConsumedCounter(key, limits), end + 1 + _LIMIT.size * number


class Reservations:
    """The reservations in the store. All methods may safely be repeated, and raise
    :class:`~ratelimit_enforcer.store.errors.StoreError`."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._script = scripts.load("settle")

    def read(self, reservation: ReservationId, deadline: Deadline) -> Record | None:
        """The record of a reservation; None if there is none."""
        key = self._keys.reservation(reservation.shard, reservation.name)
        content = self._connections.execute("GET", key, key=key, deadline=deadline)
        return None if content is None else read_record(content)

    def settle(
        self, reservation: ReservationId, record: OpenRecord, cost: int | None, now: int, deadline: Deadline
    ) -> SettledRecord | int | None:
        """Settles a reservation (``cost`` None: at what it consumed) if this is still its record; else returns None.
        ``now``: the store's time in microseconds since 1970, as the caller estimates it; if the present period of a
        calendar limit differs at the store's time, returns that time."""
        shard = reservation.shard
        keys = [
            self._keys.reservation(shard, reservation.name),
            self._keys.open_reservations_of(shard, record.client),
            self._keys.open_reservations[shard],
            *self._keys.of_request[shard],
            *(counter.key for counter in record.counters),
            *(self._keys.places(counter.key) for counter in record.counters if counter.has_places),
        ]
        arguments = [
            record.content,
            reservation.name,
            "" if cost is None else cost,
            self._counts_per_shard,
            *period_ends(record.calendar_codes, now),
        ]
        reply: Any = self._script.run(self._connections, keys, arguments, deadline)
        if isinstance(reply, list):
            return SettledRecord(record.kind, record.cost, *reply)
        return reply


def period_ends(codes: Sequence[int], now: int) -> Iterator[int]:
    """The ends of the periods that contain ``now``, for calendar limits with these window codes (microseconds since
    1970); 0 for a code that no limit has."""
    for code in codes:
        limit = _calendar_limits().get(code)
        yield window_bounds(limit, now)[1] if limit else 0


@cache
def _calendar_limits() -> dict[int, Limit]:
    zones = (None, *sorted(timezones()))
    limits = [Limit(0, None, Algorithm.CALENDAR, None, period, zone) for zone in zones for period in Period]
    return {limit.window_code: limit for limit in limits}
