"""The answers to proxies: status, headers and body of an admitted, a denied, a blocked and an undecided request."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_django import Settings

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import SHOP, serve
from tests.api.forward_auth.conftest import ADDRESS, HEADERS, ORIGINAL, Ask, Configure, Envoy, header_names
from tests.support.servers import Store

DENIED = "nginx?denied=403"


@pytest.mark.parametrize("proxy", HEADERS)
def test_a_quota_of_three_admits_three_requests_with_headers_and_denies_the_fourth(ask: Ask, proxy: str) -> None:
    admitted = [ask(proxy) for _ in range(3)]
    denied = ask(proxy)

    for remaining, response in zip((2, 1, 0), admitted, strict=True):
        assert (response.status_code, response.content) == (200, b"")
        assert response["RateLimit"].startswith(f'"free-search:3600s";r={remaining};t=')
        assert response["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert (denied.status_code, denied["Content-Type"]) == (429, "application/problem+json")
    body = denied.json()
    assert (body["client"], body["endpoint"], body["violated-policies"]) == (
        f"ip:{ADDRESS}",
        "search",
        ["free-search:3600s"],
    )
    assert 3_590 <= int(denied["Retry-After"]) <= 3_600
    assert denied["RateLimit"] == f'"free-search:3600s";r=0;t={denied["Retry-After"]}'
    assert "X-RateLimit-Status" not in denied


@pytest.mark.parametrize("proxy", HEADERS)
def test_the_headers_are_only_those_of_the_rate_limits(ask: Ask, proxy: str) -> None:
    """Proxies pass them on to callers of another site: it must not get security headers of the platform."""
    response = ask(proxy, x_forwarded_proto="https")

    assert header_names(response) == {"RateLimit", "RateLimit-Policy"}


def test_older_headers_by_the_setting(ask: Ask, configure: Configure) -> None:
    configure(LEGACY_HEADERS="instead")
    assert header_names(ask("caddy")) == {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}


def test_no_headers_without_a_limit(envoy: Envoy) -> None:
    response = envoy("/elsewhere")
    assert (response.status_code, response.content, header_names(response)) == (200, b"", set())


def block(shop: Store, key: str) -> None:
    shop.load(ClientRecord(key, 1, status=ClientStatus.BLOCKED))


def test_a_blocked_client_is_answered_403_with_a_problem_document(ask: Ask, shop: Store) -> None:
    block(shop, f"ip:{ADDRESS}")
    for proxy in HEADERS:
        response = ask(proxy)
        assert (response.status_code, response.json()["type"]) == (403, "/problems/client-blocked")


def test_with_denied_403_a_denial_names_its_status_in_a_header(ask: Ask) -> None:
    assert [ask(DENIED, ORIGINAL).status_code for _ in range(3)] == [200] * 3
    response = ask(DENIED, ORIGINAL)

    assert (response.status_code, response["X-RateLimit-Status"]) == (403, "429")
    assert response["RateLimit"] == f'"free-search:3600s";r=0;t={response["Retry-After"]}'
    assert response["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert response.json()["violated-policies"] == ["free-search:3600s"]


def test_with_denied_403_a_blocked_client_has_no_such_header(ask: Ask, shop: Store) -> None:
    block(shop, f"ip:{ADDRESS}")
    response = ask(DENIED, ORIGINAL)
    assert (response.status_code, "X-RateLimit-Status" in response) == (403, False)


@pytest.mark.parametrize("query", ["denied=429", "denied=403&denied=403", "denied", "more=1", "status=200"])
@pytest.mark.parametrize("proxy", ["nginx", "traefik"])
def test_other_queries_are_invalid_where_the_configuration_has_the_whole_address(
    ask: Ask, proxy: str, query: str
) -> None:
    response = ask(f"{proxy}?{query}", HEADERS[proxy])
    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")


@pytest.mark.parametrize("address", ["caddy?denied=403", "envoy/api/search?denied=403"])
def test_the_query_of_a_caller_changes_nothing(ask: Ask, address: str) -> None:
    proxy = next(name for name in HEADERS if name[:5] == address[:5])
    assert [ask(address, HEADERS[proxy]).status_code for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize("address", ["", "haproxy", "nginx/", "nginx/api/search", "envoy", "TRAEFIK"])
def test_other_proxies_are_unknown(ask: Ask, address: str) -> None:
    response = ask(address, ORIGINAL)
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("proxy", ["nginx", "traefik", "caddy"])
def test_any_method_is_answered(ask: Ask, proxy: str, method: str) -> None:
    assert ask(proxy, method=method)["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'


@pytest.mark.parametrize("host", ["api.example.com", "10.1.2.3:8000", "a..b", ""])
def test_any_host_is_accepted(ask: Ask, host: str) -> None:
    assert ask("nginx", host=host).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;q=0"])
def test_the_accept_header_of_the_original_request_is_not_read(ask: Ask, accept: str) -> None:
    assert ask("caddy", accept=accept).status_code == 200


def test_a_request_takes_no_place_of_a_concurrency_limit(ask: Ask, shop: Store) -> None:
    places = Policy("places", (Limit(1, 60, Algorithm.CONCURRENCY),), endpoint="search")
    shop.publish(replace(SHOP, policies=(places,)))
    assert [ask("nginx").status_code for _ in range(3)] == [200] * 3


def test_without_the_store_the_policy_decides(
    ask: Ask, settings: Settings, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    store = Store(server.url, "test")
    store.publish(SHOP)
    store.load()
    serve(settings, store)
    orders = ORIGINAL | {"x-original-method": "POST", "x-original-uri": "/api/orders"}
    assert ask("nginx", orders).status_code == 200
    server.kill()

    denied = ask("nginx", orders)
    assert (denied.status_code, denied.json()["reason"]) == (503, "store_unavailable")
    assert int(denied["Retry-After"]) >= 1
    as_403 = ask(DENIED, orders)
    assert (as_403.status_code, as_403["X-RateLimit-Status"]) == (403, "503")
    assert as_403["Retry-After"] == denied["Retry-After"]
    # “local”: admitted without headers, because the figures are not those of the store.
    admitted = ask("nginx")
    assert (admitted.status_code, header_names(admitted)) == (200, set())


def test_without_any_rules(ask: Ask, settings: Settings, redis_url: str) -> None:
    serve(settings, Store(redis_url, "never-published"))
    response = ask("nginx")
    assert (response.status_code, json.loads(response.content)["type"]) == (503, "/problems/ruleset-missing")
    assert ask(DENIED, ORIGINAL)["X-RateLimit-Status"] == "503"
