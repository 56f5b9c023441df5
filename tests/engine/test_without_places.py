"""Requests that take no places of concurrency limits, because nobody would free the places."""

from collections.abc import Callable

import pytest

from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.servers import Store

PLACES = Limit(2, 600, Algorithm.CONCURRENCY)
TAKES, TAKES_NONE = CheckRequest("acme", "search"), CheckRequest("acme", "search", takes_places=False)


def test_a_concurrency_limit_neither_counts_nor_denies_such_a_request(store: Store) -> None:
    store.publish(ruleset(policy("places", PLACES)))
    store.load(record("acme", 1))
    engine = store.engine()

    admitted = [engine.check(TAKES_NONE) for _ in range(3)]

    assert [(decision.allowed, decision.reservation, list(decision.limits)) for decision in admitted] == [
        (True, None, [])
    ] * 3
    assert [engine.check(TAKES).allowed for _ in range(3)] == [True, True, False]
    assert engine.check(TAKES_NONE).allowed


@pytest.mark.parametrize("own", [False, True], ids=["policy", "override"])
def test_other_limits_of_the_same_policy_count_both_kinds_of_requests_together(store: Store, own: bool) -> None:
    limits = (per_hour(5), PLACES)
    store.publish(ruleset(policy("all", *((per_hour(1),) if own else limits))))
    store.load(record("acme", 1, overrides=(Override("all", limits),) if own else ()))
    engine = store.engine()

    remaining = [engine.check(request).limits[0].remaining for request in (TAKES, TAKES_NONE, TAKES, TAKES_NONE)]

    assert remaining == [4, 3, 2, 1]
    peek = engine.check(TAKES, consume=False)
    assert [(state.name, state.remaining) for state in peek.limits] == [("all:3600s", 1), ("all:concurrent", 0)]


def test_without_the_store_such_requests_take_no_places_either(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    store = Store(server.url, "test")
    store.publish(ruleset(policy("places", PLACES, on_store_failure=OnStoreFailure.LOCAL)))
    engine = store.engine()
    engine.refresh()
    server.kill()

    decisions = [engine.check(TAKES_NONE) for _ in range(3)]

    assert [(decision.allowed, decision.degraded) for decision in decisions] == [(True, True)] * 3
    assert [engine.check(TAKES).allowed for _ in range(3)] == [True, True, False]
