"""Overdue pending entries and unfinished settlements in all shards of a Cluster. The reconciler resolves and finishes
them, so that they need not wait for the next check on the shard, or for the caller to settle again."""

import logging

from redis.exceptions import ResponseError

from limits.store.client import ClusterClient
from ratelimit_enforcer.domain.reservations import ReservationId
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.completer import Resolver
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError, StoreUnavailable, is_outage, translating_redis_errors
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.reservations import Reservations, SettledRecord

log = logging.getLogger(__name__)


def resolve_all(resolver: Resolver, redis: ClusterClient, keys: Keys, timeout: float) -> int:
    """Resolves the overdue entries of all shards whose masters are available, with a timeout of ``timeout``
    seconds for each call. Returns the number of entries. Raises :class:`StoreUnavailable` if no node of the
    Cluster answers."""
    return sum(_resolve(resolver, shard, timeout) for shard in _shards_with_overdue(redis, keys))


def _resolve(resolver: Resolver, shard: int, timeout: float) -> int:
    try:
        return resolver.resolve(shard, timeout)
    except (StoreUnavailable, ResponseError) as error:
        _report_unread(error)
        return 0


def _shards_with_overdue(redis: ClusterClient, keys: Keys) -> list[int]:
    source = scripts.load("overdue").source
    with translating_redis_errors():
        pipeline = redis.pipeline()
        for pending in keys.pending:
            pipeline.eval(source, 2, *pending, 1)
        answers = pipeline.execute(raise_on_error=False)
    return [shard for shard, answer in enumerate(answers) if _has_overdue(answer)]


UNFINISHED_AFTER_US = 5_000_000
"""A settlement is left to the process that settles for this time, in microseconds."""


def finish_all(reservations: Reservations, redis: ClusterClient, keys: Keys, now: int, timeout: float) -> int:
    """Settles the other parts of reservations whose first part was settled, but whose process was lost before it had
    settled all; with a timeout of ``timeout`` seconds for each. ``now``: the store's time in microseconds since 1970.
    Returns the number of reservations. Raises :class:`StoreUnavailable` if no node of the Cluster answers."""
    return sum(_finish(reservations, shard, now, timeout) for shard in _shards_with_unfinished(redis, keys))


def _finish(reservations: Reservations, shard: int, now: int, timeout: float) -> int:
    try:
        found = reservations.unfinished(shard, now - UNFINISHED_AFTER_US, Deadline(timeout))
    except (StoreError, ResponseError) as error:
        _report_unread(error)
        return 0
    return sum(_finish_one(reservations, each, now, timeout) for each in found)


def _finish_one(reservations: Reservations, found: ReservationId, now: int, timeout: float) -> bool:
    """One whose other parts are unavailable or damaged does not stop the others."""
    try:
        record = reservations.read(found, Deadline(timeout))
        if not isinstance(record, SettledRecord):
            reservations.forget(found, Deadline(timeout))
            return False
        reservations.finish(found, record, now, Deadline(timeout))
    except (StoreError, ResponseError) as error:
        _report_unread(error)
        return False
    return True


def _shards_with_unfinished(redis: ClusterClient, keys: Keys) -> list[int]:
    with translating_redis_errors():
        pipeline = redis.pipeline()
        for key in keys.unfinished_settlements:
            pipeline.exists(key)
        answers = pipeline.execute(raise_on_error=False)
    return [shard for shard, answer in enumerate(answers) if answer == 1]


def _has_overdue(answer: object) -> bool:
    if isinstance(answer, Exception):
        _report_unread(answer)
        return False
    return isinstance(answer, list) and len(answer) > 1


def _report_unread(error: Exception) -> None:
    """Reports an invalid entry without stopping the others."""
    level = logging.INFO if is_outage(error) else logging.ERROR
    log.log(level, "pending_not_read: %s", error, extra={"event": "pending_not_read", "error": str(error)})
