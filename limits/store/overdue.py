"""Overdue pending entries in all shards of a Cluster. The reconciler resolves them, so that they need not
wait for the next check on the shard."""

import logging

from redis.exceptions import ResponseError

from limits.store.client import ClusterClient
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.completer import Resolver
from ratelimit_enforcer.store.errors import StoreUnavailable, is_outage, translating_redis_errors
from ratelimit_enforcer.store.keys import Keys

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


def _has_overdue(answer: object) -> bool:
    if isinstance(answer, Exception):
        _report_unread(answer)
        return False
    return isinstance(answer, list) and len(answer) > 1


def _report_unread(error: Exception) -> None:
    """Reports an invalid entry without stopping the others."""
    level = logging.INFO if is_outage(error) else logging.ERROR
    log.log(level, "pending_not_read: %s", error, extra={"event": "pending_not_read", "error": str(error)})
