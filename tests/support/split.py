"""A real Cluster on which a client and a global policy lie on different masters, and ways to stop a request
in between: a master that does not answer holds it where it is."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from limits.domain.decision import Decision
from limits.domain.limit import Limit
from limits.domain.ruleset import Policy
from limits.domain.words import OnStoreFailure, Partition
from limits.enforcement import CheckRequest, Engine
from limits.store.addresses import parse
from limits.store.buckets import bucket_of
from limits.store.cluster_client import ClusterClient
from limits.store.connection import hot_connections_of
from limits.store.pending import PendingEntries
from limits.store.resolver import Resolver
from ratelimit_platform.embedded.redis import RedisServer
from tests.enforcement.rules import policy, ruleset
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


class SplitWorld:
    """Three masters; ``ours`` holds the client, ``theirs`` the counter of the global policy."""

    def __init__(self, folder: Path, *policies: Policy) -> None:
        options = ("--cluster-require-full-coverage", "no")
        self.topology = ClusterTopology(folder, replicas=0, options=options).start()
        self.store = Store(self.topology.url, "own")
        self._rules = ruleset(*(policies or (own(), shared())))
        self.store.publish(self._rules)
        self.store.load()
        self.theirs = self._master_of(SHARED)
        names = (f"client-{number}" for number in range(1_000))
        self.client = next(name for name in names if self._master_of(name) is not self.theirs)
        self.ours = self._master_of(self.client)

    def _master_of(self, name: str) -> RedisServer:
        assert isinstance(self.store.redis, ClusterClient)
        redis = self.store.redis.client_of(self.store.keys.buckets[bucket_of(name)])
        port = redis.connection_pool.connection_kwargs["port"]
        return next(server for server in self.topology.servers if server.port == port)

    def stop(self) -> None:
        self.topology.stop()

    def fill_again(self) -> None:
        """Brings rules and clients to a master that came back empty."""
        self.store.publish(self._rules)
        self.store.load()

    def engine(self, deadline: float) -> Engine:
        """One that has asked every master before."""
        engine = self.store.engine(deadline=60)
        assert not self.ask(engine, consume=False).degraded
        engine._deadline = deadline
        return engine

    def ask(self, engine: Engine, *, consume: bool = True) -> Decision:
        return engine.check(CheckRequest(self.client, "search"), consume=consume)

    @contextmanager
    def between_parts(self, engine: Engine) -> Iterator["Future[Decision]"]:
        """A check whose client's part is consumed while the master of the global policy hangs: it goes on,
        with that part, when the block ends."""
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
        """How many entries there are in the bucket of the client or the policy."""
        return len(self.entries(name))

    def entries(self, name: str) -> set[bytes]:
        """The entries in the bucket of the client or the policy. Only the master that holds it is asked,
        since the other one may hang."""
        with (self.theirs if name == SHARED else self.ours).client as redis:
            return set(redis.hkeys(self.store.keys.pending[bucket_of(name)][1]))

    def used(self) -> tuple[int, int]:
        """What the client has used of its own quota, and everybody of the global one."""
        states = self.ask(self.store.engine(deadline=60), consume=False).limits
        left = {state.policy: state.limit.quota - state.remaining for state in states}
        return left["own"], left[SHARED]

    def counted(self) -> Counter[tuple[str, str]]:
        """(kind, policy) → how many, but for crossings."""
        totals: Counter[tuple[str, str]] = Counter()
        for key in self.store.keys.usage:
            for field, amount in self.store.redis.hgetall(key).items():
                _, kind, _, slug, _ = field.decode().split("\n")
                if not kind.isdigit():
                    totals[kind, slug] += int(amount)
        return totals

    def resolve(self) -> int:
        """One pass over what is overdue, as the reconciler makes it."""
        assert isinstance(self.store.redis, ClusterClient)
        hot = hot_connections_of(parse(self.store.url), 4, self.store.keys)
        return Resolver(PendingEntries(hot, self.store.keys, 128)).resolve_all(self.store.redis, self.store.keys, 10)
