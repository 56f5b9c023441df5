"""Refunds of the newest usage: negative hits of Envoy's protocol."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Partition, Period, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.errors import StoreUnavailable
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted_by_client
from tests.support.servers import Store

pytestmark = pytest.mark.xdist_group("refunds-of-the-newest-usage")

ANN = CheckRequest("ann", "search")
SLOW = 31_536_000
"""A window in seconds in which nothing is refilled during a test."""
LIMITS = {
    "sliding": Limit(10, 3_600),
    "bucket": Limit(10, SLOW, Algorithm.TOKEN_BUCKET),
    "fixed": Limit(10, SLOW, Algorithm.FIXED_WINDOW),
    "calendar": Limit(10, None, Algorithm.CALENDAR, None, Period.YEAR),
}


def ready(store: Store, *limits: Limit, **fields: object) -> Engine:
    shared = policy("shared", per_hour(100_000), partition=Partition.GLOBAL)
    store.publish(ruleset(policy("own", *limits, **fields), shared))
    store.load(
        record("ann", 1), record("vip", 2, status=ClientStatus.EXEMPT), record("bad", 3, status=ClientStatus.BLOCKED)
    )
    return store.engine()


def remaining(engine: Engine, request: CheckRequest = ANN) -> dict[str, int]:
    return {state.name: state.remaining for state in engine.check(request, consume=False).limits}


def own(engine: Engine) -> int:
    return next(left for name, left in remaining(engine).items() if name.startswith("own"))


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_the_newest_usage_is_refunded_and_never_more_than_is_used(limit: Limit, anywhere: Store) -> None:
    engine = ready(anywhere, limit)
    for cost in (2, 3, 4):
        assert engine.check(ANN._replace(cost=cost)).allowed
    assert engine.refund_newest(ANN, 5).refunded == 5
    assert own(engine) == 6
    assert engine.refund_newest(ANN, 1_000_000_000).refunded == 4
    assert own(engine) == 10
    assert engine.refund_newest(ANN, 1).refunded == 0
    counts = counted_by_client(anywhere)
    assert counts["ann", "r", ""] == 9
    assert [count for (_, kind, _), count in counts.items() if kind in "xotnv"] == []


def test_every_counter_of_the_request_gets_its_own_usage_back(anywhere: Store) -> None:
    engine = ready(anywhere, Limit(10, 3_600), Limit(20, 60, Algorithm.FIXED_WINDOW))
    engine.check(ANN._replace(cost=2))
    engine.check(CheckRequest("bob", "search", cost=7))
    assert remaining(engine)["shared:3600s"] == 99_991
    assert engine.refund_newest(ANN, 4).refunded == 4
    assert remaining(engine)["own:3600s"] == 10
    assert remaining(engine)["shared:3600s"] == 99_995
    assert counted_by_client(anywhere)["ann", "r", ""] == 4


def test_a_sliding_window_is_refunded_from_the_newest_run_backwards(store: Store) -> None:
    """The oldest one expires first, so a refund of the newest leaves what is available next."""
    engine = ready(store, Limit(10, 3_600))
    for cost in (4, 1, 2):
        engine.check(ANN._replace(cost=cost))
    before = engine.check(ANN, consume=False).limits[0].next_capacity_after or 0
    engine.refund_newest(ANN, 3)
    after = engine.check(ANN, consume=False).limits[0]
    assert after.remaining == 6
    assert before - 60 < (after.next_capacity_after or 0) <= before
    assert engine.check(ANN._replace(cost=6)).allowed
    assert not engine.check(ANN).allowed


def test_a_reservation_that_is_settled_afterwards_gets_nothing_back_twice(store: Store) -> None:
    """From a token bucket. Windows do not remember which request a refund was for."""
    engine = ready(store, LIMITS["bucket"])
    reserved = engine.check(ANN._replace(cost=6, reserve=Reserve()))
    assert engine.refund_newest(ANN, 6).refunded == 6
    assert engine.check(ANN._replace(cost=5)).allowed
    engine.settle(reserved.reservation or "", 0)
    assert own(engine) == 5


def test_values_of_attributes(anywhere: Store) -> None:
    engine = ready(anywhere, Limit(10, 3_600), attributes=("model",))
    large, small = (ANN._replace(attributes={"model": model}) for model in ("large", "small"))
    for request in (large, small):
        engine.check(request._replace(cost=4))
    engine.refund_newest(large, 9)
    assert [remaining(engine, request)["own:3600s"] for request in (large, small)] == [10, 6]


@pytest.mark.parametrize(("client", "reason"), [("vip", Reason.EXEMPT), ("bad", Reason.BLOCKED)])
def test_nothing_is_refunded_to_a_client_without_limits(client: str, reason: Reason, store: Store) -> None:
    engine = ready(store, Limit(10, 3_600))
    refund = engine.refund_newest(CheckRequest(client, "search"), 5)
    assert (refund.refunded, refund.reason, refund.client) == (0, reason, client)


def test_no_refund_creates_usage_or_a_counter(store: Store) -> None:
    engine = ready(store, Limit(10, 3_600))
    assert engine.refund_newest(ANN, 5).refunded == 0
    assert not store.redis.keys(f"{store.keys.namespace}:*:n:*")


def test_refunds_and_checks_at_the_same_time_lose_nothing(anywhere: Store) -> None:
    engines = [ready(anywhere, Limit(1_000, 3_600)), anywhere.engine()]

    def work(at: int) -> int:
        engine = engines[at % 2]
        if at % 3:
            return int(engine.check(ANN._replace(cost=3)).allowed) * 3
        return -engine.refund_newest(ANN, 2).refunded

    assert engines[0].check(ANN._replace(cost=200)).allowed
    with ThreadPoolExecutor(32) as pool:
        consumed = sum(pool.map(work, range(150)))
    assert (1_000 - own(engines[0]), consumed) == (400, 200)


def test_without_the_store_nothing_is_refunded(store: Store) -> None:
    engine = ready(store, Limit(10, 3_600))
    engine.check(ANN)
    with pytest.raises(StoreUnavailable):
        engine.refund_newest(ANN, 5, deadline=0.0)
    assert own(engine) == 9
