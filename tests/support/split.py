"""A real Cluster with a client and a global policy on different masters, and ways to stop a request between
its parts by pausing a master."""

import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from limits.store.client import ClusterClient
from limits.store.overdue import resolve_all
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import OnStoreFailure, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.completer import Resolver
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.pending import PendingEntries
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import policy, ruleset
from tests.support.counts import counted
from tests.support.lasting_clusters import LastingCluster, lasting_cluster
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology
from tests.support.waiting import wait_until

SHARED = "everyone"
QUOTA = 1_000


def own(quota: int = QUOTA, **fields: object) -> Policy:
    return policy("own", Limit(quota, 3_600), on_store_failure=OnStoreFailure.DENY, **fields)


def shared(quota: int = QUOTA, **fields: object) -> Policy:
    deny = OnStoreFailure.DENY
    return policy(SHARED, Limit(quota, 3_600), partition=Partition.GLOBAL, on_store_failure=deny, **fields)


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingCluster]:
    """The Cluster of all tests in a file, one after another. The node timeout is so long that a paused master is not
    marked as failed: no replica could replace it, and its return would take four seconds."""
    options = ("--cluster-require-full-coverage", "no", "--cluster-node-timeout", "15000")
    with lasting_cluster(tmp_path_factory.mktemp("clusters"), replicas=0, options=options) as lasting:
        yield lasting


class SplitWorld:
    """Three masters; ``ours`` has the client, ``theirs`` the counter of the global policy."""

    def __init__(self, topology: ClusterTopology, *policies: Policy) -> None:
        self.topology = topology
        # A separate namespace, so that engines of an earlier test have no effect here.
        self.store = Store(topology.url, f"own-{secrets.token_hex(4)}")
        self._rules = ruleset(*(policies or (own(), shared())))
        self.store.publish(self._rules)
        self.store.load()
        self.theirs = self._master_of(SHARED)
        names = (f"client-{number}" for number in range(1_000))
        self.client = next(name for name in names if self._master_of(name) is not self.theirs)
        self.ours = self._master_of(self.client)
        self._resolver = self._new_resolver()

    def _master_of(self, name: str) -> RedisServer:
        assert isinstance(self.store.redis, ClusterClient)
        redis = self.store.redis.client_of(self.store.keys.shards[shard_of(name)])
        port = redis.connection_pool.connection_kwargs["port"]
        return next(server for server in self.topology.servers if server.port == port)

    def fill_again(self) -> None:
        """Writes rules and clients to a master that restarted empty."""
        self.store.publish(self._rules)
        self.store.load()

    def engine(self, deadline: float) -> Engine:
        """An engine that already has connections to all masters."""
        engine = self.store.engine(deadline=60)
        assert not self.ask(engine, consume=False).degraded
        engine._deadline = deadline
        return engine

    def ask(self, engine: Engine, *, consume: bool = True) -> Decision:
        return engine.check(CheckRequest(self.client, "search"), consume=consume)

    @contextmanager
    def between_parts(self, engine: Engine) -> Iterator["Future[Decision]"]:
        """A check whose client's part is consumed while the master of the global policy is paused. The check continues
        when the block ends."""
        before = self.entries(self.client)
        self.theirs.pause()
        with ThreadPoolExecutor(1) as pool:
            try:
                asked = pool.submit(self.ask, engine)
                wait_until(lambda: bool(self.entries(self.client) - before))
                yield asked
            finally:
                self.theirs.resume()

    def pending(self, name: str) -> int:
        """The number of pending entries in the shard of the client or the policy."""
        return len(self.entries(name))

    def entries(self, name: str) -> set[bytes]:
        """The pending entries in the shard of the client or the policy, read only from its master, because the
        other one may be paused."""
        with (self.theirs if name == SHARED else self.ours).client as redis:
            return set(redis.hkeys(self.store.keys.pending[shard_of(name)][1]))

    def used(self) -> tuple[int, int]:
        """The usage of the client's own policy, and of the global policy."""
        states = self.ask(self.store.engine(deadline=60), consume=False).limits
        left = {state.policy: state.limit.quota - state.remaining for state in states}
        return left["own"], left[SHARED]

    def counted(self) -> Counter[tuple[str, str]]:
        """(kind, policy) → count, without quota thresholds."""
        return Counter({what: amount for what, amount in counted(self.store).items() if not what[0].isdigit()})

    def resolve(self) -> int:
        """Resolves overdue entries once, like the reconciler."""
        assert isinstance(self.store.redis, ClusterClient)
        return resolve_all(self._resolver, self.store.redis, self.store.keys, 10)

    def resolve_of(self, name: str) -> int:
        """The same for the shard of the client or the policy only, so that the other master is not called."""
        return self._resolver.resolve(shard_of(name), 10)

    def _new_resolver(self) -> Resolver:
        """A resolver that has already read the slot map."""
        connections = store_connections_of(parse(self.store.url), 4, self.store.keys)
        resolver = Resolver(PendingEntries(connections, self.store.keys, 128))
        assert resolver.resolve(0, 60) == 0
        return resolver
