"""Reservations through the engine: reserve, settle, release, charge."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Period, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import (
    MAX_OPEN,
    ReservationId,
    Reserve,
    SettledAtAnotherCost,
    Settlement,
    UnknownReservation,
)
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.factory import make_engine
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.errors import AnswerLost, CountInDoubt
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.support.servers import Store


@pytest.fixture
def engine(anywhere: Store) -> Engine:
    """An engine whose clients have 1,000 per hour."""
    anywhere.publish(simple(1_000))
    anywhere.load(record("acme", 1))
    return anywhere.engine()


def reserve(engine: Engine, cost: int, *, client: str = "acme", **fields: object) -> Decision:
    return engine.check(CheckRequest(client, "search", cost=cost, reserve=Reserve(**fields)))  # type: ignore[arg-type]


def settle(engine: Engine, decision: Decision, cost: int | None = None) -> Settlement:
    assert decision.reservation
    return engine.settle(decision.reservation, cost)


def remaining(engine: Engine, client: str = "acme") -> int:
    leading = engine.check(CheckRequest(client, "search"), consume=False).leading
    assert leading
    return leading.remaining


def test_less_than_reserved_is_refunded(engine: Engine) -> None:
    decision = reserve(engine, 600)
    assert (decision.allowed, decision.cost, decision.degraded) == (True, 600, False)
    assert remaining(engine) == 400
    assert settle(engine, decision, 20)[1:] == (20, 580, 0)
    assert remaining(engine) == 980


def test_more_than_reserved_is_debited_beyond_the_quota(engine: Engine) -> None:
    decision = reserve(engine, 600)
    assert settle(engine, decision, 1_250)[1:] == (1_250, 0, 250)
    assert remaining(engine) == 0
    again = engine.check(CheckRequest("acme", "search"))
    assert (again.allowed, again.reason) == (False, Reason.LIMIT)


def test_a_settlement_repeated_has_the_same_answer(engine: Engine) -> None:
    decision = reserve(engine, 600)
    first = settle(engine, decision, 20)
    assert settle(engine, decision, 20) == first
    assert settle(engine, decision) == first
    assert remaining(engine) == 980


def test_another_cost_is_an_error(engine: Engine) -> None:
    decision = reserve(engine, 600)
    settle(engine, decision, 20)
    with pytest.raises(SettledAtAnotherCost, match="settled at a cost of 20"):
        settle(engine, decision, 30)
    assert remaining(engine) == 980


def test_without_a_cost_what_was_reserved_is_kept(engine: Engine) -> None:
    decision = reserve(engine, 600)
    assert settle(engine, decision)[1:] == (600, 0, 0)
    assert remaining(engine) == 400


def test_release_refunds_all_of_a_reservation(engine: Engine) -> None:
    decision = reserve(engine, 600)
    assert decision.reservation
    engine.release(decision.reservation)
    engine.release(decision.reservation)
    assert remaining(engine) == 1_000


def test_of_what_is_available_at_least_the_least(engine: Engine) -> None:
    engine.check(CheckRequest("acme", "search", cost=50))
    assert reserve(engine, 4_000, at_least=100).cost == 950
    denied = reserve(engine, 4_000, at_least=100)
    assert (denied.allowed, denied.reason, denied.cost, denied.reservation) == (False, Reason.LIMIT, 100, None)
    assert denied.retry_after is not None
    assert denied.retry_after > 0


def test_a_least_above_the_quota_is_never_admitted(engine: Engine) -> None:
    denied = reserve(engine, 4_000, at_least=1_001)
    assert (denied.reason, denied.retry_after) == (Reason.COST_EXCEEDS_QUOTA, None)


@pytest.mark.parametrize("text", ["", "x", "AAAA", "A" * 24, "é" * 24, "-" * 23], ids=range(6))
def test_unknown_ids(engine: Engine, text: str) -> None:
    with pytest.raises(UnknownReservation):
        engine.settle(text, 1)
    with pytest.raises(UnknownReservation):
        engine.release(text)


def test_the_same_name_reserves_once(engine: Engine) -> None:
    first = reserve(engine, 600, name=b"n" * 16)
    again = reserve(engine, 600, name=b"n" * 16)
    assert (again.allowed, again.cost, again.reservation) == (True, 600, first.reservation)
    assert again.expires_at == first.expires_at
    assert remaining(engine) == 400


def test_an_exempt_client_has_a_reservation_with_nothing_to_settle(anywhere: Store) -> None:
    anywhere.publish(simple(1))
    anywhere.load(record("acme", 1, status=ClientStatus.EXEMPT))
    engine = anywhere.engine()
    decision = reserve(engine, 600)
    assert (decision.allowed, decision.reason) == (True, Reason.EXEMPT)
    assert settle(engine, decision, 20)[1:] == (20, 0, 0)


def test_a_blocked_client_has_none(anywhere: Store) -> None:
    anywhere.publish(simple(1))
    anywhere.load(record("acme", 1, status=ClientStatus.BLOCKED))
    decision = reserve(anywhere.engine(), 1)
    assert (decision.allowed, decision.reservation) == (False, None)


def test_a_charge_is_debited_beyond_the_quota(engine: Engine) -> None:
    assert engine.charge(CheckRequest("acme", "search"), 400)[3:5] == (400, 0)
    assert remaining(engine) == 600
    assert engine.charge(CheckRequest("acme", "search"), 10**6)[3:5] == (10**6, 10**6 - 600)
    assert engine.charge(CheckRequest("acme", "search"), 7)[3:] == (7, 7, 1, None)
    assert remaining(engine) == 0


def test_charges_count_new_values_of_attributes(store: Store) -> None:
    """At most three values are counted separately, whoever brings them."""
    models = policy("models", per_hour(100), attributes=("model",))
    store.publish(ruleset(models))
    store.load(record("acme", 1))
    engine = make_engine(
        store_connections_of(parse(store.url), 4, store.keys), store.keys, deadline=10, cache_size=10, max_values=3
    )
    for number in range(6):
        engine.charge(CheckRequest("acme", "search", attributes={"model": f"m{number}"}), 5)
    counters = store.redis.keys(f"{store.keys.namespace}:*:a:models:*")
    assert len(counters) == 4


def test_a_limit_removed_since_does_not_end_refunds(anywhere: Store) -> None:
    both = policy("all", per_hour(1_000), Limit(1_000, 60))
    anywhere.publish(ruleset(both))
    anywhere.load(record("acme", 1))
    engine = anywhere.engine()
    one, other = reserve(engine, 300), reserve(engine, 300)
    anywhere.publish(ruleset(policy("all", per_hour(1_000))))
    engine.check(CheckRequest("acme", "search"))
    settle(engine, one, 301)
    settle(engine, other, 0)
    assert remaining(engine) == 1_000 - 302


def test_results_that_nobody_asks_for_again_are_not_stored_for_long(store: Store) -> None:
    """Those of charges without a name, and of released places."""
    places = Limit(5, 60, Algorithm.CONCURRENCY)
    store.publish(ruleset(policy("all", places, per_hour(100))))
    store.load(record("acme", 1))
    engine = store.engine()
    engine.charge(CheckRequest("acme", "search"), 5)
    engine.release(engine.check(CheckRequest("acme", "search")).reservation or "")
    lifetimes = [store.redis.ttl(key) for key in store.redis.keys(f"{store.keys.namespace}:*:r:*")]
    assert len(lifetimes) == 2
    assert max(lifetimes) <= 60
    assert not store.redis.keys(f"{store.keys.namespace}:*:open")


def test_a_place_of_a_reservation_can_be_released_as_long_as_it_lasts(store: Store) -> None:
    month = 30 * 86_400
    store.publish(ruleset(policy("all", Limit(5, month, Algorithm.CONCURRENCY))))
    store.load(record("acme", 1))
    found = ReservationId.parse(reserve(store.engine(), 1).reservation or "")
    assert store.redis.ttl(store.keys.reservation(found.shard, found.name)) > month - 60


def test_a_request_under_hundreds_of_policies(store: Store) -> None:
    store.publish(ruleset(*(policy(f"policy-{number}", per_hour(100)) for number in range(300))))
    store.load(record("acme", 1))
    engine = store.engine()
    assert settle(engine, reserve(engine, 10), 3).refunded == 7
    assert remaining(engine) == 97


def test_a_release_after_a_lost_answer_frees_the_place_in_the_store(store: Store) -> None:
    """The script ran, but its answer came too late."""
    store.publish(ruleset(policy("all", Limit(1, 600, Algorithm.CONCURRENCY), on_store_failure=OnStoreFailure.LOCAL)))
    store.load(record("acme", 1))
    engine = store.engine()
    engine.check(CheckRequest("acme", "search"), consume=False)
    run = engine._decider._run

    def lose(*arguments: Any) -> Any:
        run(*arguments)
        raise CountInDoubt(AnswerLost("lost"), 1)

    engine._decider._run = lose  # type: ignore[method-assign]
    decision = engine.check(CheckRequest("acme", "search"))
    engine._decider._run = run  # type: ignore[method-assign]
    assert (decision.allowed, decision.degraded) == (True, True)
    assert not store.engine().check(CheckRequest("acme", "search")).allowed
    engine.release(decision.reservation or "")
    assert store.engine().check(CheckRequest("acme", "search")).allowed


def test_the_same_name_is_charged_once(engine: Engine) -> None:
    for _ in range(2):
        assert engine.charge(CheckRequest("acme", "search"), 400, name=b"n" * 16).cost == 400
    assert remaining(engine) == 600
    with pytest.raises(SettledAtAnotherCost):
        engine.charge(CheckRequest("acme", "search"), 401, name=b"n" * 16)


def test_an_exempt_client_is_not_charged(anywhere: Store) -> None:
    anywhere.publish(simple(1))
    anywhere.load(record("acme", 1, status=ClientStatus.EXEMPT))
    charge = anywhere.engine().charge(CheckRequest("acme", "search"), 5)
    assert (charge.cost, charge.reason) == (0, Reason.EXEMPT)


def test_any_server_settles(anywhere: Store) -> None:
    anywhere.publish(simple(1_000))
    anywhere.load(record("acme", 1))
    one, other = anywhere.engine(), anywhere.engine()
    decision = reserve(one, 600)
    settle(other, decision, 20)
    assert remaining(one) == 980


def test_children_settle_with_their_ancestors(anywhere: Store) -> None:
    anywhere.publish(ruleset(policy("own", per_hour(800), plan="free"), policy("shared", per_hour(1_000), plan="pro")))
    anywhere.load(record("org", 1, plan="pro"), record("key", 2, parent="org", plan="free"))
    engine = anywhere.engine()
    decision = reserve(engine, 600, client="key")
    assert [state.remaining for state in decision.limits] == [200, 400]
    settle(engine, decision, 20)
    assert (remaining(engine, "org"), remaining(engine, "key")) == (980, 780)
    assert settle(engine, reserve(engine, 600, client="key"), 900).overdrawn == 120
    assert (remaining(engine, "org"), remaining(engine, "key")) == (80, 0)


def test_the_excess_of_a_calendar_limit(anywhere: Store) -> None:
    per_day = Limit(1_000, None, Algorithm.CALENDAR, None, Period.DAY, "Europe/Berlin")
    anywhere.publish(ruleset(policy("all", per_day)))
    anywhere.load(record("acme", 1))
    engine = anywhere.engine()
    settle(engine, reserve(engine, 600), 700)
    assert remaining(engine) == 300


def test_a_shadow_policy_follows_what_the_others_admit(anywhere: Store) -> None:
    shadow = policy("trial", per_hour(300), mode=Mode.SHADOW)
    anywhere.publish(ruleset(policy("all", per_hour(500)), shadow))
    anywhere.load(record("acme", 1))
    engine = anywhere.engine()
    decision = reserve(engine, 4_000, at_least=1)
    assert decision.cost == 500
    assert [state.remaining for state in decision.limits] == [0, 300]
    settle(engine, decision, 20)
    assert remaining(engine) == 480


def test_at_most_ten_at_once_and_all_in_the_end(anywhere: Store) -> None:
    """50 concurrent requests reserve 100 of 1,000 in two seconds each, and settle at 20."""
    anywhere.publish(ruleset(policy("all", Limit(1_000, 2))))
    anywhere.load(record("acme", 1))
    engine, unsettled, never = anywhere.engine(), threading.Semaphore(10), threading.Event()

    def request(_: int) -> int:
        while not (decision := reserve(engine, 100)).allowed:
            assert decision.retry_after is not None
            never.wait(decision.retry_after)
        assert unsettled.acquire(blocking=False)
        unsettled.release()
        return settle(engine, decision, 20).cost

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(request, range(50))) == 1_000


def test_the_bound_on_unsettled_reservations(store: Store) -> None:
    store.publish(simple(10**6))
    store.load(record("acme", 1))
    engine = store.engine()
    first = reserve(engine, 1)
    shard = ReservationId.parse(first.reservation or "").shard
    open_key = store.keys.open_reservations_of(shard, "acme")
    ((_, until),) = store.redis.zrange(open_key, 0, -1, withscores=True)
    store.redis.zadd(open_key, {f"other{number}": until for number in range(MAX_OPEN - 1)})
    denied = reserve(engine, 1)
    assert (denied.allowed, denied.reason, denied.reservation) == (False, Reason.TOO_MANY_RESERVATIONS, None)
    settle(engine, first, 1)
    assert reserve(engine, 1).allowed


@pytest.mark.parametrize("limit", [Limit(5, 60, Algorithm.CONCURRENCY)])
class TestConcurrency:
    """At most five concurrent requests."""

    @pytest.fixture
    def engine(self, anywhere: Store, limit: Limit) -> Engine:
        anywhere.publish(ruleset(policy("all", limit, per_hour(100), on_store_failure=OnStoreFailure.LOCAL)))
        anywhere.load(record("acme", 1))
        return anywhere.engine()

    def test_a_released_place_is_free(self, engine: Engine) -> None:
        taken = [engine.check(CheckRequest("acme", "search", cost=3)) for _ in range(5)]
        assert all(decision.allowed and decision.reservation for decision in taken)
        denied = engine.check(CheckRequest("acme", "search"))
        assert (denied.allowed, denied.retry_after, denied.reservation) == (False, 1.0, None)
        engine.release(taken[2].reservation or "")
        assert engine.check(CheckRequest("acme", "search")).allowed
        assert not engine.check(CheckRequest("acme", "search")).allowed

    def test_release_keeps_the_cost(self, engine: Engine) -> None:
        decision = engine.check(CheckRequest("acme", "search", cost=30))
        engine.release(decision.reservation or "")
        assert [state.remaining for state in engine.check(CheckRequest("acme"), consume=False).limits] == [5, 70]

    def test_a_settlement_refunds_and_frees(self, engine: Engine) -> None:
        decision = reserve(engine, 30)
        assert [state.remaining for state in decision.limits] == [4, 70]
        settle(engine, decision, 10)
        assert [state.remaining for state in engine.check(CheckRequest("acme"), consume=False).limits] == [5, 90]

    def test_each_item_of_a_batch_holds_its_own(self, engine: Engine) -> None:
        decisions = engine.check_in_order([CheckRequest("acme", "search")] * 7)
        assert [decision.allowed for decision in decisions] == [True] * 5 + [False] * 2
        assert len({decision.reservation for decision in decisions}) == 6

    def test_a_charge_takes_no_place(self, engine: Engine) -> None:
        engine.charge(CheckRequest("acme", "search"), 10)
        assert [state.remaining for state in engine.check(CheckRequest("acme"), consume=False).limits] == [5, 90]

    def test_peek_takes_none(self, engine: Engine) -> None:
        for _ in range(6):
            decision = engine.check(CheckRequest("acme", "search"), consume=False)
            assert (decision.allowed, decision.reservation) == (True, None)

    def test_places_during_an_outage_are_those_of_the_process(
        self, redis_server: Callable[..., RedisServer], limit: Limit
    ) -> None:
        server = redis_server()
        store = Store(server.url, "own")
        store.publish(ruleset(policy("all", limit, per_hour(100), on_store_failure=OnStoreFailure.LOCAL)))
        store.load(record("acme", 1))
        engine = store.engine(deadline=0.5)
        assert engine.check(CheckRequest("acme", "search")).allowed
        server.kill()
        taken = [engine.check(CheckRequest("acme", "search")) for _ in range(6)]
        assert [decision.allowed for decision in taken] == [True] * 5 + [False]
        assert all(decision.degraded for decision in taken)
        engine.release(taken[0].reservation or "")
        decision = reserve(engine, 200, at_least=1)
        assert (decision.allowed, decision.cost) == (True, 95)
        assert settle(engine, decision, 10)[1:] == (10, 0, 0)
        assert engine.check(CheckRequest("acme", "search")).retry_after is not None

    def test_usage_shows_the_places(self, engine: Engine) -> None:
        engine.check(CheckRequest("acme", "search"))
        state = engine.peek_client("acme").decision.limits[0]
        assert (state.name, state.remaining) == ("all:concurrent", 4)
