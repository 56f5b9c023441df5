"""Global policies on a Cluster with several masters: no limit is exceeded, and denied requests are refunded."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ratelimit_enforcer.domain.enums import ClientStatus, Mode, OnStoreFailure, Partition, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.connections.cluster import slot_of
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.split_decider import SplitDecider
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("global-on-a-cluster")

OWN = policy("own", per_hour(1_000), Limit(1_000, 60))
CLIENTS = [f"client-{number}" for number in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTopology]:
    topology = ClusterTopology(tmp_path_factory.mktemp("cluster"), replicas=0).start()
    yield topology
    topology.stop()


@pytest.fixture
def store(cluster: ClusterTopology, request: pytest.FixtureRequest) -> Store:
    return Store(cluster.url, request.node.name)


def everyone(quota: int, **fields: object) -> Policy:
    return policy("everyone", per_hour(quota), partition=Partition.GLOBAL, **fields)


def ready(store: Store, *policies: Policy) -> Engine:
    store.publish(ruleset(*policies))
    store.load(record("vip", 1, status=ClientStatus.EXEMPT))
    engine = store.engine()
    assert isinstance(engine._decider, SplitDecider)
    return engine


def used(engine: Engine, policy_slug: str, *clients: str) -> int:
    """The usage of a policy's first limit, summed over these clients."""
    total = 0
    for client in clients:
        states = engine.check(CheckRequest(client, "search"), consume=False).limits
        state = next(each for each in states if each.policy == policy_slug)
        total += state.limit.quota - state.remaining
    return total


def test_clients_and_the_shared_counter_are_in_different_slots(store: Store) -> None:
    others = [slot_of(store.keys.shards[shard_of(client)]) for client in CLIENTS]
    assert len(set(others)) > 20
    assert others.count(slot_of(store.keys.shared_counter("everyone"))) <= 1


def test_exactly_the_global_quota_is_admitted_and_the_rest_is_refunded(store: Store) -> None:
    ready(store, OWN, everyone(50))
    engines = [store.engine() for _ in range(3)]
    asked = [CheckRequest(CLIENTS[number % len(CLIENTS)], "search") for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: engines[at % 3].check(asked[at]), range(len(asked))))
    assert sum(answer.allowed for answer in answers) == 50
    assert not any(answer.degraded for answer in answers)
    assert used(engines[0], "own", *CLIENTS) == 50
    assert used(engines[0], "everyone", "anyone") == 50
    assert counted(store)["a", ""] == 50
    assert counted(store)["d", ""] == counted(store)["d", "everyone"] == 150


def test_a_request_denied_by_its_own_policy_consumes_no_global_quota(store: Store) -> None:
    engine = ready(store, policy("own", per_hour(2)), everyone(50), everyone_else := policy("zz", per_hour(9)))
    answers = [engine.check(CheckRequest("ann", "search")) for _ in range(5)]
    assert [answer.allowed for answer in answers] == [True, True, False, False, False]
    assert [state.name for state in answers[0].limits] == ["own:3600s", "everyone:3600s", f"{everyone_else.slug}:3600s"]
    assert used(engine, "everyone", "bob") == 2
    assert counted(store) == {("a", ""): 2, ("d", ""): 3, ("d", "own"): 3, ("100", "own"): 1, ("50", "own"): 1} | {
        (mark, "own"): 1 for mark in ("80", "90")
    }


def test_shadow_policies_on_several_masters(store: Store) -> None:
    trial = policy("trial", per_hour(1), mode=Mode.SHADOW)
    shared_trial = policy("shared-trial", per_hour(2), mode=Mode.SHADOW, partition=Partition.GLOBAL)
    engine = ready(store, trial, shared_trial, everyone(3))
    answers = [engine.check(CheckRequest("ann", "search")) for _ in range(5)]
    assert [answer.allowed for answer in answers] == [True] * 3 + [False] * 2
    assert [used(engine, slug, "ann") for slug in ("trial", "shared-trial", "everyone")] == [1, 2, 3]
    found = counted(store)
    assert (found["s", "trial"], found["s", "shared-trial"], found["d", "everyone"]) == (2, 1, 2)


def test_peeks_and_exempt_clients_consume_nothing(store: Store) -> None:
    engine = ready(store, OWN, everyone(5))
    for _ in range(9):
        assert engine.check(CheckRequest("ann", "search"), consume=False).allowed
    vip = engine.check(CheckRequest("vip", "search"))
    assert (vip.allowed, vip.reason) == (True, Reason.EXEMPT)
    assert used(engine, "everyone", "ann") == 0
    assert counted(store) == {("e", ""): 1}


def test_a_batch_over_several_masters_is_decided_in_order(store: Store) -> None:
    engine = ready(store, OWN, everyone(7))
    asked = [CheckRequest(client, "search") for client in CLIENTS[:10]]
    assert [answer.allowed for answer in engine.check_in_order(asked)] == [True] * 7 + [False] * 3
    assert used(engine, "own", *CLIENTS[7:10]) == 0


def test_a_check_updates_a_shard_that_a_publication_has_not_reached(store: Store) -> None:
    engine = ready(store, OWN, everyone(5))
    engine.check(CheckRequest("ann", "search"))
    behind = store.keys.shards[shard_of("everyone")]
    before = store.redis.hget(behind, "token")
    store.publish(ruleset(OWN, everyone(3)))
    store.redis.hset(behind, "token", before)
    answers = [engine.check(CheckRequest("ann", "search")) for _ in range(4)]
    assert [answer.allowed for answer in answers] == [True, True, False, False]
    assert {answer.ruleset for answer in answers} == {2}
    assert not any(answer.degraded for answer in answers)
    assert used(engine, "own", "ann") == 3


def test_the_loss_of_a_global_policys_master_degrades_the_answer_and_is_refunded(tmp_path: Path) -> None:
    topology = ClusterTopology(tmp_path, replicas=0, options=("--cluster-require-full-coverage", "no")).start()
    try:
        store = Store(topology.url, "own")
        engine = ready(store, OWN, everyone(5, on_store_failure=OnStoreFailure.ALLOW))
        engine.check(CheckRequest("ann", "search"))
        client = next(each for each in CLIENTS if _master(engine, store, each) != _master(engine, store, "everyone"))
        engine.check(CheckRequest(client, "search"))
        port = _master(engine, store, "everyone")[1]
        next(server for server in topology.servers if server.port == port).kill()
        answer = engine.check(CheckRequest(client, "search"))
        assert (answer.allowed, answer.degraded, answer.reason) == (True, True, Reason.STORE_UNAVAILABLE)
        wait_until(lambda: used_of_own(store, client) == 1)
    finally:
        topology.stop()


def used_of_own(store: Store, client: str) -> int:
    """The cost in the counter of a sliding window, whose state begins with its total. The state is preceded by
    the expiry of the counter (a header of seven bytes and a time of eight), and by its own header of seven bytes."""
    value: bytes = store.redis.get(store.keys.counter(shard_of(client), "own", client))
    return int.from_bytes(value[15 + 7 : 15 + 11], "big")


def _master(engine: Engine, store: Store, name: str) -> tuple[str, int]:
    connections = engine._decider._connections
    master: tuple[str, int] = connections.map.master_of(store.keys.shards[shard_of(name)])  # type: ignore[attr-defined]
    return master
