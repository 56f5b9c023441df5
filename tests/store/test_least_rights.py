"""The Redis permissions in `docs/operations.md` are sufficient, and other programs' keys are not accessible."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis, exceptions

from limits.store.advice import warnings_of
from limits.store.clients import CounterResetter
from limits.store.usage import UsageCounts
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import record, simple
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology, SentinelTopology

NAMESPACE = "own"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


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


@pytest.fixture(params=[Single, SentinelTopology, ClusterTopology])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL with a user who has exactly the permissions that the document lists."""
    topology = request.param(tmp_path).start()
    for server in topology.servers:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "web", "on", ">pw", f"~{NAMESPACE}:*", *rights())
    yield topology.url.replace("://", "://web:pw@", 1)
    topology.stop()


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


def test_keys_outside_the_namespace_are_not_accessible(tmp_path: Path) -> None:
    single = Single(tmp_path).start()
    try:
        single.servers[0].client.execute_command("ACL", "SETUSER", "web", "on", ">pw", f"~{NAMESPACE}:*", *rights())
        with pytest.raises(exceptions.NoPermissionError):
            Redis.from_url(single.url.replace("://", "://web:pw@")).get("others:key")
    finally:
        single.stop()
