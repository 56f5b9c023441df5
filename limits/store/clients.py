"""Client records in Redis, written by the publisher and the reconciler."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from limits.domain.client import ClientRecord
from limits.store import scripts
from limits.store.buckets import BUCKETS, bucket_of
from limits.store.cluster_client import PatientClient
from limits.store.errors import outages_named
from limits.store.keys import LOADING_FIELD, Keys, client_field

BATCH = 8_000
"""Records that are written in one go: one pipeline, at most one script call for each bucket."""


class ClientWriter:
    """Puts client records where the servers find them. All methods raise
    :class:`~limits.store.errors.StoreUnavailable`."""

    def __init__(self, redis: PatientClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def put(self, records: Iterable[ClientRecord]) -> int:
        """Writes records, each unless a newer one is there. Returns how many were written."""
        return sum(self._put_batch(batch) for batch in _batches(records))

    def load_all(self, records: Iterable[ClientRecord], buckets: Collection[int] = range(BUCKETS)) -> bool:
        """Writes the records of all clients of these buckets and marks the buckets as complete.
        Returns whether all are; one that was emptied meanwhile is not. Other clients are left out."""
        loading = secrets.token_hex(8)
        self._begin_loading(loading, buckets)
        self.put(record for record in records if bucket_of(record.key) in buckets)
        return self._finish_loading(loading, buckets)

    def _put_batch(self, records: Sequence[ClientRecord]) -> int:
        by_bucket: dict[int, list[str]] = defaultdict(list)
        for record in records:
            by_bucket[bucket_of(record.key)] += (client_field(record.key), record.to_text())
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            source = scripts.load("put_clients").source
            for bucket, arguments in by_bucket.items():
                pipeline.eval(source, 1, self._keys.buckets[bucket], *arguments)
            return sum(pipeline.execute())

    def _begin_loading(self, loading: str, buckets: Collection[int]) -> None:
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in buckets:
                pipeline.hset(self._keys.buckets[bucket], LOADING_FIELD, loading)
            pipeline.execute()

    def _finish_loading(self, loading: str, buckets: Collection[int]) -> bool:
        source = scripts.load("finish_loading").source
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in buckets:
                pipeline.eval(source, 1, self._keys.buckets[bucket], loading)
            return all(pipeline.execute())


def _batches(records: Iterable[ClientRecord]) -> Iterator[list[ClientRecord]]:
    rows = iter(records)
    while batch := list(islice(rows, BATCH)):
        yield batch
