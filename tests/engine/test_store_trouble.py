"""Answers of a server while the store is emptied, hangs or is unavailable."""

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
    """A Redis of this test's own."""
    return redis_server()


@pytest.fixture
def own_store(server: RedisServer) -> Store:
    return Store(server.url, "own")


def wait_for_the_store(engine: Engine) -> None:
    """Until the engine has noticed that its store is back, with or without rules."""
    wait_until(lambda: "store" not in engine.readiness().missing)


def test_an_emptied_store_is_decided_by_what_the_server_holds_and_marked(own_store: Store) -> None:
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


def test_an_emptied_store_keeps_enforcing(own_store: Store) -> None:
    own_store.publish(simple(2))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    assert [engine.check(SEARCH).allowed for _ in range(4)] == [True, True, False, False]


def test_a_client_that_nobody_has_met_is_not_taken_for_an_unregistered_one(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    answer = engine.check(CheckRequest("never-seen", "search"))
    assert (answer.allowed, answer.reason, answer.degraded) == (False, Reason.STORE_UNAVAILABLE, True)


def test_a_server_writes_no_version_token(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    engine.check(SEARCH)
    assert {mark.token for mark in own_store.rules.shard_states()} == {None}
    assert own_store.rules.pointer() is None


def test_rules_that_are_back_end_the_degraded_answers(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.flushall()
    own_store.publish(simple(5))
    assert engine.check(SEARCH).degraded
    own_store.load()
    assert not engine.check(SEARCH).degraded


def test_a_store_that_is_gone_is_an_answer_and_not_an_exception(own_store: Store, server: RedisServer) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine(deadline=0.1)
    engine.check(SEARCH)
    server.kill()
    answer = engine.check(SEARCH)
    assert (answer.allowed, answer.reason, answer.degraded) == (False, Reason.STORE_UNAVAILABLE, True)


def test_a_store_that_hangs_is_given_up_at_the_deadline(own_store: Store, server: RedisServer) -> None:
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


def test_a_server_that_starts_without_its_store_says_that_it_has_no_rules(server: RedisServer) -> None:
    engine = Store(server.url, "own").engine(deadline=0.1)
    server.kill()
    with pytest.raises(RulesetMissing):
        engine.check(SEARCH)
    assert not engine.readiness().ready


def test_a_server_is_ready_with_the_rules_it_holds_while_the_store_is_away(
    own_store: Store, server: RedisServer
) -> None:
    own_store.publish(simple(9))
    engine = own_store.engine(deadline=0.1)
    assert engine.readiness().missing == ()
    server.kill()
    readiness = engine.readiness()
    assert (readiness.ready, readiness.missing) == (True, ("store",))


def test_checks_go_on_after_the_store_is_back(own_store: Store, server: RedisServer) -> None:
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
def test_a_forgotten_script_or_a_cut_connection_is_mended_unseen(own_store: Store, command: str) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    # A heartbeat that is cut off is an outage, which is seen.
    wait_for_heartbeat(engine)
    before = {client["id"] for client in own_store.redis.client_list()} - {str(own_store.redis.client_id())}
    own_store.redis.execute_command(*command.split(), *(["SKIPME", "yes"] if "KILL" in command else []))
    if "KILL" in command:
        # Redis closes them a moment after its answer.
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


def test_an_error_of_ours_is_not_taken_for_an_outage(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    engine = own_store.engine()
    engine.check(SEARCH)
    own_store.redis.execute_command("ACL", "SETUSER", "default", "-hmget")
    with pytest.raises(Exception, match=r"(?i)permission|can't run this command"):
        engine.check(SEARCH)


def test_a_ruleset_whose_bytes_are_damaged_is_not_taken(own_store: Store) -> None:
    version = own_store.publish(simple(9))
    own_store.load()
    own_store.redis.set(own_store.keys.ruleset(str(version)), simple(10**9).to_bytes())
    with pytest.raises(RulesetMissing):
        own_store.engine().check(SEARCH)


def test_rules_in_a_later_releases_format_are_an_outage_for_this_one(own_store: Store) -> None:
    """As in a rolling upgrade that published too early."""
    own_store.publish(simple(2))
    own_store.load()
    engine = own_store.engine()
    assert engine.check(SEARCH).allowed
    publish_bytes(own_store, simple(9).to_bytes().replace(b'"format":1', b'"format":3'))
    answer = engine.check(SEARCH)
    assert (answer.reason, answer.degraded, answer.ruleset) == (Reason.STORE_UNAVAILABLE, True, 1)
    readiness = engine.readiness()
    assert (readiness.ready, readiness.missing) == (True, ("ruleset",))
    assert "Ruleset format 3; this release reads formats up to 2." in readiness.problems[0]
    own_store.publish(simple(3))
    assert engine.check(SEARCH, consume=False).limits[0].limit.quota == 3


def publish_bytes(store: Store, data: bytes) -> None:
    store.sequence += 1
    store.rules.publish(Version("epoch", store.sequence, digest_of(data)), data, lambda current: True)
