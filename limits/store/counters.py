"""Forgetting the counters of a client."""

from collections.abc import Iterable

from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.cluster_client import PatientClient
from limits.store.errors import outages_named
from limits.store.keys import Keys


class CounterEraser:
    """Makes counters as if they had never been used."""

    def __init__(self, redis: PatientClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def erase(self, client: str, policies: Iterable[str]) -> int:
        """Forgets the client's counters for these policies, all in one command; what requests have
        consumed from them is not refunded any more. Returns how many there were. Raises
        :class:`~limits.store.errors.StoreUnavailable`."""
        bucket = bucket_of(client)
        counters = [self._keys.counter(bucket, policy, client) for policy in policies]
        keys = (self._keys.pending[bucket][1], *counters)
        with outages_named():
            return int(self._redis.eval(scripts.load("erase").source, len(keys), *keys)) if counters else 0
