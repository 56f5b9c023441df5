"""The engine of a process, as the settings configure it."""

from ratelimit_enforcer.conf import once_per_settings, setting
from ratelimit_enforcer.engine.engine import Engine
from ratelimit_enforcer.engine.fallback import Fallback
from ratelimit_enforcer.engine.ruleset_cache import RulesetCache
from ratelimit_enforcer.per_process import once
from ratelimit_enforcer.store.ancestor_reader import AncestorReader
from ratelimit_enforcer.store.connections.cluster import ClusterConnections
from ratelimit_enforcer.store.connections.factory import store_connections
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.decider import COUNTS_PER_SHARD, Decider
from ratelimit_enforcer.store.heartbeats import Heartbeats
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.reservations import Reservations
from ratelimit_enforcer.store.ruleset_reader import RulesetReader
from ratelimit_enforcer.store.scripts.packing import MAX_VALUES
from ratelimit_enforcer.store.split_decider import SplitDecider
from ratelimit_enforcer.store.usage import UsageWriter


@once_per_settings
def get_engine() -> Engine:
    """The engine of this process, as ``RATELIMIT_PLATFORM`` configures it. Raises ``ImproperlyConfigured``."""
    names = ("NAMESPACE", "CHECK_DEADLINE", "CLIENT_CACHE_SIZE", "COUNTS_PER_BUCKET", "ATTRIBUTE_VALUES")
    return _engine(store_connections(), *map(setting, names))


@once
def _engine(
    connections: StoreConnections,
    namespace: str,
    deadline: float,
    cache_size: int,
    counts_per_shard: int,
    max_values: int,
) -> Engine:
    return make_engine(
        connections,
        Keys(namespace),
        deadline=deadline,
        cache_size=cache_size,
        counts_per_shard=counts_per_shard,
        max_values=max_values,
    )


def make_engine(
    connections: StoreConnections,
    keys: Keys,
    *,
    deadline: float,
    cache_size: int,
    counts_per_shard: int = COUNTS_PER_SHARD,
    max_values: int = MAX_VALUES,
) -> Engine:
    """An engine that uses these connections. ``deadline`` is in seconds and covers one whole check;
    ``max_values``: see :data:`~ratelimit_enforcer.store.scripts.packing.MAX_VALUES`."""
    kind = SplitDecider if isinstance(connections, ClusterConnections) else Decider
    return Engine(
        kind(connections, keys, counts_per_shard),
        RulesetCache(RulesetReader(connections, keys), cache_size, max_values),
        AncestorReader(connections, keys),
        Fallback(connections.outages, Heartbeats(connections, keys)),
        UsageWriter(connections, keys, counts_per_shard),
        Reservations(connections, keys, counts_per_shard),
        deadline=deadline,
    )
