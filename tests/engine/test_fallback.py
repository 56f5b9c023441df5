"""Decisions while the store is unavailable: allow, deny, local, the breaker, and the local share of a process."""

import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest

from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Partition, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.fallback import share_of
from ratelimit_enforcer.store.heartbeats import Share
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.engine.test_store_trouble import wait_for_the_store
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store
from tests.support.waiting import wait_until

SEARCH = CheckRequest("acme", "search")
ALLOW, DENY, LOCAL = OnStoreFailure.ALLOW, OnStoreFailure.DENY, OnStoreFailure.LOCAL


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def own_store(server: RedisServer) -> Store:
    return Store(server.url, "own")


def ready_engine(store: Store, *policies: object, **options: object) -> Engine:
    store.publish(ruleset(*policies))  # type: ignore[arg-type]
    store.load(record("bad", 1, status=ClientStatus.BLOCKED), record("vip", 2, status=ClientStatus.EXEMPT))
    engine = store.engine(deadline=0.1)
    # A busy machine may need longer than a check does for the first connection.
    wait_until(lambda: engine.readiness().ready)
    for client in ("acme", "bad", "vip"):
        engine.check(CheckRequest(client, "search"))
    # Otherwise the first heartbeat may run after the test has stopped the store.
    wait_for_heartbeat(engine)
    return engine


def test_each_policy_defines_the_fallback(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(2), on_store_failure=ALLOW))
    server.kill()
    answers = [engine.check(SEARCH) for _ in range(5)]
    assert {(answer.allowed, answer.reason, answer.degraded) for answer in answers} == {
        (True, Reason.STORE_UNAVAILABLE, True)
    }


def test_local_fallback_counts_in_the_process_within_its_local_share(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(3), on_store_failure=LOCAL))
    server.kill()
    answers = [engine.check(SEARCH) for _ in range(5)]
    assert [answer.allowed for answer in answers] == [True] * 3 + [False] * 2
    assert [answer.reason for answer in answers] == [None] * 3 + [Reason.LIMIT] * 2
    assert all(answer.degraded for answer in answers)
    assert answers[-1].retry_after == pytest.approx(3_600, abs=5)
    assert engine.check(CheckRequest("other", "search")).limits[0].remaining == 2


@pytest.mark.parametrize(
    ("failures", "allowed", "reason"),
    [
        ((ALLOW, LOCAL), True, Reason.STORE_UNAVAILABLE),
        ((ALLOW, DENY), False, Reason.STORE_UNAVAILABLE),
        ((LOCAL, DENY), False, Reason.STORE_UNAVAILABLE),
        ((LOCAL, LOCAL), True, None),
        ((), True, None),
    ],
)
def test_the_strictest_fallback_applies(
    own_store: Store,
    server: RedisServer,
    failures: tuple[OnStoreFailure, ...],
    allowed: bool,
    reason: Reason | None,
) -> None:
    policies = [policy(f"p{n}", per_hour(9), on_store_failure=each) for n, each in enumerate(failures)]
    engine = ready_engine(own_store, *policies)
    server.kill()
    answer = engine.check(SEARCH)
    assert (answer.allowed, answer.reason, answer.degraded) == (allowed, reason, True)


def test_a_shadow_policy_does_not_affect_the_fallback(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(9), mode=Mode.SHADOW, on_store_failure=DENY))
    server.kill()
    assert engine.check(SEARCH).allowed


def test_blocked_and_exempt_clients_keep_their_status(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(1), on_store_failure=DENY))
    server.kill()
    bad, vip = (engine.check(CheckRequest(client, "search")) for client in ("bad", "vip"))
    assert (bad.allowed, bad.reason, bad.degraded) == (False, Reason.BLOCKED, True)
    assert (vip.allowed, vip.reason, vip.degraded) == (True, Reason.EXEMPT, True)


def test_a_local_peek_consumes_nothing(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(1), on_store_failure=LOCAL))
    server.kill()
    assert [engine.check(SEARCH, consume=False).allowed for _ in range(3)] == [True] * 3
    assert [engine.check(SEARCH).allowed for _ in range(2)] == [True, False]


def test_a_global_policy_is_shared_by_the_clients_of_the_process(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(2), partition=Partition.GLOBAL, on_store_failure=LOCAL))
    server.kill()
    clients = ("ann", "bob", "cid")
    assert [engine.check(CheckRequest(client, "search")).allowed for client in clients] == [True, True, False]


def test_each_outage_starts_with_empty_local_counters(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(1), on_store_failure=LOCAL))
    for _ in range(2):
        server.kill()
        assert [engine.check(SEARCH).allowed for _ in range(2)] == [True, False]
        server.start()
        wait_for_the_store(engine)


def test_the_start_and_the_end_of_an_outage_are_each_logged_once(
    own_store: Store, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(1), on_store_failure=ALLOW))
    server.kill()
    for _ in range(20):
        engine.check(SEARCH)
    server.start()
    wait_for_the_store(engine)
    engine.check(SEARCH)
    # Connections of a test before this one may still find that its server is unavailable.
    own = [record for record in caplog.records if str(server.port) in getattr(record, "error", str(server.port))]
    lines = [(record.levelname, record.getMessage().partition(":")[0]) for record in own]
    assert lines == [("WARNING", "store_unavailable"), ("WARNING", "store_available")]


def test_checks_do_not_wait_for_a_store_that_is_known_to_hang(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(1), on_store_failure=ALLOW))
    server.pause()
    engine.check(SEARCH)
    began = time.monotonic()
    for _ in range(100):
        assert engine.check(SEARCH).degraded
    # Each check that waited would take the deadline of 0.1 s.
    assert time.monotonic() - began < 5
    server.resume()
    wait_for_the_store(engine)
    assert not engine.check(SEARCH).degraded


def usage(store: Store) -> Counter[tuple[str, ...]]:
    """(kind, endpoint, policy, client) → count, summed over all minutes."""
    totals: Counter[tuple[str, ...]] = Counter()
    for key in store.keys.usage:
        for field, amount in store.redis.hgetall(key).items():
            totals[tuple(field.decode().split("\n")[1:])] += int(amount)
    return totals


def test_decisions_without_the_store_are_counted_after_the_outage(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(3), on_store_failure=LOCAL))
    server.kill()
    for client in ("bad", "vip", *["acme"] * 5):
        engine.check(CheckRequest(client, "search", cost=1 if client == "acme" else 4))
    engine.check(CheckRequest("acme", "search"), consume=False)
    server.start()
    wanted = {
        ("b", "search", "", "bad"): 1,
        ("B", "search", "", "bad"): 3,
        ("e", "search", "", "vip"): 1,
        ("E", "search", "", "vip"): 3,
        ("a", "search", "", "acme"): 3,
        ("d", "search", "", "acme"): 2,
        ("d", "search", "p", "acme"): 2,
    }
    wait_until(lambda: usage(own_store).total() == sum(wanted.values()))
    assert usage(own_store) == wanted


def test_a_request_denied_by_the_fallback_is_counted_as_denied(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(9), on_store_failure=DENY))
    server.kill()
    engine.check_in_order([SEARCH] * 250)
    server.start()
    wait_until(lambda: usage(own_store) == {("d", "search", "", "acme"): 250})


def test_a_call_that_may_have_run_is_counted_by_the_store_only(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(9), on_store_failure=ALLOW))
    own_store.redis.delete(*own_store.keys.usage)
    server.pause()
    assert engine.check(SEARCH).degraded
    assert engine.check(SEARCH).degraded
    server.resume()
    # The first check was sent, and the script counts it when it runs late; the second was not sent.
    wait_until(lambda: usage(own_store).total() >= 2)
    wait_until(lambda: not engine._usage_buffer._is_flushing)
    assert usage(own_store) == {("a", "search", "", "acme"): 2}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_counts_that_the_store_rejects_wait_and_do_not_block_others(own_store: Store, server: RedisServer) -> None:
    engine = ready_engine(own_store, policy("p", per_hour(9), on_store_failure=ALLOW))
    acme, broken = (own_store.keys.usage[shard_of(client)] for client in ("acme", "stranger"))
    own_store.redis.delete(*own_store.keys.usage)
    own_store.redis.set(broken, "no hash")
    server.pause()
    for client in ("acme", "acme", "stranger"):  # The last one is written first.
        assert engine.check(CheckRequest(client, "search")).degraded
    server.resume()
    # One was counted by its script after the pause, the other by the process.
    wait_until(lambda: sum(map(int, own_store.redis.hvals(acme))) == 2)
    own_store.redis.delete(broken)
    wait_until(lambda: usage(own_store) == {("a", "search", "", "acme"): 2, ("a", "search", "", "stranger"): 1})


def test_buffered_counts_are_bounded_during_a_flood(
    own_store: Store, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratelimit_enforcer.store.usage.MAX_BUFFERED", 10)
    engine = ready_engine(own_store, policy("p", per_hour(9), on_store_failure=ALLOW))
    server.kill()
    for number in range(50):
        engine.check(CheckRequest(f"stranger-{number}", "search"))
    server.start()
    wait_until(lambda: usage(own_store).total() == 50)
    found = usage(own_store)
    assert len(found) <= 10 + 2
    assert found["a", "search", "", ""] >= 40 - 2


@pytest.mark.parametrize(
    "whole", [Limit(10, 60), Limit(3, 60), *(Limit(quota, 60, Algorithm.TOKEN_BUCKET, 7) for quota in (100, 1))]
)
def test_local_shares_of_all_processes_add_up_to_the_limit(whole: Limit) -> None:
    parts = [share_of(whole, Share(rank, 4)) for rank in range(4)]
    assert sum(Fraction(part.quota, part.window_us) for part in parts) == Fraction(whole.quota, whole.window_us)
    assert sum(part.capacity for part in parts) == whole.capacity


def test_deciding_processes_divide_the_quota(own_store: Store, server: RedisServer) -> None:
    own_store.publish(simple(5, LOCAL))
    own_store.load()
    engines = [own_store.engine(deadline=1) for _ in range(3)]
    for _ in range(2):
        for engine in engines:
            engine._fallback._next_beat = 0.0
            engine.check(SEARCH)
            wait_for_heartbeat(engine)
    server.kill()
    admitted = [sum(engine.check(CheckRequest("new", "search")).allowed for _ in range(9)) for engine in engines]
    assert sorted(admitted) == [1, 2, 2]


def test_a_silent_process_does_not_count_for_local_shares(own_store: Store) -> None:
    own_store.publish(simple(9))
    own_store.load()
    own_store.redis.hset(own_store.keys.processes, "long ago", 1)
    engine = own_store.engine()
    engine.check(SEARCH)
    wait_for_heartbeat(engine)
    assert engine._fallback._share == Share(0, 1)
    assert own_store.redis.hlen(own_store.keys.processes) == 1
    assert own_store.redis.ttl(own_store.keys.processes) > 0
