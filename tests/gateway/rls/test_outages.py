"""Redis that does not respond: answers by ``on_store_failure``, within the caller's deadline."""

import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pytest_django import Settings

from gateway.proto.rls_pb2 import RateLimitResponse
from gateway.rls.service import seconds_for
from ratelimit_enforcer.domain.enums import OnStoreFailure, Scope
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, ruleset
from tests.gateway.rls.conftest import Proxy, configure
from tests.gateway.rls.test_answers import headers
from tests.gateway.rls.test_descriptors import descriptor, request_of
from tests.gateway.rls.test_service import ORDERS, SEARCH, token
from tests.support.servers import Store

OK, OVER_LIMIT = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT
RULES = ruleset(
    policy("orders", per_hour(100), endpoint="orders", on_store_failure=OnStoreFailure.DENY),
    policy("search", per_hour(2), endpoint="search", on_store_failure=OnStoreFailure.LOCAL),
    tokens=(token("adjuster", Scope.ADJUST),),
)
LONG_BEFORE = 5.0
"""Seconds; far less than the deadline of a check in these tests, and far more than a caller's."""


@pytest.fixture
def redis(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def outage(redis: RedisServer, settings: Settings, serving: Callable[..., Proxy]) -> Callable[..., Proxy]:
    """Starts a service that has decided before, and whose Redis then stops responding. ``timeout``: the seconds that
    all callers wait from then on; None: what they say."""

    def start(*, timeout: float | None = None, **options: Any) -> Proxy:
        store = Store(redis.url, "outage")
        configure(settings, store)
        store.publish(RULES)
        store.load()
        proxy = serving(store=store, **options)
        assert [proxy.ask(each).overall_code for each in (SEARCH, ORDERS)] == [OK, OK]
        # Not before: loading the rules may take longer.
        proxy.server.timeout = timeout
        redis.pause()
        return proxy

    return start


SHORT = 0.3
"""Seconds: the deadline of every check."""


def test_without_the_store_each_policy_answers_as_it_says(outage: Callable[..., Proxy]) -> None:
    proxy = outage(deadline=SHORT)
    denied = proxy.ask(ORDERS)
    assert (denied.overall_code, denied.statuses[0].code) == (OVER_LIMIT, OVER_LIMIT)
    assert headers(denied) == {"Retry-After": "1", "Content-Type": "application/problem+json"}
    assert json.loads(denied.raw_body)["type"] == "/problems/store-unavailable"
    local = [proxy.ask(SEARCH) for _ in range(3)]
    assert [answer.overall_code for answer in local] == [OK, OK, OVER_LIMIT]
    assert [headers(answer) for answer in local[:2]] == [{}, {}]
    assert proxy.ask(SEARCH, ORDERS).overall_code == OVER_LIMIT


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, 0.015), (0.2, 0.195), (0.02, 0.015), (0.005, 0.001), (0.0, 0.001), (-1.0, 0.001), (60.0, 59.995)],
)
def test_the_answer_has_time_to_arrive_before_the_caller_gives_up(timeout: float | None, seconds: float) -> None:
    assert seconds_for(timeout) == pytest.approx(seconds)


@pytest.mark.parametrize("timeout", [None, 0.05])
@pytest.mark.parametrize("asked", [[ORDERS], [ORDERS, SEARCH], [ORDERS, {**ORDERS, "operation": "peek"}]])
def test_a_caller_with_a_shorter_deadline_is_answered_within_it(
    outage: Callable[..., Proxy], timeout: float | None, asked: list[dict[str, str]]
) -> None:
    proxy = outage(timeout=timeout)
    began = time.monotonic()
    answer = proxy.send(request_of(*(descriptor(each) for each in asked)), timeout=60 if timeout else None)
    assert answer.overall_code == OVER_LIMIT
    assert time.monotonic() - began < LONG_BEFORE


def test_a_charge_without_the_store_is_an_error_unless_there_are_checks(outage: Callable[..., Proxy]) -> None:
    proxy = outage(deadline=SHORT)
    charge = descriptor({**SEARCH, "operation": "charge"}, hits=2)
    with pytest.raises(grpc.RpcError) as caught:
        proxy.send(request_of(charge), token="adjuster")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "The store is unavailable.")
    assert proxy.send(request_of(descriptor(SEARCH), charge), token="adjuster").overall_code == OK
