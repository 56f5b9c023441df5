"""Warnings about a wrongly configured store, with and without permission for CONFIG."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from limits.domain.server_versions import is_vulnerable, name_and_version, version_numbers
from limits.store.advice import Advisor, warnings_of
from limits.store.client import control_client_of
from ratelimit_enforcer.store.connections.redis_url import Kind, parse
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.topologies import ClusterTopology, SentinelTopology
from tests.support.waiting import wait_until


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    """A correctly configured server: an append-only file and no eviction."""
    return redis_server(persistent=True)


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with server.client as client:
        yield client


def said(server: RedisServer) -> str:
    """All warnings except the one about the version, which depends on the machine."""
    return "\n".join(about_setup(warnings_of(control_client_of(parse(server.url)), Kind.SINGLE)))


def about_setup(sentences: list[str]) -> list[str]:
    return [sentence for sentence in sentences if "vulnerabilities in scripting" not in sentence]


@pytest.fixture(params=[True, False], ids=["with-config", "without-config"])
def forbid(request: pytest.FixtureRequest, redis: Redis) -> Callable[[], None]:
    """A function that revokes the permission for CONFIG, in half of the tests."""

    def forbid() -> None:
        if not request.param:
            redis.execute_command("ACL", "SETUSER", "default", "-config")

    return forbid


def test_a_correctly_configured_store_gets_no_warning(server: RedisServer, forbid: Callable[[], None]) -> None:
    forbid()
    assert said(server) == ""


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_an_eviction_policy_with_maxmemory_is_reported(
    server: RedisServer, redis: Redis, forbid: Callable[[], None], policy: str
) -> None:
    redis.config_set("maxmemory-policy", policy)
    assert said(server) == ""
    redis.config_set("maxmemory", 100_000_000)
    forbid()
    assert f"(maxmemory-policy {policy})" in said(server)


def test_nearly_full_memory_is_reported(server: RedisServer, redis: Redis, forbid: Callable[[], None]) -> None:
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.05))
    forbid()
    assert "nearly full" in said(server)


def test_missing_persistence_is_reported(redis_server: Callable[..., RedisServer]) -> None:
    assert "stores nothing on disk" in said(redis_server())


def test_persistence_by_snapshots_only_is_reported(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    server.client.config_set("save", "3600 1")
    assert "snapshots only" in said(server)


def test_a_missing_permission_for_config_is_reported(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    server.client.execute_command("ACL", "SETUSER", "default", "-config")
    assert "does not permit CONFIG" in said(server)


HOLES = [
    *("Redis 6.2.14", "Redis 6.2.19", "Redis 7.0.15", "Redis 7.2.13", "Redis 7.4.8", "Redis 8.0.6", "Redis 8.2.5"),
    *("Redis 8.6.2", "Valkey 7.2.12", "Valkey 8.0.7", "Valkey 8.1.6", "Valkey 9.0.3"),
]
NO_HOLES = [
    *("Redis 6.2.20", "Redis 6.2.24", "Redis 7.2.14", "Redis 7.4.11", "Redis 8.2.6", "Redis 8.4.10", "Redis 8.8.0"),
    *("Redis 9.0.0", "Valkey 8.1.7", "Valkey 9.0.4", "Valkey 9.1.0", "Valkey 10.0.0"),
]


@pytest.mark.parametrize(("release", "known"), [(each, True) for each in HOLES] + [(each, False) for each in NO_HOLES])
def test_releases_with_known_vulnerabilities_in_scripting(release: str, known: bool) -> None:
    name, _, version = release.partition(" ")
    assert is_vulnerable(name, version_numbers(version)) is known


def test_the_warning_names_the_vulnerable_version_and_the_upgrade(server: RedisServer, redis: Redis) -> None:
    name, version = name_and_version(redis.info("server"))
    (sentence,) = warnings_of(redis, Kind.SINGLE) or [""]
    expected = (
        f"{name} {version} has known vulnerabilities in scripting"
        if is_vulnerable(name, version_numbers(version))
        else ""
    )
    assert sentence.startswith(expected)
    assert ("Upgrade to Redis 7.4.9" in sentence) is bool(expected)


@pytest.mark.parametrize("version", ["8.1.0", "8.1.0-rc1", "8.1.0.1", "v=8.1.0"])
def test_all_notations_of_a_version_are_parsed(version: str) -> None:
    assert version_numbers(version) == (8, 1, 0)


def test_for_valkey_its_own_version_is_used() -> None:
    info = {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}
    assert name_and_version(info) == ("Valkey", "9.1.2")
    assert name_and_version({"redis_version": "7.2.4", "redis_mode": "standalone"}) == ("Redis", "7.2.4")


def test_a_missing_permission_for_info_is_reported(server: RedisServer, redis: Redis) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "-info")
    assert said(server) == "Redis does not permit INFO, so the configuration of Redis cannot be checked."


def test_failed_writes_to_disk_are_reported(redis_server: Callable[..., RedisServer], tmp_path: Path) -> None:
    server = redis_server(persistent=True)
    # The default path of the snapshot, because Redis 7 does not allow changing it at run time.
    (server.folder / "dump.rdb").mkdir()
    server.client.bgsave()
    wait_until(lambda: server.client.info("persistence")["rdb_bgsave_in_progress"] == 0)
    assert "could not write to disk" in said(server)


def test_min_replicas_to_write_is_required_under_sentinel(tmp_path: Path) -> None:
    topology = SentinelTopology(tmp_path, options=("--appendonly", "yes")).start()
    try:
        advisor = Advisor(topology.url)
        assert ["min-replicas-to-write" in sentence for sentence in about_setup(advisor.check())] == [True]
        topology.master.client.config_set("min-replicas-to-write", 1)
        assert about_setup(advisor.check()) == []
    finally:
        topology.stop()


def test_full_coverage_and_missing_replicas_of_a_cluster_are_reported(tmp_path: Path) -> None:
    cluster = ClusterTopology(tmp_path, replicas=0, options=("--appendonly", "yes")).start()
    try:
        found = about_setup(Advisor(cluster.url).check())
        assert [any(word in sentence for sentence in found) for word in ("no replica", "full-coverage")] == [True, True]
        assert len(found) == 2
        for server in cluster.servers:
            server.client.config_set("cluster-require-full-coverage", "no")
        assert len(about_setup(Advisor(cluster.url).check())) == 1
    finally:
        cluster.stop()


def test_reading_the_warnings_does_not_wait_for_redis(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    advisor = Advisor(server.url)
    server.pause()
    assert advisor.warnings() == []
    server.resume()
    another = Advisor(server.url)
    wait_until(lambda: another.warnings() != [])
    server.kill()
    assert "stores nothing on disk" in about_setup(another.warnings())[0]
