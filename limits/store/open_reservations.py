"""Unsettled reservations: their number in all shards, and those of one client."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, NamedTuple, TypeVar

from limits.store.client import ControlClient, script_source
from ratelimit_enforcer.store.errors import StoreDataError, translating_redis_errors
from ratelimit_enforcer.store.keys import SHARDS, Keys
from ratelimit_enforcer.store.reservations import OpenRecord, read_record

_Item = TypeVar("_Item")

BATCH_SIZE = 1_000
"""Records that are read or removed together."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Numbers of unsettled reservations: those that have not expired (``open``), and those that expired within the last
    24 hours and can still be settled."""

    open: int
    expired: int


def unsettled(redis: ControlClient, keys: Keys) -> Unsettled:
    """Returns the numbers over all shards, each by the clock of its own server. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` if a shard is unavailable: a part of them would look like
    a decrease."""
    source = script_source("unsettled")
    with translating_redis_errors():
        pipeline = redis.pipeline(transaction=False)
        for key in keys.open_reservations:
            pipeline.eval(source, 1, key)
        answers = pipeline.execute()
    return Unsettled(sum(answer[0] for answer in answers), sum(answer[1] for answer in answers))


class OpenReservation(NamedTuple):
    """An unsettled reservation. ``places``: until when each of its places is held, in microseconds since 1970; places
    on another master than the client's are left out."""

    name: bytes
    record: OpenRecord
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenReservations:
    """The newest unsettled reservations of a client, newest first, and the number of all. ``now``: the store's time in
    microseconds since 1970."""

    now: int
    newest: list[OpenReservation]
    total: int


class ClientReservations:
    """The unsettled reservations of one client at a time. All methods raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def read(self, client: str, shard: int, count: int) -> OpenReservations:
        """Returns the newest ``count`` reservations; ``shard``: that of the client's root. Reservations made below
        another root consumed from counters that the client does not have any more."""
        with translating_redis_errors():
            ((now, names),) = self._settleable(client, [shard])
            found = list(self._records(shard, names))
            newest = nlargest(count, found, key=lambda each: each.record.made_at)
            return OpenReservations(now, list(self._with_places(newest, now)), len(found))

    def erase(self, client: str) -> int:
        """Removes the reservations in all shards, since a client that was moved has some below earlier roots. They
        cannot be settled any more. May be repeated. Returns their number."""
        with translating_redis_errors():
            by_shard = enumerate(self._settleable(client, range(SHARDS)))
            erased = sum(self._erase(shard, names) for shard, (_, names) in by_shard if names)
            pipeline = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipeline.unlink(self._keys.open_reservations_of(shard, client))
            pipeline.execute()
            return erased

    def _settleable(self, client: str, shards: Iterable[int]) -> list[tuple[int, list[bytes]]]:
        """The time and the names, for each shard."""
        source = script_source("settleable")
        pipeline = self._redis.pipeline(transaction=False)
        for shard in shards:
            pipeline.eval(source, 1, self._keys.open_reservations_of(shard, client))
        return pipeline.execute()

    def _records(self, shard: int, names: Sequence[bytes]) -> Iterator[OpenReservation]:
        for batch in _batches(names):
            keys = [self._keys.reservation(shard, name) for name in batch]
            for name, content in zip(batch, self._redis.mget(keys), strict=True):
                record = _open_record(content)
                if record is not None:
                    yield OpenReservation(name, record)

    def _with_places(self, reservations: Collection[OpenReservation], now: int) -> Iterator[OpenReservation]:
        """Reads the places from the store, because a reset frees them."""
        pipeline, held = self._redis.pipeline(transaction=False), []
        for reservation in reservations:
            keys = [counter.places for counter in reservation.record.counters if counter.places]
            held.append(len(keys))
            for key in keys:
                pipeline.zscore(key, reservation.name)
        ends = iter(pipeline.execute(raise_on_error=False))
        for reservation, number in zip(reservations, held, strict=True):
            places = [next(ends) for _ in range(number)]
            yield reservation._replace(places=tuple(int(end) for end in places if isinstance(end, float) and end > now))

    def _erase(self, shard: int, names: Sequence[bytes]) -> int:
        """The records of parts on other masters do not name the client."""
        erased = 0
        for batch in _batches(names):
            erased += int(self._redis.unlink(*(self._keys.reservation(shard, name) for name in batch)))
            self._redis.zrem(self._keys.open_reservations[shard], *batch)
        return erased


def _open_record(content: Any) -> OpenRecord | None:
    """None if the reservation was settled meanwhile, or if its record is damaged."""
    try:
        record = None if content is None else read_record(content)
    except StoreDataError:
        return None
    return record if isinstance(record, OpenRecord) else None


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))
