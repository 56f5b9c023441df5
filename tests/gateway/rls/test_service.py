"""The rate limit service over gRPC: a real client, a real engine, a real Redis."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import grpc
import pytest

from gateway.proto.rls_pb2 import RateLimitRequest, RateLimitResponse
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import ClientStatus, Mode, Scope
from ratelimit_enforcer.domain.ruleset import ApiToken
from tests.engine.rules import per_hour, policy, ruleset
from tests.gateway.rls.conftest import Proxy
from tests.gateway.rls.test_answers import headers
from tests.gateway.rls.test_descriptors import descriptor, request_of
from tests.support.servers import Store

OK, OVER_LIMIT = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT
OUTSIDE = "192.0.2.1:40000"


def token(name: str, *scopes: Scope) -> ApiToken:
    """A token whose secret is its name."""
    return ApiToken(name, sha256(name.encode()).hexdigest(), frozenset(scopes))


RULES = ruleset(
    policy("orders", per_hour(10), endpoint="orders"),
    policy("search", per_hour(3), endpoint="search"),
    policy("trial", per_hour(1), endpoint="search", mode=Mode.SHADOW),
    tokens=(
        token("adjuster", Scope.ADJUST, Scope.CHECK),
        token("checker", Scope.CHECK),
        token("watcher", Scope.METRICS),
    ),
)
SEARCH = {"client": "acme", "path": "/search"}
ORDERS = {"client": "acme", "endpoint": "orders"}


@pytest.fixture
def proxy(store: Store, serving: Callable[..., Proxy]) -> Proxy:
    store.publish(RULES)
    store.load(
        ClientRecord("mallory", 1, status=ClientStatus.BLOCKED), ClientRecord("vip", 2, status=ClientStatus.EXEMPT)
    )
    return serving()


def remaining(proxy: Proxy, entries: dict[str, str]) -> int:
    return proxy.ask(entries, hits=0).statuses[0].limit_remaining


def test_the_quota_is_admitted_and_no_more(proxy: Proxy) -> None:
    answers = [proxy.ask(SEARCH) for _ in range(5)]
    assert [answer.overall_code for answer in answers] == [OK, OK, OK, OVER_LIMIT, OVER_LIMIT]
    assert [answer.statuses[0].limit_remaining for answer in answers] == [2, 1, 0, 0, 0]
    assert headers(answers[0])["RateLimit"].startswith('"search:3600s";r=2;t=')
    assert headers(answers[3])["Retry-After"] == "3600"
    assert json.loads(answers[3].raw_body)["violated-policies"] == ["search:3600s"]


def test_the_cost_is_that_of_the_endpoint_or_the_number_of_hits(proxy: Proxy) -> None:
    assert proxy.ask(ORDERS).statuses[0].limit_remaining == 5
    assert proxy.ask(ORDERS, of_request=2).statuses[0].limit_remaining == 3
    assert proxy.ask(ORDERS, of_request=2, hits=1).statuses[0].limit_remaining == 2
    assert proxy.ask(ORDERS, hits=3).overall_code == OVER_LIMIT
    assert remaining(proxy, ORDERS) == 2


@pytest.mark.parametrize("cost", [11, 1_000_001, 2**32])
def test_a_cost_that_no_limit_admits_is_denied(proxy: Proxy, cost: int) -> None:
    denied = proxy.ask(ORDERS, hits=cost)
    assert denied.overall_code == OVER_LIMIT
    assert json.loads(denied.raw_body)["reason"] == "cost_exceeds_quota"
    assert remaining(proxy, ORDERS) == 10


def test_a_peek_consumes_nothing_and_tells_whether_a_cost_of_one_is_denied(proxy: Proxy) -> None:
    assert proxy.ask(SEARCH, hits=0).overall_code == OK
    assert proxy.ask(SEARCH, hits=3).overall_code == OK
    assert proxy.ask(SEARCH, hits=0).overall_code == OVER_LIMIT
    assert proxy.ask({**ORDERS, "operation": "peek"}, hits=10).overall_code == OK
    assert proxy.ask({**ORDERS, "operation": "peek"}, hits=11).overall_code == OVER_LIMIT
    assert remaining(proxy, ORDERS) == 10


def test_a_shadow_policy_denies_nothing(proxy: Proxy) -> None:
    assert [proxy.ask(SEARCH).overall_code for _ in range(3)] == [OK, OK, OK]


def test_a_blocked_client_is_denied_and_an_exempt_one_is_not(proxy: Proxy) -> None:
    denied = proxy.ask({"client": "mallory", "endpoint": "search"})
    assert (denied.overall_code, json.loads(denied.raw_body)["type"]) == (OVER_LIMIT, "/problems/client-blocked")
    assert {proxy.ask({"client": "vip", "endpoint": "search"}).overall_code for _ in range(5)} == {OK}


def test_without_client_and_address_nothing_is_limited(proxy: Proxy) -> None:
    for _ in range(5):
        answer = proxy.ask({"path": "/search"})
        assert (answer.overall_code, [status.code for status in answer.statuses]) == (OK, [OK])
    assert proxy.send(RateLimitRequest(domain="default")).overall_code == OK


def test_the_address_is_the_client_if_there_is_no_other(proxy: Proxy) -> None:
    for _ in range(3):
        proxy.ask({"remote_address": "192.0.2.7", "path": "/search"})
    assert remaining(proxy, {"client": "ip:192.0.2.7", "path": "/search"}) == 0


def test_the_domain_selects_endpoints(proxy: Proxy) -> None:
    assert len(headers(proxy.ask(SEARCH, domain="search"))) == 2
    assert headers(proxy.ask(SEARCH, domain="shop")) == {}


def test_negative_hits_refund_the_newest_usage_and_never_more_than_is_used(proxy: Proxy) -> None:
    proxy.ask(ORDERS, hits=6)
    answer = proxy.ask(ORDERS, hits=4, is_negative_hits=True, token="adjuster")
    assert (answer.overall_code, [status.code for status in answer.statuses]) == (OK, [OK])
    assert remaining(proxy, ORDERS) == 8
    proxy.ask(ORDERS, hits=100, is_negative_hits=True, token="adjuster")
    assert remaining(proxy, ORDERS) == 10
    assert proxy.ask(ORDERS, hits=10).overall_code == OK


def test_descriptors_are_decided_together_all_or_nothing(proxy: Proxy) -> None:
    both = [SEARCH, {"client": "other", "endpoint": "orders"}]
    assert proxy.ask(*both, hits=3).overall_code == OK
    denied = proxy.ask(*both, hits=3)
    assert (denied.overall_code, [status.code for status in denied.statuses]) == (OVER_LIMIT, [OVER_LIMIT, OK])
    assert remaining(proxy, both[1]) == 7


def test_a_counter_that_several_descriptors_reach_is_consumed_once_by_the_largest_cost(proxy: Proxy) -> None:
    made = [descriptor(ORDERS, hits=2), descriptor(ORDERS, hits=4), descriptor(ORDERS, hits=3)]
    answer = proxy.send(request_of(*made))
    assert [status.code for status in answer.statuses] == [OK, OK, OK]
    assert remaining(proxy, ORDERS) == 6


def test_an_unmatched_descriptor_changes_nothing_for_the_others(proxy: Proxy) -> None:
    answer = proxy.ask({"path": "/search"}, SEARCH)
    assert [status.limit_remaining for status in answer.statuses] == [0, 2]
    assert [status.code for status in answer.statuses] == [OK, OK]


@pytest.mark.parametrize("hits", [0, 4, 2_000_000])
def test_a_peek_and_an_impossible_cost_deny_the_other_descriptors_too(proxy: Proxy, hits: int) -> None:
    proxy.ask(SEARCH, hits=3)
    asked = SEARCH if hits != 4 else {**SEARCH, "operation": "peek"}
    answer = proxy.send(request_of(descriptor(ORDERS), descriptor(asked, hits=hits)))
    assert [status.code for status in answer.statuses] == [OK, OVER_LIMIT]
    assert answer.overall_code == OVER_LIMIT
    assert remaining(proxy, ORDERS) == 10


def test_checks_are_answered_beside_charges(proxy: Proxy) -> None:
    made = [descriptor(SEARCH), descriptor({**ORDERS, "operation": "charge"}, hits=4)]
    answer = proxy.send(request_of(*made), token="adjuster")
    assert [status.limit_remaining for status in answer.statuses] == [2, 0]
    assert remaining(proxy, ORDERS) == 6


def test_a_limit_in_the_request_replaces_that_of_the_policy(proxy: Proxy) -> None:
    limit = {"requests_per_unit": 50, "unit": "HOUR"}
    answer = proxy.ask(SEARCH, limit=limit, token="adjuster")
    assert answer.statuses[0].limit_remaining == 49
    assert answer.statuses[0].current_limit.requests_per_unit == 50


def test_a_charge_is_debited_beyond_the_quota(proxy: Proxy) -> None:
    answer = proxy.ask({**SEARCH, "operation": "charge"}, hits=5, token="adjuster")
    assert (answer.overall_code, answer.statuses[0].code) == (OK, OK)
    assert proxy.ask(SEARCH).overall_code == OVER_LIMIT


@pytest.mark.parametrize(
    ("peer", "sent", "fields", "status", "text"),
    [
        (OUTSIDE, None, {}, grpc.StatusCode.UNAUTHENTICATED, "The request needs a token with the scope “check”."),
        (OUTSIDE, "unknown", {}, grpc.StatusCode.UNAUTHENTICATED, "This token is unknown or has been revoked."),
        (OUTSIDE, "watcher", {}, grpc.StatusCode.PERMISSION_DENIED, "This token does not have the scope “check”."),
        (OUTSIDE, "checker", {"charge": True}, grpc.StatusCode.PERMISSION_DENIED, "does not have the scope “adjust”."),
        (None, None, {"charge": True}, grpc.StatusCode.UNAUTHENTICATED, "needs a token with the scope “adjust”."),
        (None, "checker", {"negative": True}, grpc.StatusCode.PERMISSION_DENIED, "the scope “adjust”."),
        (None, "checker", {"limit": True}, grpc.StatusCode.PERMISSION_DENIED, "the scope “adjust”."),
        (OUTSIDE, None, {"unmatched": True}, grpc.StatusCode.UNAUTHENTICATED, "the scope “check”."),
    ],
)
def test_who_may_not_ask_is_told_why(
    proxy: Proxy,
    serving: Callable[..., Proxy],
    peer: str | None,
    sent: str | None,
    fields: dict[str, bool],
    status: grpc.StatusCode,
    text: str,
) -> None:
    entries = {} if "unmatched" in fields else {**SEARCH, "operation": "charge" if "charge" in fields else "check"}
    made = descriptor(entries, is_negative_hits="negative" in fields)
    if "limit" in fields:
        made.limit.requests_per_unit, made.limit.unit = 5, 1
    with pytest.raises(grpc.RpcError) as caught:
        serving(peer).send(request_of(made), token=sent)
    assert caught.value.code() is status
    assert text in caught.value.details()
    assert remaining(proxy, SEARCH) == 3


def test_a_token_allows_checks_from_everywhere(proxy: Proxy, serving: Callable[..., Proxy]) -> None:
    assert serving(OUTSIDE).ask(SEARCH, token="checker").overall_code == OK
    assert serving(OUTSIDE).ask({}, token="checker").overall_code == OK


def test_a_new_token_is_accepted_at_once_and_a_revoked_one_rejected(
    store: Store, proxy: Proxy, serving: Callable[..., Proxy]
) -> None:
    outside = serving(OUTSIDE)
    outside.ask(SEARCH, token="checker")
    store.publish(replace(RULES, tokens=(token("new", Scope.CHECK),)))
    assert outside.ask(SEARCH, token="new").overall_code == OK
    with pytest.raises(grpc.RpcError) as caught:
        outside.ask(SEARCH, token="checker")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_is_no_request_is_an_error(proxy: Proxy) -> None:
    send = proxy.channel.unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
    with pytest.raises(grpc.RpcError) as caught:
        send(b"\xff\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        proxy.ask(*[SEARCH] * 17)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 16 descriptors" in caught.value.details()


def test_without_a_ruleset_there_is_no_answer(serving: Callable[..., Proxy]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        serving().ask(SEARCH)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "No ruleset is loaded.")
