"""Client records in Redis, written by the publisher and the reconciler; and resets of a client's counters."""

import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from limits.store.client import ClusterClient, ControlClient, script_source
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.store.errors import translating_redis_errors
from ratelimit_enforcer.store.keys import LOADING_FIELD, SHARDS, Keys, client_field, shard_of

BATCH_SIZE = 8_000
"""Records that are written together: one pipeline, at most one script call for each shard."""


class ClientWriter:
    """Writes client records to their shards. All methods raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def put(self, records: Iterable[ClientRecord]) -> int:
        """Writes each record unless a newer one is stored. Returns how many were written."""
        return sum(self._put_batch(batch) for batch in _batches(records))

    def load_all(self, records: Iterable[ClientRecord], shards: Collection[int] = range(SHARDS)) -> bool:
        """Writes the records of all clients of these shards and marks the shards as complete. Records of
        other shards are ignored. Returns whether all shards are complete; a shard that was emptied meanwhile
        is not."""
        loading = secrets.token_hex(8)
        self._begin_loading(loading, shards)
        self.put(record for record in records if shard_of(record.key) in shards)
        return self._finish_loading(loading, shards)

    def _put_batch(self, records: Sequence[ClientRecord]) -> int:
        by_shard: dict[int, list[str]] = defaultdict(list)
        for record in records:
            by_shard[shard_of(record.key)] += (client_field(record.key), record.to_text())
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            source = script_source("put_clients")
            for shard, arguments in by_shard.items():
                pipeline.eval(source, 1, self._keys.shards[shard], *arguments)
            return sum(pipeline.execute())

    def _begin_loading(self, loading: str, shards: Collection[int]) -> None:
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for shard in shards:
                pipeline.hset(self._keys.shards[shard], LOADING_FIELD, loading)
            pipeline.execute()

    def _finish_loading(self, loading: str, shards: Collection[int]) -> bool:
        source = script_source("finish_loading")
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for shard in shards:
                pipeline.eval(source, 1, self._keys.shards[shard], loading)
            return all(pipeline.execute())


def _batches(records: Iterable[ClientRecord]) -> Iterator[list[ClientRecord]]:
    rows = iter(records)
    while batch := list(islice(rows, BATCH_SIZE)):
        yield batch


class CounterResetter:
    """Resets the counters of one client at a time to the unused state."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def erase(self, client: str, policies: Iterable[str], with_attributes: Collection[str] = ()) -> int:
        """Resets the client's counters of these policies in one command; cost that requests consumed from
        them is no longer refunded. ``with_attributes``: policies that count values of attributes; their counters
        are found by a scan of the server's keys, and reset a thousand at a time. Returns the number of counters
        that existed. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
        shard = shard_of(client)
        counters = [self._keys.counter(shard, policy, client) for policy in policies]
        with translating_redis_errors():
            if with_attributes:
                counters += [self._keys.attribute_values(shard, policy, client) for policy in with_attributes]
                counters += self._attribute_counters(shard, client)
            batches = (counters[start : start + BATCH_SIZE] for start in range(0, len(counters), BATCH_SIZE))
            return sum(self._erase(shard, batch) for batch in batches)

    def _erase(self, shard: int, counters: Sequence[str]) -> int:
        keys = (self._keys.pending[shard][1], *counters)
        return int(self._redis.eval(script_source("erase"), len(keys), *keys))

    def _attribute_counters(self, shard: int, client: str) -> Iterator[str]:
        prefix = self._keys.attribute_counters(shard)
        server = self._redis.client_of(prefix) if isinstance(self._redis, ClusterClient) else self._redis
        pattern = f"{_escaped(prefix)}*:{_escaped(client)}"
        for key in server.scan_iter(match=pattern, count=1_000):
            name = key.decode(errors="surrogateescape")
            # A client's key may end with a colon and another client's key.
            if name.removeprefix(prefix).split(":", 2)[2] == client:
                yield name


def _escaped(text: str) -> str:
    """The text for a pattern of SCAN, in which some characters have a meaning."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)
