"""What proxies say about the original request: method, path and address."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from pytest_django import Settings

from api.forward_auth import original_request
from ratelimit_enforcer.domain.attributes import match_of
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.log_limiter import RateLimitedLog
from tests.api.conftest import SHOP, token
from tests.api.forward_auth.conftest import ADDRESS, FORWARDED, HEADERS, ORIGINAL, PEER, Ask, Envoy
from tests.support.servers import Store

SEARCH = '"free-search:3600s";q=3;w=3600'
ORDERS = '"free-orders:3600s-bucket";q=20;w=7200'
NAMES = {
    "traefik": ("x-forwarded-method", "x-forwarded-uri"),
    "caddy": ("x-forwarded-method", "x-forwarded-uri"),
    "nginx": ("x-original-method", "x-original-uri"),
}
SPELLED = {
    "x-forwarded-method": "X-Forwarded-Method",
    "x-forwarded-uri": "X-Forwarded-Uri",
    "x-original-method": "X-Original-Method",
    "x-original-uri": "X-Original-URI",
    "x-forwarded-for": "X-Forwarded-For",
}


def policies(ask: Ask, proxy: str, method: str, uri: str) -> str | None:
    """The policies that apply to a request with this method and URI."""
    method_name, uri_name = NAMES[proxy]
    headers = {method_name: method, uri_name: uri, "x-forwarded-for": ADDRESS}
    return ask(proxy, headers).headers.get("RateLimit-Policy")


@pytest.mark.parametrize("proxy", NAMES)
@pytest.mark.parametrize("absent", ["missing", "empty"])
def test_a_missing_header_is_named(ask: Ask, proxy: str, absent: str) -> None:
    for name in (*NAMES[proxy], "x-forwarded-for"):
        headers = {key: value for key, value in HEADERS[proxy].items() if key != name}
        response = ask(proxy, headers | ({name: ""} if absent == "empty" else {}))

        assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")
        assert response.json()["errors"] == {SPELLED[name]: ["is required."]}


@pytest.mark.parametrize("proxy", NAMES)
def test_all_missing_headers_are_named_together(ask: Ask, proxy: str) -> None:
    assert {*ask(proxy, {}).json()["errors"]} == {SPELLED[name] for name in (*NAMES[proxy], "x-forwarded-for")}


def test_envoy_must_send_the_address_too(ask: Ask) -> None:
    response = ask("envoy/api/search", {})
    assert (response.status_code, response.json()["errors"]) == (400, {"X-Forwarded-For": ["is required."]})


def test_headers_of_other_proxies_are_not_read(ask: Ask, envoy: Envoy) -> None:
    assert ask("nginx", FORWARDED).status_code == 400
    assert ask("traefik", ORIGINAL).status_code == 400
    assert envoy("/api/search", x_forwarded_uri="/free", x_original_uri="/free")["RateLimit-Policy"] == SEARCH
    both = ORIGINAL | {"x-forwarded-method": "POST", "x-forwarded-uri": "/api/orders"}
    assert ask("nginx", both)["RateLimit-Policy"] == SEARCH


@pytest.mark.parametrize("proxy", NAMES)
def test_method_and_path_decide_the_endpoint(ask: Ask, proxy: str) -> None:
    assert policies(ask, proxy, "GET", "/api/search") == SEARCH
    assert policies(ask, proxy, "HEAD", "/api/search?page=2#top") == SEARCH
    assert policies(ask, proxy, "GET", "//api/./x/../se%61rch") == SEARCH
    assert policies(ask, proxy, "POST", "/api/orders") == ORDERS
    assert policies(ask, proxy, "GET", "/api/orders") is None
    assert policies(ask, proxy, "GET", "/elsewhere?/api/search") is None


@pytest.mark.parametrize("proxy", NAMES)
@pytest.mark.parametrize(
    ("method", "uri", "wrong"),
    [
        ("GE T", "/api/search", 0),
        ("G" * 33, "/api/search", 0),
        ("GET", "api/search", 1),
        ("GET", "http://shop.example/api/search", 1),
        ("GET", "/" + "a" * 8_192, 1),
    ],
)
def test_an_invalid_header_is_named(ask: Ask, proxy: str, method: str, uri: str, wrong: int) -> None:
    headers = dict(zip(NAMES[proxy], (method, uri), strict=True)) | {"x-forwarded-for": ADDRESS}
    response = ask(proxy, headers)
    assert (response.status_code, {*response.json()["errors"]}) == (400, {SPELLED[NAMES[proxy][wrong]]})


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/caf\xc3\xa9?q=\xc3\xa9", "/caf%C3%A9"),
        ("/%C3%A9/\xff%zz", "/%C3%A9/%FF%zz"),
        ("/a%2Fb//c/../d", "/a%2Fb//c/../d"),
    ],
)
def test_bytes_of_a_path_are_encoded_and_nothing_else_changes(uri: str, path: str) -> None:
    meta = {"HTTP_X_ORIGINAL_METHOD": "GET", "HTTP_X_ORIGINAL_URI": uri, "HTTP_X_FORWARDED_FOR": ADDRESS}
    check = original_request.check_by_headers(SimpleNamespace(META=meta), original_request.HEADERS["nginx"])
    assert check.path == path


def test_envoy_sends_the_method_and_the_path_as_its_own(envoy: Envoy) -> None:
    assert envoy("/api/search?q=1")["RateLimit-Policy"] == SEARCH
    assert envoy("/api/search", method="HEAD")["RateLimit-Policy"] == SEARCH
    assert envoy("/api/orders", method="POST")["RateLimit-Policy"] == ORDERS
    assert "RateLimit-Policy" not in envoy("/api/search", method="POST")
    assert "RateLimit-Policy" not in envoy("/api/orders", method="PROPFIND")
    assert envoy("/").status_code == 200


@pytest.mark.parametrize("path", ["//api/search", "/x/../api/search", "/api%2Fsearch", "/api/se%61rch", "/api/search/"])
def test_no_spelling_of_a_path_evades_a_limit_behind_envoy(envoy: Envoy, path: str) -> None:
    assert envoy(path)["RateLimit-Policy"] == SEARCH


@pytest.mark.parametrize("path", ["/api/se%2561rch", "/api%3Fsearch", "/%3F/api/search", "/api/search%3Fq=1"])
def test_a_path_is_decoded_once(envoy: Envoy, path: str) -> None:
    assert "RateLimit-Policy" not in envoy(path)


@pytest.mark.parametrize("path", ["/%0A", "/%C3%A9", "/%FF", "/a%00b", "/" + "%20" * 100])
def test_any_bytes_of_a_path_get_an_answer(envoy: Envoy, path: str) -> None:
    assert envoy(path).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (1, "203.0.113.9", "ip:203.0.113.9"),
        (1, "198.51.100.66, 203.0.113.9", "ip:203.0.113.9"),
        (2, "198.51.100.66, 203.0.113.9, 10.0.0.1", "ip:203.0.113.9"),
        (1, "203.0.113.9:51344", "ip:203.0.113.9"),
        (1, "2001:db8:1:2:3::4", "ip:2001:db8:1:2::/64"),
        (0, "203.0.113.9", f"ip:{PEER}"),
    ],
)
@pytest.mark.parametrize("proxy", HEADERS)
def test_the_address_follows_num_proxies(
    ask: Ask, proxy: str, proxies: int, forwarded: str, client: str, settings: Settings
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}
    answers = [ask(proxy, x_forwarded_for=forwarded) for _ in range(4)]
    assert (answers[3].status_code, answers[3].json()["client"]) == (429, client)


def test_without_num_proxies_the_address_is_not_read_and_a_line_says_so(
    ask: Ask, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RateLimitedLog(logging.getLogger(original_request.__name__))
    monkeypatch.setattr(original_request, "_shared_address_log", log)
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}

    for _ in range(2):
        assert ask("nginx", {"x-original-method": "GET", "x-original-uri": "/"}).status_code == 200

    assert [message.partition(",")[0] for message in caplog.messages] == ["NUM_PROXIES is 0"]


def test_the_address_is_an_attribute_that_policies_count_and_match(ask: Ask, shop: Store) -> None:
    by_ip = Policy(
        "by-ip",
        (Limit(1, 60),),
        partition=Partition.GLOBAL,
        attributes=("ip",),
        match=match_of({"ip": ["2001:db8::7"]}),
    )
    shop.publish(replace(SHOP, policies=(by_ip,), tokens=(token("checker", *SHOP.tokens[0].scopes),)))

    matching = [ask("nginx", x_forwarded_for="2001:DB8::7").status_code for _ in range(2)]

    assert matching == [200, 429]
    assert ask("nginx", x_forwarded_for="2001:db8::8").status_code == 200
