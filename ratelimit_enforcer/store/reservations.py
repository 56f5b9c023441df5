"""The records of reservations in the store, and their settlement."""

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from ratelimit_enforcer.domain.calendar import timezones
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import ID_SIZE, RETENTION, ReservationId, Store
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.damage import RESERVATION
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreDataError
from ratelimit_enforcer.store.keys import Keys, grants_of, places_of
from ratelimit_enforcer.store.requests import Argument, SettleableKind
from ratelimit_enforcer.store.scripts.packing import ALGORITHM_CODES, GRANT

OPEN, SETTLED = 1, 2
_ENTRY = struct.Struct(">BHQQI16sH")
_LENGTH = struct.Struct(">H")
_SHARD = struct.Struct(">H")
_SETTLED = struct.Struct(">BBIIII")
_COUNTER = struct.Struct(">BIH")
_LIMIT = struct.Struct(">BIIIQ")


class ConsumedCounter(NamedTuple):
    """A counter from which a reservation consumed: its key, and algorithm and window of each limit; in place of an
    algorithm also what belongs to the limit before (:data:`~ratelimit_enforcer.store.scripts.packing.BEYOND`)."""

    key: str
    limits: tuple[tuple[int, int], ...]

    @property
    def places(self) -> str | None:
        """The key of the places of the concurrency limit; None if there is none."""
        has_places = any(algorithm == ALGORITHM_CODES[Algorithm.CONCURRENCY] for algorithm, _ in self.limits)
        return places_of(self.key) if has_places else None

    @property
    def grants(self) -> str | None:
        """The key with what is consumed of the grants; None if there are none."""
        return grants_of(self.key) if any(algorithm == GRANT for algorithm, _ in self.limits) else None


class OpenRecord(NamedTuple):
    """An unsettled reservation, or a part of it. Times are in microseconds since 1970. ``name``: that
    of the reservation; ``home``: the shard where a request in parts is committed; ``is_in_parts``: it names other
    parts. ``content``: the whole record."""

    kind: SettleableKind
    made_at: int
    expires_at: int
    cost: int
    name: bytes
    counters: tuple[ConsumedCounter, ...]
    endpoint: str | None
    client: str
    home: int
    is_in_parts: bool
    content: bytes

    @property
    def keys(self) -> list[str]:
        """The keys of the counters, and of the places and grants that belong to them."""
        places = [counter.places for counter in self.counters if counter.places]
        grants = [counter.grants for counter in self.counters if counter.grants]
        return [counter.key for counter in self.counters] + places + grants

    @property
    def calendar_codes(self) -> list[int]:
        """The window codes of the calendar limits, in order."""
        calendar = ALGORITHM_CODES[Algorithm.CALENDAR]
        return [code for counter in self.counters for algorithm, code in counter.limits if algorithm == calendar]


class Unfinished(NamedTuple):
    """The parts of a settlement after the client's, on a Cluster: the id of the request, and their shards."""

    request_id: bytes
    shards: tuple[int, ...]
    endpoint: str | None
    client: str


class SettledRecord(NamedTuple):
    """A settled reservation: the cost that was reserved, and the result of the settlement. A charge has a reserved cost
    only if the newest usage was refunded in place of a debit: the amount. ``unfinished``: the parts that are not known
    to be settled yet. ``content``: the whole record; empty if it was not read."""

    kind: SettleableKind
    reserved: int
    cost: int
    refunded: int
    overdrawn: int
    unfinished: Unfinished | None = None
    content: bytes = b""

    @property
    def refunds_newest(self) -> bool:
        """Whether the newest usage was refunded."""
        return self.kind is SettleableKind.CHARGE and self.reserved > 0

    def pack(self) -> bytes:
        """The record, as the scripts write it, if nothing is unfinished."""
        return _SETTLED.pack(SETTLED, self.kind, self.reserved, self.cost, self.refunded, self.overdrawn)


Record = OpenRecord | SettledRecord


def read_record(content: bytes) -> Record:
    """Raises :class:`~ratelimit_enforcer.store.errors.StoreDataError`."""
    try:
        return _read_settled(content) if content[0] == SETTLED else read_entry(content, 1)
    except (IndexError, struct.error, ValueError) as error:
        damage.record(RESERVATION)
        raise StoreDataError(RESERVATION, "The record of a reservation in the store is damaged.") from error


def _read_settled(content: bytes) -> SettledRecord:
    _, kind, *figures = _SETTLED.unpack_from(content)
    reserved, cost, refunded, overdrawn = figures
    unfinished = _read_unfinished(content[_SETTLED.size :]) if len(content) > _SETTLED.size else None
    return SettledRecord(SettleableKind(kind), reserved, cost, refunded, overdrawn, unfinished, content)


def _read_unfinished(content: bytes) -> Unfinished:
    (length,) = _LENGTH.unpack_from(content)
    begin, end = _LENGTH.size, _LENGTH.size + length
    client_at = end + 1 + content[end]
    request_id, shards = _read_parts(content[begin:end])
    return Unfinished(request_id, shards, content[end + 1 : client_at].decode() or None, content[client_at:].decode())


def _read_parts(content: bytes) -> tuple[bytes, tuple[int, ...]]:
    """The id of a request in parts, and the shards of the parts after the client's."""
    return content[:ID_SIZE], tuple(shard for (shard,) in _SHARD.iter_unpack(content[ID_SIZE:]))


def read_entry(content: bytes, at: int = 0) -> OpenRecord:
    """What a request consumed, as ``scripts/parts/entry.lua`` writes it. Raises ``struct.error``, ``IndexError`` or
    ``ValueError`` if it is damaged."""
    kind, home, made_at, expires_at, cost, name, number = _ENTRY.unpack_from(content, at)
    at, counters = at + _ENTRY.size, []
    for _ in range(number):
        counter, at = _read_counter(content, at)
        counters.append(counter)
    end = at + 1 + content[at]
    endpoint, (length,) = content[at + 1 : end].decode() or None, _LENGTH.unpack_from(content, end)
    client = content[end + _LENGTH.size : end + _LENGTH.size + length].decode()
    is_in_parts = len(content) > end + _LENGTH.size + length
    return OpenRecord(
        SettleableKind(kind),
        made_at,
        expires_at,
        cost,
        name,
        tuple(counters),
        endpoint,
        client,
        home,
        is_in_parts,
        content,
    )


def _read_counter(content: bytes, at: int) -> tuple[ConsumedCounter, int]:
    _, _, length = _COUNTER.unpack_from(content, at)
    begin = at + _COUNTER.size
    end = begin + length
    key, (number,) = content[begin:end].decode(), _LENGTH.unpack_from(content, end)
    begins = [end + _LENGTH.size + _LIMIT.size * index for index in range(number)]
    limits = tuple(_LIMIT.unpack_from(content, each)[:2] for each in begins)
    return ConsumedCounter(key, limits), end + _LENGTH.size + _LIMIT.size * number


class Reservations:
    """The reservations in the store. All methods may safely be repeated, and raise
    :class:`~ratelimit_enforcer.store.errors.StoreError`."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._script = scripts.load("settle", scripts.GRANTS)
        self._finish_script = scripts.load("finish_settlement")
        self._confirm_script = scripts.load("confirm")

    def read(self, reservation: ReservationId, deadline: Deadline) -> Record | None:
        """The record of a reservation; None if there is none."""
        return self._read(reservation.shard, reservation.name, 0, deadline)

    def _read(self, shard: int, name: bytes, part: int, deadline: Deadline) -> Record | None:
        key = self._keys.reservation(shard, name, part)
        content = self._connections.execute("GET", key, key=key, deadline=deadline)
        return None if content is None else read_record(content)

    def settle(
        self,
        reservation: ReservationId,
        record: OpenRecord,
        cost: int | None,
        now: int,
        deadline: Deadline,
        *,
        retention: int = RETENTION,
    ) -> SettledRecord | int | None:
        """Settles a reservation if this is still its record; else returns None. ``cost`` None: at what it consumed;
        below 0, of a charge: refunds as much of the newest usage. ``now``: the store's time in microseconds since 1970,
        as the caller estimates it; if the present period of a calendar limit differs at the store's time, returns that
        time. ``retention``: for how many seconds the result of a charge is stored. Other parts are not settled."""
        place = reservation.shard, reservation.name, 0
        return self._settle(place, record, cost, now, deadline, retention=retention)

    def _settle(
        self,
        place: tuple[int, bytes, int],
        record: OpenRecord,
        cost: int | None,
        now: int,
        deadline: Deadline,
        *,
        refunds: bool | None = None,
        retention: int = RETENTION,
    ) -> SettledRecord | int | None:
        """``place``: shard, name and part. ``refunds``: whether less cost is refunded (None: if it is refundable)."""
        shard, name, part = place
        keys = [
            self._keys.reservation(shard, name, part),
            self._keys.open_reservations_of(shard, record.client),
            self._keys.open_reservations[shard],
            *self._keys.of_request[shard],
            self._keys.unfinished_settlements[shard],
            *record.keys,
        ]
        arguments: list[Argument] = [
            record.content,
            "" if cost is None else cost,
            self._counts_per_shard,
            "" if refunds is None else int(refunds),
            retention,
            *period_ends(record.calendar_codes, now),
        ]
        reply: Any = self._script.run(self._connections, keys, arguments, deadline)
        if not isinstance(reply, list):
            return reply
        settled, refunded, overdrawn = reply
        return SettledRecord(record.kind, record.cost, settled, refunded, overdrawn)

    def finish(self, reservation: ReservationId, settled: SettledRecord, now: int, deadline: Deadline) -> SettledRecord:
        """Settles the other parts of a settled reservation, as it was read. ``now``: as for :meth:`settle`."""
        parts = settled.unfinished
        if parts is None:
            return settled
        finished = settled._replace(unfinished=None, content=b"")
        for part, shard in enumerate(parts.shards, 1):
            record = self._finish_part(reservation.name, part, shard, settled, now, deadline)
            if record is not None:
                finished = finished._replace(overdrawn=max(finished.overdrawn, record.overdrawn))
            if record is not None and settled.refunds_newest:
                finished = finished._replace(refunded=max(finished.refunded, record.refunded))
        self._write_finished(reservation, settled, finished, parts, deadline)
        return finished

    def _write_finished(
        self,
        reservation: ReservationId,
        settled: SettledRecord,
        finished: SettledRecord,
        parts: Unfinished,
        deadline: Deadline,
    ) -> None:
        shard = reservation.shard
        keys = [
            self._keys.reservation(shard, reservation.name),
            self._keys.unfinished_settlements[shard],
            *self._keys.of_request[shard],
        ]
        arguments: list[Argument] = [
            reservation.name,
            settled.content,
            finished.pack(),
            finished.overdrawn - settled.overdrawn,
            finished.refunded - settled.refunded,
            self._counts_per_shard,
            parts.endpoint or "",
            parts.client,
        ]
        self._finish_script.run(self._connections, keys, arguments, deadline)

    def _finish_part(
        self, name: bytes, part: int, shard: int, settled: SettledRecord, now: int, deadline: Deadline
    ) -> SettledRecord | None:
        """Returns the result of this part; None if the store has lost its record."""
        if settled.unfinished is not None:
            self._confirm(settled.unfinished.request_id, name, part, shard, deadline)
        record = self._read(shard, name, part, deadline)
        while isinstance(record, OpenRecord):
            refunds = settled.refunded > 0
            cost = -settled.reserved if settled.refunds_newest else settled.cost
            answer = self._settle((shard, name, part), record, cost, now, deadline, refunds=refunds)
            if isinstance(answer, SettledRecord):
                return answer
            if answer is None:
                record = self._read(shard, name, part, deadline)
            else:
                now = answer
        return record

    def _confirm(self, request_id: bytes, name: bytes, part: int, shard: int, deadline: Deadline) -> None:
        """The part may still be a pending entry, if the reservation is settled at once."""
        keys = *self._keys.pending[shard], self._keys.reservation(shard, name, part)
        self._confirm_script.run(self._connections, keys, [request_id + _SHARD.pack(part)], deadline)

    def forget(self, reservation: ReservationId, deadline: Deadline) -> None:
        """Removes a settlement without a record from those that are unfinished."""
        key = self._keys.unfinished_settlements[reservation.shard]
        self._connections.execute("ZREM", key, reservation.name, key=key, deadline=deadline)

    def unfinished(self, shard: int, before: int, deadline: Deadline) -> list[ReservationId]:
        """Up to 100 settlements of a shard made before this time whose other parts are not settled yet."""
        key = self._keys.unfinished_settlements[shard]
        names = self._connections.execute(
            "ZRANGEBYSCORE", key, "-inf", before, "LIMIT", 0, 100, key=key, deadline=deadline
        )
        return [ReservationId(Store.SHARD, shard, name) for name in names]


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
