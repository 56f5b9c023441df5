"""Decisions while the store is empty, hangs or is unavailable."""

import time
from collections.abc import Callable

import pytest

from ratelimit_enforcer.domain.enums import ClientStatus, Reason
from ratelimit_enforcer.domain.ruleset import Version, digest_of
from ratelimit_enforcer.engine import CheckRequest, Engine, RulesetMissing
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store
from tests.support.waiting import wait_until

SEARCH = CheckRequest("acme", "search")


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    """A Redis server for one test."""
    return redis_server()


@pytest.fixture
def own_store(server: RedisServer) -> Store:
    return Store(server.url, "own")


def wait_for_the_store(engine: Engine) -> None:
    """Waits until the engine has noticed that the store is available, with or without rules."""
    wait_until(lambda: "store" not in engine.readiness().missing)


def test_with_an_emptied_store_cached_rules_and_clients_decide_degraded(own_store: Store) -> None:
    own_store.publish(ruleset(policy("free", per_hour(2), plan="free"), policy("pro", per_hour(3), plan="pro")))
    own_store.load(record("acme", 1, plan="pro"), record("bad", 2, status=ClientStatus.BLOCKED))
    engine = own_store.engine()
    for client in ("acme", "bad", "stranger"):
        engine.check(CheckRequest(client, "search"))
    own_store.redis.flushall()
    acme, bad, stranger = (engine.check(CheckRequest(client, "search")) for client in ("acme", "bad", "stranger"))
    assert (acme.allowed, acme.plan, acme.degraded, acme.limits[0].remaining) == (True, "pro", True, 2)
    assert (bad.allowed, bad.reason, bad.degraded) == (False, Reason.BLOCKED, True)
    assert (stranger.allowed, stranger.plan, stranger.degraded) == (True, "free", True)


def test_limits_are_enforced_with_an_emptied_store(own_store: Store) -> None:
    own_store.publish(simple(2))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    assert [engine.check(SEARCH).allowed for _ in range(4)] == [True, True, False, False]


def test_with_an_emptied_store_an_uncached_client_is_not_treated_as_unregistered(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    answer = engine.check(CheckRequest("never-seen", "search"))
    assert (answer.allowed, answer.reason, answer.degraded) == (False, Reason.STORE_UNAVAILABLE, True)


def test_the_data_plane_writes_no_version_token_to_an_emptied_store(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    engine.check(SEARCH)
    assert {mark.token for mark in own_store.rules.shard_states()} == {None}
    assert own_store.rules.pointer() is None


def test_restored_rules_and_clients_end_the_degraded_decisions(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    own_store.publish(simple(5))
    assert engine.check(SEARCH).degraded
    own_store.load()
    assert not engine.check(SEARCH).degraded


def test_a_check_without_the_store_returns_a_decision_and_raises_nothing(own_store: Store, server: RedisServer) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine(deadline=0.1)
    engine.check(SEARCH)
    server.kill()
    answer = engine.check(SEARCH)
    assert (answer.allowed, answer.reason, answer.degraded) == (False, Reason.STORE_UNAVAILABLE, True)


def test_a_check_stops_waiting_for_a_hanging_store_at_the_deadline(own_store: Store, server: RedisServer) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine(deadline=0.1)
    engine.check(SEARCH)
    server.pause()
    began = time.monotonic()
    answer = engine.check(SEARCH)
    waited = time.monotonic() - began
    server.resume()
    assert answer.reason is Reason.STORE_UNAVAILABLE
    assert waited < 1.0


def test_a_server_that_starts_without_the_store_reports_missing_rules(server: RedisServer) -> None:
    engine = Store(server.url, "own").engine(deadline=0.1)
    server.kill()
    with pytest.raises(RulesetMissing):
        engine.check(SEARCH)
    assert not engine.readiness().ready


def test_a_server_with_cached_rules_is_ready_while_the_store_is_unavailable(
    own_store: Store, server: RedisServer
) -> None:
    own_store.publish(simple(9))
    engine = own_store.engine(deadline=0.1)
    assert engine.readiness().missing == ()
    server.kill()
    readiness = engine.readiness()
    assert (readiness.ready, readiness.missing) == (True, ("store",))


def test_checks_work_again_after_the_outage(own_store: Store, server: RedisServer) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    server.kill()
    engine.check(SEARCH)
    server.start()
    own_store.publish(simple(9))
    own_store.load()
    wait_for_the_store(engine)
    assert engine.check(SEARCH).allowed


@pytest.mark.parametrize("command", ["SCRIPT FLUSH", "CLIENT KILL TYPE normal"])
def test_a_flushed_script_or_killed_connection_is_restored_transparently(own_store: Store, command: str) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    # A heartbeat whose connection is killed would open the breaker.
    wait_for_heartbeat(engine)
    before = {client["id"] for client in own_store.redis.client_list()} - {str(own_store.redis.client_id())}
    own_store.redis.execute_command(*command.split(), *(["SKIPME", "yes"] if "KILL" in command else []))
    if "KILL" in command:
        # Redis closes the connections shortly after its reply.
        wait_until(lambda: not before & {client["id"] for client in own_store.redis.client_list()})
    assert engine.check(SEARCH).allowed
    assert engine.check(SEARCH, consume=False).limits[0].remaining == 7


def test_a_full_store_is_an_outage_and_consumes_nothing(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.config_set("maxmemory", "1")
    assert engine.check(SEARCH).reason is Reason.STORE_UNAVAILABLE
    own_store.redis.config_set("maxmemory", "0")
    wait_for_the_store(engine)
    assert engine.check(SEARCH, consume=False).limits[0].remaining == 8


def test_an_internal_error_is_not_treated_as_an_outage(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.execute_command("ACL", "SETUSER", "default", "-hmget")
    with pytest.raises(Exception, match=r"(?i)permission|can't run this command"):
        engine.check(SEARCH)


def test_a_ruleset_with_damaged_bytes_is_rejected(own_store: Store) -> None:
    version = own_store.publish(simple(9))
    own_store.load()
    own_store.redis.set(own_store.keys.ruleset(str(version)), simple(10**9).to_bytes())
    with pytest.raises(RulesetMissing):
        own_store.engine().check(SEARCH)


def test_rules_in_the_format_of_a_later_release_are_treated_as_an_outage(own_store: Store) -> None:
    """As in a rolling upgrade with a publication before all servers were upgraded."""
    own_store.publish(simple(2))
    own_store.load()
    engine = own_store.engine()
    assert engine.check(SEARCH).allowed
    publish_bytes(own_store, simple(9).to_bytes().replace(b'"format":1', b'"format":7'))
    answer = engine.check(SEARCH)
    assert (answer.reason, answer.degraded, answer.ruleset) == (Reason.STORE_UNAVAILABLE, True, 1)
    readiness = engine.readiness()
    assert (readiness.ready, readiness.missing) == (True, ("ruleset",))
    assert "Ruleset format 7; this release reads formats up to 6." in readiness.problems[0]
    own_store.publish(simple(3))
    assert engine.check(SEARCH, consume=False).limits[0].limit.quota == 3


def publish_bytes(store: Store, data: bytes) -> None:
    store.sequence += 1
    store.rules.publish(Version("epoch", store.sequence, digest_of(data)), data, lambda current: True)
