"""The number of unsettled reservations in all shards."""

from dataclasses import dataclass

from limits.store.client import ControlClient, script_source
from ratelimit_enforcer.store.errors import translating_redis_errors
from ratelimit_enforcer.store.keys import Keys


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
