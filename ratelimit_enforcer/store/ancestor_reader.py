"""Reads the records of a client and its ancestors from Redis."""

from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import Keys, client_field, shard_of


class AncestorReader:
    """Reads records of clients below a parent, which are in the shard of the root."""

    def __init__(self, connections: StoreConnections, keys: Keys) -> None:
        self._connections = connections
        self._keys = keys
        self._script = scripts.load("read_ancestors")

    def read(self, client: str, shard_key: str, deadline: Deadline) -> list[str | None]:
        """The record of a client and those of its ancestors, from the client up, as far as they are in the shard of
        ``shard_key``. The last one is that of the root, a tombstone, a pointer, damaged, or missing (None). Raises
        :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
        keys = [self._keys.shards[shard_of(shard_key)]]
        found = self._script.run(self._connections, keys, [client_field(client)], deadline)
        return [None if text is None else text.decode(errors="replace") for text in found]
