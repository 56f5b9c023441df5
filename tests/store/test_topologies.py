"""The store under Sentinel or as a Cluster: which server is used, and the loss of a master."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from limits.store.client import ClusterClient
from limits.store.ruleset_writer import replicas_lag
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.connections.cluster import ClusterConnections
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.connections.sentinels import Sentinels
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import SlotMoving, StoreUnavailable, translating_redis_errors
from ratelimit_enforcer.store.keys import Keys, shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import record, simple
from tests.support.forking import holds_in_child
from tests.support.lasting_clusters import LastingCluster, lasting_cluster
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology, SentinelTopology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("store-topologies")

DEADLINE = 0.5


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingCluster]:
    options = ("--cluster-require-full-coverage", "no")
    with lasting_cluster(tmp_path_factory.mktemp("clusters"), options=options) as lasting:
        yield lasting


@pytest.fixture
def cluster(lasting: LastingCluster) -> ClusterTopology:
    return lasting.ready()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[SentinelTopology]:
    sentinel = SentinelTopology(tmp_path).start()
    yield sentinel
    sentinel.stop()


def a_store(url: str, quota: int) -> Store:
    store = Store(url, "own")
    store.publish(simple(quota))
    store.load(record("acme", 1))
    return store


def check(engine: Engine, client: str = "acme", *, consume: bool = True) -> tuple[bool, bool]:
    """(allowed, degraded)"""
    answer = engine.check(CheckRequest(client, "search"), consume=consume)
    return answer.allowed, answer.degraded


def is_shared_again(engine: Engine, client: str = "acme") -> bool:
    return check(engine, client, consume=False)[1] is False


def clients_of(store: Store, master: RedisServer, count: int = 20) -> list[str]:
    """Clients whose keys are on this master of a Cluster."""
    assert isinstance(store.redis, ClusterClient)
    found = []
    for number in range(10_000):
        client = f"client-{number}"
        if port_of(store.redis, store.keys.shards[shard_of(client)]) == master.port:
            found.append(client)
        if len(found) == count:
            return found
    raise AssertionError("This master holds no clients.")


def port_of(redis: ClusterClient, key: str) -> int:
    """The port of the master that has this key."""
    return int(redis.client_of(key).connection_pool.connection_kwargs["port"])


def test_a_cluster_decides_and_counts_each_request_once(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=50)
    engines = [store.engine(), store.engine()]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: check(engines[number % 2]), range(200)))
    assert Counter(answers) == {(True, False): 50, (False, False): 150}
    with ThreadPoolExecutor(16) as pool:
        everybody = list(pool.map(lambda number: check(engines[number % 2], f"client-{number}"), range(300)))
    assert Counter(everybody) == {(True, False): 300}


def test_the_loss_of_a_master_of_a_cluster_affects_only_its_clients(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    engine = store.engine(deadline=DEADLINE)
    lost, kept, _ = cluster.masters
    theirs, others = clients_of(store, lost), clients_of(store, kept)
    assert Counter(check(engine, client) for client in theirs + others) == {(True, False): 40}
    lost.kill()
    answer = engine.check(CheckRequest(theirs[0], "search"))
    assert (answer.degraded, answer.reason) == (True, Reason.STORE_UNAVAILABLE)
    assert Counter(check(engine, client) for client in others) == {(True, False): 20}
    wait_until(lambda: is_shared_again(engine, theirs[0]))
    assert Counter(check(engine, client) for client in theirs) == {(True, False): 20}
    left = [engine.check(CheckRequest(client, "search"), consume=False).limits[0].remaining for client in theirs]
    assert set(left) <= {8, 9}


def test_a_moved_slot_is_followed_within_the_same_check(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    engine = store.engine(deadline=DEADLINE)
    assert check(engine) == (True, False)
    old = cluster.masters[0]
    client = clients_of(store, old, 1)[0]
    assert check(engine, client) == (True, False)
    cluster.hand_over(old)
    assert check(engine, client) == (True, False)
    assert engine.check(CheckRequest(client, "search"), consume=False).limits[0].remaining == 8


def test_during_a_slot_migration_the_new_master_is_used(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    assert isinstance(store.redis, ClusterClient)
    connections = store_connections_of(parse(cluster.url), 4, store.keys)
    old, new, _ = cluster.masters
    client = clients_of(store, old, 1)[0]
    key = store.keys.counter(shard_of(client), "some", client)
    with moving(key, old, new):
        assert connections.execute("INCR", key, key=key, deadline=Deadline(DEADLINE)) == 1
        assert connections.execute("INCR", key, key=key, deadline=Deadline(DEADLINE)) == 2
        assert store.redis.incr(key) == 3
        there = store.keys.shards[shard_of(client)]
        with pytest.raises(SlotMoving):
            connections.execute("EVAL", "return 1", 2, there, key, key=key, deadline=Deadline(DEADLINE))
        assert not connections.outages.is_open


@contextmanager
def moving(key: str, old: RedisServer, new: RedisServer) -> Iterator[None]:
    """The slot of this key is being migrated from one master to another."""
    names = {server: server.client.execute_command("CLUSTER MYID").decode() for server in (old, new)}
    slot = old.client.execute_command("CLUSTER KEYSLOT", key)
    new.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[old])
    old.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[new])
    try:
        yield
    finally:
        for server in (old, new):
            server.client.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")


def test_a_demoted_master_does_not_confirm_a_publication(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    assert isinstance(store.redis, ClusterClient)
    assert not replicas_lag(store.redis, store.keys)
    demoted = cluster.masters[0]
    with remembering(store.redis):
        cluster.hand_over(demoted)
        wait_until(lambda: demoted.client.info("replication")["role"] == "slave")
        assert replicas_lag(store.redis, store.keys)


def test_a_master_whose_probed_slot_is_migrating_does_not_confirm_a_publication(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    assert isinstance(store.redis, ClusterClient)
    assert not replicas_lag(store.redis, store.keys)
    old, new, _ = cluster.masters
    probed = next(probe for probe in reversed(store.keys.probes) if port_of(store.redis, probe) == old.port)
    store.redis.delete(probed)
    with moving(probed, old, new):
        assert replicas_lag(store.redis, store.keys)


def test_a_redirection_loop_is_an_unavailable_store_for_the_control_plane(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    assert isinstance(store.redis, ClusterClient)
    key = "a-key-without-a-value"
    holder = next(server for server in cluster.masters if server.port == port_of(store.redis, key))
    other = next(server for server in cluster.masters if server is not holder)
    expected = pytest.raises(StoreUnavailable, match="in a loop")
    with nowhere(key, holder, other), expected, translating_redis_errors():
        store.redis.get(key)
    assert store.redis.get(key) is None


@contextmanager
def nowhere(key: str, *masters: RedisServer) -> Iterator[None]:
    """Each of the two masters redirects to the other one for the slot of this key."""
    clients = [server.client for server in masters]
    names = [client.execute_command("CLUSTER MYID").decode() for client in clients]
    slot = clients[0].execute_command("CLUSTER KEYSLOT", key)
    for client, other in zip(clients, reversed(names), strict=True):
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", other)
    try:
        yield
    finally:
        for client in clients:
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[0])


@contextmanager
def remembering(redis: ClusterClient) -> Iterator[None]:
    """The client keeps its slot map meanwhile, as it does for a second after reading it."""
    redis._map_expires_at = math.inf
    try:
        yield
    finally:
        redis._map_expires_at = 0.0


def test_checks_wait_only_once_for_a_completely_unavailable_cluster(cluster: ClusterTopology) -> None:
    store = a_store(cluster.url, quota=10)
    connections = store_connections_of(parse(cluster.url), 4, store.keys)
    assert isinstance(connections, ClusterConnections)
    cluster.stop()
    engine = store.engine(deadline=DEADLINE)
    with pytest.raises(Exception, match="no ruleset has been loaded"):
        check(engine)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(Exception, match="no ruleset has been loaded"):
            check(engine)
    assert time.monotonic() - began < 50 * DEADLINE / 2


def test_failover_after_the_loss_of_the_master(sentinel: SentinelTopology) -> None:
    store = a_store(sentinel.url, quota=10)
    engine = store.engine(deadline=DEADLINE)
    assert check(engine) == (True, False)
    replicas_have_everything(sentinel.master)
    sentinel.master.kill()
    assert check(engine)[1]
    wait_until(lambda: is_shared_again(engine))
    assert engine.check(CheckRequest("acme", "search"), consume=False).limits[0].remaining == 9
    store.publish(simple(5))
    assert engine.check(CheckRequest("acme", "search"), consume=False).ruleset == 2


def replicas_have_everything(master: RedisServer) -> None:
    with master.client as client:
        client.set("marker", 1)
        assert client.wait(2, 10_000) == 2


def test_a_replaced_master_is_abandoned_although_it_still_answers(sentinel: SentinelTopology) -> None:
    store = a_store(sentinel.url, quota=10)
    engine = store.engine(deadline=DEADLINE)
    assert check(engine) == (True, False)
    old = sentinel.master
    sentinel.sentinels[0].client.sentinel_failover(sentinel.service)
    wait_until(lambda: sentinel.master is not old)
    wait_until(lambda: is_shared_again(engine) and connected_to(sentinel.master) > 0)
    store.publish(simple(5))
    assert engine.check(CheckRequest("acme", "search"), consume=False).ruleset == 2


def connected_to(server: RedisServer) -> int:
    with server.client as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_the_newest_configuration_of_the_sentinels_is_used(sentinel: SentinelTopology) -> None:
    """One Sentinel hangs during a failover, and after it still reports the old master."""
    old, asleep = sentinel.master, sentinel.sentinels[0]
    asleep.pause()
    sentinel.sentinels[1].client.sentinel_failover(sentinel.service)

    def found() -> int:
        return Sentinels(parse(sentinel.url)).find(Deadline(3))[1]

    wait_until(lambda: found() != old.port)
    asleep.resume()
    assert found() != old.port


def test_a_forked_child_opens_its_own_connections(cluster: ClusterTopology) -> None:
    keys = Keys("own")
    connections = store_connections_of(parse(cluster.url), 4, keys)
    assert connections.execute("INCR", "n", key="n", deadline=Deadline(DEADLINE)) == 1
    assert holds_in_child(lambda: connections.execute("INCR", "n", key="n", deadline=Deadline(DEADLINE)) == 2)
    assert connections.execute("INCR", "n", key="n", deadline=Deadline(DEADLINE)) == 3
