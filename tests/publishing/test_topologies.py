"""Publishing to the masters of a Cluster, and to masters with replicas."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from limits.models import Client, PolicyLimit, Publication
from limits.publishing import clients, rules
from limits.publishing.reconciler import Reconciliation, reconcile
from limits.store import ruleset_writer as replicas_of_masters
from ratelimit_enforcer.domain.ruleset import Version
from ratelimit_enforcer.store.keys import TOKEN_FIELD
from ratelimit_platform.embedded.redis import RedisServer
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.lasting_clusters import LastingCluster, lasting_cluster
from tests.support.topologies import ClusterTopology, SentinelTopology
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.xdist_group("publishing-topologies"), pytest.mark.django_db]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingCluster]:
    options = ("--cluster-require-full-coverage", "no", "--appendonly", "yes")
    with lasting_cluster(tmp_path_factory.mktemp("clusters"), replicas=0, options=options) as lasting:
        yield lasting


@pytest.fixture
def cluster(lasting: LastingCluster) -> ClusterTopology:
    """A Cluster of masters without replicas: a killed master stays unavailable until it is restarted."""
    return lasting.ready()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[SentinelTopology]:
    sentinel = SentinelTopology(tmp_path).start()
    yield sentinel
    sentinel.stop()


def shop_on(url: str, settings: Settings) -> Platform:
    """A platform with version 1 live on this store."""
    platform = Platform(settings, url)
    rows.default_plan("free")
    rows.policy("all", quota=100)
    for number in range(50):
        rows.client(f"client-{number}")
    rules.record("test")
    assert rules.deliver().live
    assert clients.load_all()
    assert clients.deliver().live
    return platform


def change(quota: int) -> None:
    PolicyLimit.objects.update(quota=quota)
    rules.record("test")


def state(sequence: int) -> str:
    return Publication.objects.get(sequence=sequence).state


def tokens(platform: Platform) -> set[str | None]:
    return {mark.token for mark in platform.rules.shard_states()}


def test_all_shards_of_a_cluster_are_confirmed(cluster: ClusterTopology, settings: Settings) -> None:
    platform = shop_on(cluster.url, settings)
    change(7)
    assert rules.deliver().live
    assert (state(2), platform.quotas, platform.is_complete) == ("live", {"all": 7}, True)
    assert reconcile() == Reconciliation()


def test_a_publication_is_partial_while_a_master_is_unavailable(cluster: ClusterTopology, settings: Settings) -> None:
    platform = shop_on(cluster.url, settings)
    lost = next(server for server in cluster.masters if not holds_pointer(server, platform))
    lost.kill()
    change(7)
    delivery = rules.deliver()
    assert not delivery.live
    assert "shards" in delivery.problem
    assert state(2) == "partial"
    assert reconcile().problem == delivery.problem
    lost.start()
    wait_until(cluster.is_whole)
    wait_until(lambda: reconcile() == Reconciliation())
    assert (state(2), platform.quotas) == ("live", {"all": 7})


def holds_pointer(server: RedisServer, platform: Platform) -> bool:
    with server.client as client:
        return bool(client.keys(platform.keys.pointer))


def test_nothing_is_published_while_the_master_of_the_pointer_is_unavailable(
    cluster: ClusterTopology, settings: Settings
) -> None:
    platform = shop_on(cluster.url, settings)
    lost = next(server for server in cluster.masters if holds_pointer(server, platform))
    before = tokens(platform)
    lost.kill()
    change(7)
    assert not rules.deliver().live
    assert state(2) == "pending"
    assert tokens(platform) - {None} == before


def test_the_data_of_one_emptied_master_are_restored(cluster: ClusterTopology, settings: Settings) -> None:
    platform = shop_on(cluster.url, settings)
    emptied = cluster.masters[0]
    with emptied.client as client:
        client.flushall()
    found = reconcile()
    assert (found.published, found.clients_loaded) == (True, True)
    assert (platform.quotas, platform.is_complete) == ({"all": 100}, True)
    assert all(platform.client(row.key).revision == row.revision for row in Client.objects.all())
    assert reconcile() == Reconciliation()


def test_a_slower_publisher_does_not_overwrite_a_newer_version(cluster: ClusterTopology, settings: Settings) -> None:
    platform = shop_on(cluster.url, settings)
    newer = Version(platform.version.epoch, 9, "a-digest")
    shard = platform.keys.shards[3]
    platform.redis.hset(shard, TOKEN_FIELD, str(newer))
    change(7)
    assert not rules.deliver().live
    assert platform.redis.hget(shard, TOKEN_FIELD).decode() == str(newer)


def test_a_take_over_exceeds_the_version_of_every_shard(cluster: ClusterTopology, settings: Settings) -> None:
    platform = shop_on(cluster.url, settings)
    shard = platform.keys.shards[3]
    platform.redis.hset(shard, TOKEN_FIELD, str(Version("another", 9, "a-digest")))
    platform.redis.hset(shard, "c:stranger", "1 {}")
    assert rules.take_over("test").version == 10
    assert tokens(platform) == {str(platform.version)}
    assert not platform.redis.hexists(shard, "c:stranger")


def test_a_publication_without_a_replicas_confirmation_is_partial(
    sentinel: SentinelTopology, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = shop_on(sentinel.url, settings)
    replicas = [server for server in sentinel.servers if server is not sentinel.master]
    for replica in replicas:
        replica.pause()
    change(7)
    with monkeypatch.context() as impatient:
        impatient.setattr(replicas_of_masters, "REPLICA_WAIT_MS", 100)
        delivery = rules.deliver()
    for replica in replicas:
        replica.resume()
    assert not delivery.live
    assert "not confirmed by a replica" in delivery.problem
    assert (state(2), platform.quotas) == ("partial", {"all": 7})
    wait_until(lambda: reconcile() == Reconciliation())
    assert state(2) == "live"
