"""Known sequences of requests with their results, over HTTP, with the store's clock set by the test."""

import secrets
from typing import Any

import pytest
from pytest_django import Settings
from redis import Redis

from ratelimit_enforcer.domain.enums import Algorithm, Partition, Period, Scope
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import get_engine
from tests.api.conftest import Caller, serve, token
from tests.support.deciding import START, script_with_clock
from tests.support.servers import Store


class Platform:
    """One plan with one policy whose limits change, and a clock that the test sets."""

    def __init__(self, store: Store, caller: Caller, redis: Redis) -> None:
        self._store, self._caller, self._redis = store, caller, redis
        self.at(START)

    def at(self, now: int) -> None:
        self._redis.mset({"clock:seconds": now // 1_000_000, "clock:rest": now % 1_000_000})

    def limits(self, *limits: Limit, partition: Partition = Partition.CLIENT) -> None:
        self.rules(Policy("p", limits, partition=partition))

    def rules(self, *policies: Policy) -> None:
        tokens = (token("checker", Scope.CHECK),)
        self._store.publish(Ruleset((Plan("free", "Free"),), "free", policies=policies, tokens=tokens))
        self._store.load()
        get_engine()._decider._script = script_with_clock()

    def check(self, cost: int = 1, client: str = "ann") -> Any:
        body = {"client": client, "endpoint": "x", "cost": cost}
        return self._caller.post("/v1/check?status=200", body).json()

    def remaining(self, *costs: int) -> list[tuple[bool, int]]:
        answers = [self.check(cost) for cost in costs]
        return [(answer["allowed"], answer["remaining"]) for answer in answers]


@pytest.fixture
def platform(redis_url: str, settings: Settings, caller: Caller) -> Platform:
    store = Store(redis_url, f"vectors-{secrets.token_hex(4)}")
    serve(settings, store)
    return Platform(store, caller, store.redis)


@pytest.mark.parametrize(
    "limit",
    [
        Limit(2_000, 60),
        Limit(2_000, 60, Algorithm.FIXED_WINDOW),
        Limit(2_000, 60, Algorithm.TOKEN_BUCKET),
        Limit(2_000, None, Algorithm.CALENDAR, period=Period.DAY, timezone="Asia/Tokyo"),
    ],
    ids=lambda limit: limit.label,
)
def test_costs_against_a_quota_of_2000(platform: Platform, limit: Limit) -> None:
    platform.limits(limit)
    assert platform.remaining(1_000, 1_500, 500, 400, 100, 1) == [
        *((True, 1_000), (False, 1_000), (True, 500), (True, 100), (True, 0), (False, 0)),
    ]


@pytest.mark.parametrize("algorithm", [Algorithm.SLIDING_WINDOW, Algorithm.FIXED_WINDOW, Algorithm.TOKEN_BUCKET])
def test_a_changed_quota_keeps_the_consumed_cost(platform: Platform, algorithm: Algorithm) -> None:
    found = []
    for quota in (100, 10, 200):
        platform.limits(Limit(quota, 60, algorithm))
        found += platform.remaining(1) if quota == 200 else platform.remaining(1, 1)
    assert [remaining for _, remaining in found] == [99, 98, 7, 6, 195]


def test_a_bucket_of_10_tokens_a_second(platform: Platform) -> None:
    platform.limits(Limit(10, 1, Algorithm.TOKEN_BUCKET, 10))
    answers = [platform.check(cost) for cost in (1, 2, 7)]
    assert [answer["remaining"] for answer in answers] == [9, 7, 0]
    assert [answer["reset_after"] for answer in answers] == [0.1, 0.3, 1.0]
    never = platform.check(1_000)
    assert (never["allowed"], never["reason"], never["retry_after"]) == (False, "cost_exceeds_quota", None)


def test_a_fixed_window_is_reset_at_its_boundary(platform: Platform) -> None:
    platform.limits(Limit(2, 60, Algorithm.FIXED_WINDOW))
    minute = START - START % 60_000_000 + 60_000_000
    platform.at(minute - 1_000_000)
    assert platform.remaining(1, 1, 1) == [(True, 1), (True, 0), (False, 0)]
    assert (platform.check()["retry_after"], platform.check()["reset_after"]) == (1.0, 1.0)
    platform.at(minute)
    assert platform.remaining(1) == [(True, 1)]


def test_a_day_of_25_hours_in_berlin(platform: Platform) -> None:
    """25 October 2026: the clocks go back, and the day begins at 22:00 UTC on the day before."""
    limit = Limit(1, None, Algorithm.CALENDAR, period=Period.DAY, timezone="Europe/Berlin")
    begins = 1_792_879_200_000_000
    platform.at(begins)
    platform.limits(limit)
    assert platform.check()["allowed"]
    denied = platform.check()
    assert (denied["retry_after"], denied["limits"][0]["name"]) == (25 * 3_600.0, "p:day")
    platform.at(begins + 25 * 3_600_000_000 - 1)
    assert not platform.check()["allowed"]
    platform.at(begins + 25 * 3_600_000_000)
    assert platform.check()["allowed"]


def test_a_global_policy_counts_all_clients_together(platform: Platform) -> None:
    platform.limits(Limit(3, 60), partition=Partition.GLOBAL)
    answers = [platform.check(client=client) for client in ("ann", "bob", "cid", "dan")]
    assert [(answer["allowed"], answer["remaining"]) for answer in answers] == [
        *((True, 2), (True, 1), (True, 0), (False, 0)),
    ]


def test_a_denied_request_consumes_nothing_from_a_global_policy(platform: Platform) -> None:
    own = Policy("own", (Limit(1, 60),))
    platform.rules(Policy("all", (Limit(9, 60),), partition=Partition.GLOBAL), own)
    for _ in range(4):
        answer = platform.check()
    assert [(limit["policy"], limit["remaining"]) for limit in answer["limits"]] == [("all", 8), ("own", 0)]


def test_a_changed_algorithm_window_period_or_zone_resets_the_usage(platform: Platform) -> None:
    used_up = [
        Limit(1, 60),
        Limit(1, 120),
        Limit(1, 60, Algorithm.FIXED_WINDOW),
        Limit(1, 60, Algorithm.TOKEN_BUCKET),
        Limit(1, None, Algorithm.CALENDAR, period=Period.DAY),
        Limit(1, None, Algorithm.CALENDAR, period=Period.MONTH),
        Limit(1, None, Algorithm.CALENDAR, period=Period.MONTH, timezone="Europe/Berlin"),
    ]
    for limit in used_up:
        platform.limits(limit)
        assert platform.remaining(1, 1) == [(True, 0), (False, 0)]


def test_a_quota_reduced_below_the_usage_admits_when_enough_has_expired(platform: Platform) -> None:
    platform.limits(Limit(9, 60))
    for second in range(6):
        platform.at(START + second * 1_000_000)
        platform.check()
    platform.limits(Limit(4, 60))
    denied = platform.check()
    assert (denied["remaining"], denied["next_capacity_after"], denied["retry_after"]) == (0, 57.0, 57.0)


def test_usage_above_a_reduced_burst_is_kept_as_debt(platform: Platform) -> None:
    platform.limits(Limit(1, 1, Algorithm.TOKEN_BUCKET, 20))
    platform.check(20)
    platform.limits(Limit(1, 1, Algorithm.TOKEN_BUCKET, 5))
    denied = platform.check()
    assert (denied["remaining"], denied["retry_after"], denied["reset_after"]) == (0, 16.0, 20.0)
