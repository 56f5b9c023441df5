"""Keys and commands of clients are distributed evenly over the masters of a Cluster."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ratelimit_enforcer.engine import CheckRequest
from tests.engine.rules import simple
from tests.faults.mode import LONG
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology

CLIENTS = 100_000 if LONG else 10_000


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterTopology]:
    # On a busy machine the masters may reply to each other too late for the node timeout of the other tests.
    cluster = ClusterTopology(tmp_path, replicas=0, options=("--cluster-node-timeout", "30000")).start()
    yield cluster
    cluster.stop()


def test_each_of_three_masters_gets_a_third_within_ten_percent(cluster: ClusterTopology) -> None:
    store = Store(cluster.url, "own")
    store.publish(simple(10))
    store.load()
    engine = store.engine()
    for server in cluster.masters:
        server.client.config_resetstat()
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda number: engine.check(CheckRequest(f"client-{number}", "search")), range(CLIENTS))
        assert [answer for answer in answers if answer.degraded or not answer.allowed] == []
    keys = [server.client.dbsize() for server in cluster.masters]
    commands = [server.client.info("commandstats")["cmdstat_evalsha"]["calls"] for server in cluster.masters]
    print(f"{CLIENTS} clients over three masters: keys {keys}, commands {commands}")
    assert sum(keys) >= CLIENTS
    assert sum(commands) >= CLIENTS
    for share in (keys, commands):
        assert max(share) <= 1.1 * sum(share) / 3
        assert min(share) >= 0.9 * sum(share) / 3
