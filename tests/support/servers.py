"""Several servers in one process: engines that share only a Redis."""

import weakref
from dataclasses import replace

from limits.store.client import control_client_of
from limits.store.clients import ClientWriter, PlacedClient
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.ruleset import Ruleset, Version, digest_of
from ratelimit_enforcer.engine import Engine
from ratelimit_enforcer.engine.factory import make_engine
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import Keys

LONG_DEADLINE = 10.0


class Store:
    """The namespace of one platform in a Redis, to which tests publish without a database."""

    def __init__(self, url: str, namespace: str, epoch: str = "epoch") -> None:
        self.url = url
        self.redis = control_client_of(parse(url))
        # Before Python warns about open sockets.
        weakref.finalize(self, self.redis.close)
        self.keys = Keys(namespace)
        self.epoch = epoch
        self.rules = RulesetWriter(self.redis, self.keys)
        self.clients = ClientWriter(self.redis, self.keys)
        self.sequence = 0
        self._records: dict[str, ClientRecord] = {}

    def publish(self, ruleset: Ruleset) -> Version:
        """Publishes the next version; it is live when this returns."""
        data = ruleset.to_bytes()
        self.sequence += 1
        version = Version(self.epoch, self.sequence, digest_of(data))
        return self.rules.publish(version, data, lambda current: True)

    def load(self, *records: ClientRecord) -> None:
        """Writes these records as the complete set of clients."""
        self._records = {record.key: record for record in records}
        assert self.clients.load_all(map(self._placed, records))

    def put(self, *records: ClientRecord) -> int:
        """Writes changed records, in the shard of the root that follows from the parents. Returns how many were not
        older than those in the store."""
        earlier = {record.key: self._root_of(record.key) for record in records if record.key in self._records}
        self._records |= {record.key: record for record in records}
        placed = [
            replace(self._placed(each), earlier_roots=frozenset([earlier.get(each.key, each.key)])) for each in records
        ]
        return self.clients.put(placed)

    def _placed(self, record: ClientRecord) -> PlacedClient:
        return PlacedClient(record, self._root_of(record.key))

    def _root_of(self, key: str) -> str:
        parent = self._records[key].parent
        return self._root_of(parent) if parent else key

    def engine(self, *, deadline: float = LONG_DEADLINE, cache_size: int = 1_000, connections: int = 32) -> Engine:
        """A new engine with separate connections, as in another process."""
        connections = store_connections_of(parse(self.url), connections, self.keys)
        return make_engine(connections, self.keys, deadline=deadline, cache_size=cache_size)
