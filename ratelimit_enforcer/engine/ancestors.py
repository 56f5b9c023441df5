"""Finds the ancestors of a client: at the first check of the client in a process, and after a client was moved."""

from collections.abc import Iterable, Iterator

from ratelimit_enforcer.domain.client import MAX_LEVELS, ClientRecord
from ratelimit_enforcer.engine.client_cache import ClientCache
from ratelimit_enforcer.engine.ruleset_cache import parse_record
from ratelimit_enforcer.store.ancestor_reader import AncestorReader
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AncestorsNotLoaded

MAX_READS = MAX_LEVELS + 2
"""One pointer leads to the root. There may be more while clients are being moved."""


def load_ancestors(reader: AncestorReader, clients: ClientCache, client: str, deadline: Deadline) -> None:
    """Reads the records of a client and its ancestors into the cache. A client without a record in its own shard is
    removed from the cache.

    Raises :class:`AncestorsNotLoaded` if a record is missing, because the store is being loaded, and
    :class:`~ratelimit_enforcer.store.errors.StoreDataError` if one is damaged.
    """
    cached = clients.get(client)
    shard_key = cached.root if cached and cached.root else client
    for _ in range(MAX_READS):
        records = list(_parsed(client, reader.read(client, shard_key, deadline)))
        last = records[-1]
        if last.root is not None:
            shard_key = last.root
        elif last.is_registered and last.parent is None:
            for record in records:
                clients.put(record)
            return
        elif last is not records[0]:
            break
        elif shard_key == client:
            clients.remove(client)
            return
        else:
            # The pointer was that of an earlier root.
            shard_key = client
    raise AncestorsNotLoaded("The store has not loaded the ancestors of this client yet.")


def _parsed(client: str, texts: Iterable[str | None]) -> Iterator[ClientRecord]:
    key: str | None = client
    for text in texts:
        record = parse_record(key or "", text)
        yield record
        key = record.parent
