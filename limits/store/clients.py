"""Client records in Redis, written by the publisher and the reconciler; and resets of a client's counters.

The record of a client is in the shard of the client's root. If a client was moved, the new records are written first,
with those of their ancestors; then the pointers in the shards of earlier roots, at which moment the move takes effect
for a process that knows the client there; then the pointers in the shards of the clients' own keys.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from limits.store.client import ClusterClient, ControlClient, script_source
from limits.store.grants import GrantState, GrantWriter
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.store.errors import translating_redis_errors
from ratelimit_enforcer.store.keys import LOADING_FIELD, SHARDS, Keys, client_field, places_of, shard_of

BATCH_SIZE = 8_000
"""Records that are written together: one pipeline, at most one script call for each shard."""


@dataclass(frozen=True, slots=True)
class PlacedClient:
    """A client's record with the key of the client's root, and with the keys of earlier roots in whose shards there
    may still be a record. ``ledger``: id of a grant → units consumed and returned; grants that were not used are
    missing."""

    record: ClientRecord
    root: str
    earlier_roots: frozenset[str] = frozenset()
    ledger: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def home(self) -> int:
        """The shard of the record."""
        return shard_of(self.root)

    @property
    def pointer(self) -> ClientRecord:
        """The entry in other shards: a pointer to the root, or the tombstone of a deleted client."""
        record = self.record
        return record if record.deleted else ClientRecord(record.key, record.revision, root=self.root)

    @property
    def earlier_shards(self) -> set[int]:
        """Shards that may still have a record."""
        return {shard_of(root) for root in self.earlier_roots} - {self.home}

    @property
    def grants(self) -> GrantState:
        """What the ledger knows of the use of the record's grants, of which there is at least one."""
        figures = {grant.id: self.ledger.get(grant.id, (0, 0)) for grant in self.record.grants}
        latest = max(grant.ends_at for grant in self.record.grants)
        return GrantState(self.record.key, self.home, figures, latest, frozenset(self.earlier_shards))

    @property
    def own_shards(self) -> set[int]:
        """The shard of the client's own key, if it is not that of the record."""
        return {shard_of(self.record.key)} - {self.home}


def as_root(record: ClientRecord) -> PlacedClient:
    """A client that never had a parent."""
    return PlacedClient(record, record.key)


class ClientWriter:
    """Writes client records to their shards. All methods raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._grants = GrantWriter(redis, keys)

    def put(self, clients: Iterable[PlacedClient], shards: Collection[int] = range(SHARDS)) -> int:
        """Writes the record of each client, unless a newer one is stored, and the pointers to it; what belongs to
        other ``shards`` is left out. Ancestors of these clients must be stored, or be among the clients before the
        next multiple of :data:`BATCH_SIZE`. Returns how many records were written."""
        return sum(self._put_batch(batch, shards) for batch in _batches(clients))

    def load_all(self, clients: Iterable[PlacedClient], shards: Collection[int] = range(SHARDS)) -> bool:
        """Writes all clients of these shards and marks the shards as complete. Returns whether all shards are
        complete; a shard that was emptied meanwhile is not."""
        loading = secrets.token_hex(8)
        self._begin_loading(loading, shards)
        self.put(clients, shards)
        return self._finish_loading(loading, shards)

    def _put_batch(self, clients: Sequence[PlacedClient], shards: Collection[int]) -> int:
        records = [(client.home, client.record) for client in clients]
        earlier = [(shard, client.pointer) for client in clients for shard in client.earlier_shards]
        own = [(shard, client.pointer) for client in clients for shard in client.own_shards]
        # Before the records: a grant without figures admits nothing.
        self._grants.put([client.grants for client in clients if client.record.grants and client.home in shards])
        written, _, _ = (self._write(entries, shards) for entries in (records, earlier, own))
        return written

    def _write(self, entries: Iterable[tuple[int, ClientRecord]], shards: Collection[int]) -> int:
        by_shard: dict[int, list[str]] = defaultdict(list)
        for shard, record in entries:
            if shard in shards:
                by_shard[shard] += (client_field(record.key), record.to_text())
        if not by_shard:
            return 0
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


def _batches(clients: Iterable[PlacedClient]) -> Iterator[list[PlacedClient]]:
    rows = iter(clients)
    while batch := list(islice(rows, BATCH_SIZE)):
        yield batch


class CounterResetter:
    """Resets the counters of one client at a time to the unused state."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def erase(
        self, owner: str, policies: Iterable[str], with_attributes: Collection[str] = (), *, shard_key: str = ""
    ) -> int:
        """Resets a client's counters of these policies in one command, and frees their places; cost
        that requests consumed before is no longer refunded. ``owner``: the name under which they are stored
        (:func:`~ratelimit_enforcer.domain.client.counter_owners`). ``with_attributes``: policies that count values of
        attributes; their counters are found by a scan of the server's keys, and reset a thousand at a time.
        ``shard_key``: the root of a client below a parent. Returns the number of counters that existed. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
        shard = shard_of(shard_key or owner)
        counters = [self._keys.counter(shard, policy, owner) for policy in policies]
        with translating_redis_errors():
            if with_attributes:
                counters += [self._keys.attribute_values(shard, policy, owner) for policy in with_attributes]
                counters += self._attribute_counters(shard, owner)
            batches = (counters[start : start + BATCH_SIZE] for start in range(0, len(counters), BATCH_SIZE))
            return sum(map(self._erase, batches))

    def _erase(self, counters: Sequence[str]) -> int:
        """With the places of concurrency limits. A later counter of the same name has another beginning, so that
        nothing is refunded into it."""
        self._redis.unlink(*map(places_of, counters))
        return int(self._redis.unlink(*counters))

    def _attribute_counters(self, shard: int, owner: str) -> Iterator[str]:
        prefix = self._keys.attribute_counters(shard)
        server = self._redis.client_of(prefix) if isinstance(self._redis, ClusterClient) else self._redis
        pattern = f"{_escaped(prefix)}*:{_escaped(owner)}"
        for key in server.scan_iter(match=pattern, count=1_000):
            name = key.decode(errors="surrogateescape")
            # A client's key may end with a colon and another client's key.
            if name.removeprefix(prefix).split(":", 2)[2] == owner:
                yield name


def _escaped(text: str) -> str:
    """The text for a pattern of SCAN, in which some characters have a meaning."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)
