"""nginx, Caddy and Envoy with the configurations of docs/proxies.md, a real platform and a real application."""

import re

import pytest

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import ClientStatus
from tests.proxies.application import Application
from tests.proxies.conftest import BLOCKED, KEY
from tests.proxies.sending import Answer, send
from tests.support.servers import Store

pytestmark = [pytest.mark.xdist_group("proxies"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def whole_quotas(store: Store) -> None:
    """Each test begins with an empty store and the rules."""


FREE = re.compile(r'"free-search:3600s";r=(\d);t=\d+')


def remaining(answer: Answer) -> int:
    """The remaining quota of the default plan on the endpoint “search”."""
    found = FREE.fullmatch(answer.headers["ratelimit"])
    assert found, answer.headers
    return int(found[1])


def test_a_quota_of_three_admits_three_requests_and_denies_the_fourth(proxy: int, application: Application) -> None:
    application.received.clear()

    answers = [send(proxy, "/search?q=tea") for _ in range(4)]

    for answer, left in zip(answers[:3], (2, 1, 0), strict=True):
        assert (answer.status, answer.json()) == (200, {"method": "GET", "path": "/search?q=tea"})
        assert remaining(answer) == left
        assert answer.headers["ratelimit-policy"] == '"free-search:3600s";q=3;w=3600'
        assert "retry-after" not in answer.headers
    denied = answers[3]
    wait = int(denied.headers["retry-after"])
    assert (denied.status, denied.headers["content-type"]) == (429, "application/problem+json")
    assert denied.json()["type"].endswith("#quota-exceeded")
    assert 3_590 <= wait <= 3_600
    assert denied.headers["ratelimit"] == f'"free-search:3600s";r=0;t={wait}'
    assert denied.headers["ratelimit-policy"] == '"free-search:3600s";q=3;w=3600'
    assert len(application.received) == 3


def test_the_application_gets_the_whole_request_and_no_token(proxy: int, application: Application) -> None:
    application.received.clear()

    answer = send(
        proxy, "/orders/7?x=1", "X-Mine: yes", "Authorization: Bearer mine", method="POST", body=b"a" * 100_000
    )

    assert (answer.status, answer.headers["ratelimit-policy"]) == (200, '"free-orders:3600s";q=5;w=3600')
    (received,) = application.received
    assert (received.method, received.path, received.body) == ("POST", "/orders/7?x=1", b"a" * 100_000)
    assert (received.headers["x-mine"], received.headers["authorization"]) == ("yes", "Bearer mine")
    assert "x-ratelimit-token" not in received.headers


def test_method_and_path_decide_the_endpoint(proxy: int) -> None:
    assert send(proxy, "/orders/7", method="POST").headers["ratelimit-policy"].startswith('"free-orders:')
    assert send(proxy, "/search", method="HEAD").headers["ratelimit-policy"].startswith('"free-search:')
    for target, method in (("/orders/7", "GET"), ("/search", "POST"), ("/other?/search", "GET")):
        answer = send(proxy, target, method=method)
        assert (answer.status, "ratelimit" in answer.headers) == (200, False)


@pytest.mark.parametrize("target", ["//search", "/./search", "/x/../search", "/s%65arch", "/search/"])
def test_no_spelling_of_a_path_evades_the_limit(proxy: int, target: str) -> None:
    answer = send(proxy, target)
    assert answer.status == 400 or remaining(answer) == 2


def test_a_uri_with_bytes_outside_ascii_is_counted_or_not_forwarded(proxy: int, application: Application) -> None:
    application.received.clear()
    answer = send(proxy, "/search?q=é")
    assert answer.status in (400, 500) or remaining(answer) == 2
    assert len(application.received) == (answer.status == 200)
    assert send(proxy, "/search?q=%C3%A9").status == 200


def test_platform_and_application_agree_about_an_encoded_slash(proxy: int, application: Application) -> None:
    application.received.clear()

    answer = send(proxy, "/orders/a%2Fb", method="POST")

    (received,) = application.received
    assert ("ratelimit" in answer.headers, received.path) in ((True, "/orders/a%2Fb"), (False, "/orders/a/b"))


def test_a_blocked_client_gets_403(proxy: int, application: Application) -> None:
    application.received.clear()

    answer = send(proxy, "/search", f"X-API-Key: {BLOCKED}")

    assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json()["title"] == "The client is blocked."
    assert not application.received


def test_a_key_names_its_client_and_other_keys_count_for_the_address(proxy: int) -> None:
    for _ in range(5):
        answer = send(proxy, "/search", f"X-API-Key: {KEY}")
        assert (answer.status, answer.headers["ratelimit-policy"]) == (200, '"pro-search:60s";q=100;w=60')
    assert [remaining(send(proxy, "/search", f"X-API-Key: guess-{number}")) for number in range(3)] == [2, 1, 0]
    assert send(proxy, "/search", "X-API-Key: guess-3").status == 429
    assert send(proxy, "/search").status == 429
    assert send(proxy, "/search", f"X-API-Key: {KEY}").status == 200


FORGED = {
    "address": ("X-Forwarded-For: 198.51.100.66",),
    "addresses": ("X-Forwarded-For: 198.51.100.66, 198.51.100.67", "X-Forwarded-For: 198.51.100.68"),
    "URI": ("X-Forwarded-Uri: /other", "X-Original-URI: /other", "X-Original-URL: /other", "X-Rewrite-URL: /other"),
    "method": ("X-Forwarded-Method: POST", "X-Original-Method: POST", "X-HTTP-Method-Override: POST"),
    "underscores": (
        *("X_Forwarded_For: 198.51.100.66", "X_Forwarded_Uri: /other", "X_Forwarded_Method: POST"),
        *("X-Forwarded_For: 198.51.100.66", "X-Forwarded_Uri: /other", "X_Original_URI: /other"),
        "X_RateLimit_Token: mine",
    ),
    "token": ("X-RateLimit-Token: mine",),
    "rate limit headers": ('RateLimit: "free-search:3600s";r=9;t=1', "X-RateLimit-Status: 200", "Retry-After: 0"),
    "connection": ("Connection: close, X-Forwarded-For, X-Forwarded-Uri, X-Original-URI, X-RateLimit-Token",),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=[*FORGED])
def test_what_a_caller_forges_is_not_believed(proxy: int, forged: tuple[str, ...]) -> None:
    answers = [send(proxy, f"/search?denied=403&n={number}", *forged) for number in range(4)]
    if forged[0].startswith("Connection:") and answers[0].status == 400:
        assert {answer.status for answer in answers} == {400}
        return
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert send(proxy, "/search").status == 429


def test_errors_of_the_application_pass(proxy: int) -> None:
    answer = send(proxy, "/missing")
    assert (answer.status, answer.json()["path"]) == (404, "/missing")
    answer = send(proxy, "/broken")
    assert (answer.status, answer.json()["path"]) == (503, "/broken")


def test_a_block_takes_effect_at_once(proxy: int, store: Store) -> None:
    assert send(proxy, "/search", f"X-API-Key: {KEY}").status == 200
    (key,) = [key for key in store._records if store._records[key].plan == "pro"]
    store.put(ClientRecord(key, 5, plan="pro", status=ClientStatus.BLOCKED))
    assert send(proxy, "/search", f"X-API-Key: {KEY}").status == 403
