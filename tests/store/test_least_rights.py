"""The documented Redis permissions are sufficient, and other programs' keys are not accessible."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis, exceptions

from limits.store.advice import warnings_of
from limits.store.clients import CounterResetter
from limits.store.open_reservations import ClientReservations, Unsettled, unsettled
from limits.store.usage import UsageCounts
from ratelimit_enforcer.domain.enums import Algorithm, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.package.conftest import PASSWORD, acl_command
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology, SentinelTopology

NAMESPACE = "own"
FOLDER = Path(__file__).resolve().parents[2] / "docs"
DOCS, PROJECTS_DOCS = FOLDER / "operations.md", FOLDER / "django-projects.md"


class Single:
    """One server, with the interface of the others."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder / "server")]
        self.url = self.servers[0].url

    def start(self) -> "Single":
        self.servers[0].start()
        return self

    def stop(self) -> None:
        self.servers[0].kill()


Topology = Single | SentinelTopology | ClusterTopology


@pytest.fixture(params=[Single, SentinelTopology, ClusterTopology])
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Topology]:
    topology = request.param(tmp_path).start()
    yield topology
    topology.stop()


@pytest.fixture
def url(topology: Topology) -> str:
    """The URL with a user who has exactly the permissions that the document lists."""
    for server in topology.servers:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "web", "on", ">pw", f"~{NAMESPACE}:*", *rights())
    return topology.url.replace("://", "://web:pw@", 1)


@pytest.fixture
def project_url(topology: Topology) -> str:
    """The URL with the user for a separate Django project, with the permissions in its document."""
    for server in topology.servers:
        with server.client as client:
            client.execute_command(*acl_command(client), *rights_on(topology))
    return topology.url.replace("://", f"://shop:{PASSWORD}@", 1)


def rights() -> list[str]:
    named = re.search(r"A Redis user needs: `([^`]+)`", DOCS.read_text(encoding="utf-8"))
    assert named
    return named[1].split()


def test_publishing_deciding_counting_and_resetting(url: str) -> None:
    store = Store(url, NAMESPACE)
    store.publish(simple(2))
    store.publish(simple(3))
    store.load(record("acme", 1))
    engine = store.engine()
    assert [engine.check(CheckRequest("acme", "search")).allowed for _ in range(4)] == [True, True, True, False]
    assert not engine.check(CheckRequest("acme", "search"), consume=False).degraded
    assert CounterResetter(store.redis, store.keys).erase("acme", ["all"]) == 1
    counts = UsageCounts(store.redis, store.keys)
    parcels = counts.set_aside()
    counted = [(each.kind, amount) for parcel in parcels for each, amount in counts.read(parcel).items()]
    assert sum(amount for kind, amount in counted if not kind.isdigit()) == 5
    counts.finish(parcels)
    assert store.rules.newest() == store.rules.pointer()
    assert not any("does not permit INFO" in sentence for sentence in warnings_of(store.redis, parse(url).kind))


def rights_on(topology: Topology) -> list[str]:
    """What the document adds for this topology."""
    if isinstance(topology, Single):
        return []
    words = "with Sentinel" if isinstance(topology, SentinelTopology) else "on a Cluster"
    named = re.search(rf"{words} add\s`([^`]+)`", PROJECTS_DOCS.read_text(encoding="utf-8"))
    assert named
    return named[1].split()


def publish_reservable(url: str, namespace: str) -> Store:
    """Rules with places, and with a policy that is on another master than the client, on a Cluster."""
    store = Store(url, namespace)
    places = Limit(1, 60, Algorithm.CONCURRENCY)
    shared = policy("shared", per_hour(10_000), partition=Partition.GLOBAL)
    store.publish(ruleset(policy("own", places, per_hour(1_000)), shared))
    store.load(record("acme", 1))
    return store


def reserve_settle_charge_and_refund(engine: Engine) -> None:
    reserved = engine.check(CheckRequest("acme", "search", cost=600, reserve=Reserve()))
    assert (reserved.allowed, reserved.degraded) == (True, False)
    denied = engine.check(CheckRequest("acme", "search"))
    assert (denied.allowed, denied.degraded) == (False, False)
    assert engine.settle(reserved.reservation or "", 20)[1:] == (20, 580, 0)
    holding = engine.check(CheckRequest("acme", "search", cost=30))
    assert (holding.allowed, holding.degraded) == (True, False)
    engine.release(holding.reservation or "")
    assert engine.charge(CheckRequest("acme", "search"), 2_000).overdrawn == 1_050
    assert engine.refund_newest(CheckRequest("acme", "search"), 100).refunded == 100
    assert [state.remaining for state in engine.peek_client("acme").decision.limits] == [1, 0]


def test_reserving_settling_charging_reading_and_erasing(url: str) -> None:
    store = publish_reservable(url, NAMESPACE)
    engine = store.engine()
    reserve_settle_charge_and_refund(engine)
    assert engine.check(CheckRequest("globex", "search", reserve=Reserve())).reservation
    assert unsettled(store.redis, store.keys) == Unsettled(1, 0)
    reservations = ClientReservations(store.redis, store.keys)
    assert len(reservations.read("globex", shard_of("globex"), 50).newest) == 1
    assert reservations.erase("globex") == 1


def decide_together(engine: Engine) -> None:
    """Of clients in two shards, with a global policy."""
    for consume in (False, True):
        decisions = engine.check_together(
            [CheckRequest(each, "search") for each in ("globex", "initech")], consume=consume
        )
        assert [(each.allowed, each.degraded) for each in decisions] == [(True, False)] * 2


def test_deciding_together(url: str) -> None:
    decide_together(publish_reservable(url, NAMESPACE).engine())


def test_the_user_of_a_project_reserves_settles_and_charges(topology: Topology, project_url: str) -> None:
    publish_reservable(topology.url, "rl")
    reserve_settle_charge_and_refund(Store(project_url, "rl").engine())
    decide_together(Store(project_url, "rl").engine())


def test_keys_outside_the_namespace_are_not_accessible(tmp_path: Path) -> None:
    single = Single(tmp_path).start()
    try:
        single.servers[0].client.execute_command("ACL", "SETUSER", "web", "on", ">pw", f"~{NAMESPACE}:*", *rights())
        with pytest.raises(exceptions.NoPermissionError):
            Redis.from_url(single.url.replace("://", "://web:pw@")).get("others:key")
    finally:
        single.stop()
