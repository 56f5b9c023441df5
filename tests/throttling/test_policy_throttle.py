"""``PolicyThrottle``: a view obeys the plans."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from limits.enforcement import CheckRequest, get_engine
from limits.middleware import RateLimitHeadersMiddleware
from limits.throttling import PolicyThrottle
from ratelimit_platform.embedded.redis import free_port
from tests.support.servers import Store

Ask = Callable[..., HttpResponse]


class View(APIView):
    throttle_classes = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response({"here": "it is"})

    post = get


def key_in_header(request: Request) -> str:
    return request.headers["X-Key"]


@pytest.fixture
def ask(shop: Store, settings: Settings) -> Ask:
    """Sends a request to a view, through the middleware, as the client of the header."""
    settings.RATELIMIT_PLATFORM |= {"CLIENT_IDENTIFIER": f"{__name__}.key_in_header"}

    def ask(
        client: str = "somebody", path: str = "/api/search", method: str = "get", **attributes: Any
    ) -> HttpResponse:
        request = getattr(APIRequestFactory(), method)(path, headers={"X-Key": client})
        view = type("Named", (View,), attributes).as_view()
        response = RateLimitHeadersMiddleware(view)(request)
        assert isinstance(response, HttpResponse)
        return response

    return ask


def remaining(client: str, endpoint: str = "search") -> int | None:
    decision = get_engine().check(CheckRequest(client, endpoint), consume=False)
    return decision.leading.remaining if decision.leading else None


def test_the_quota_is_admitted_and_then_denied_with_the_headers(ask: Ask) -> None:
    answers = [ask() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"free-search:3600s";r={left}' for left in (2, 1, 0, 0)
    ]
    assert answers[3]["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert 3_590 <= int(answers[3]["Retry-After"]) <= 3_600
    assert "Retry-After" not in answers[0]


def test_a_request_is_asked_about_once_whatever_the_number_of_limits(ask: Ask, shop: Store) -> None:
    ask()
    shop.redis.config_resetstat()
    ask()
    assert shop.redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_method_and_path_decide_the_endpoint_unless_the_view_names_one(ask: Ask) -> None:
    assert "free-orders" in ask(path="/api/orders", method="post")["RateLimit"]
    assert ask(path="/api/orders").has_header("RateLimit") is False
    assert "free-search" in ask(path="/elsewhere", throttle_endpoint="search")["RateLimit"]


@pytest.mark.parametrize(
    ("cost", "left"),
    [(None, 15), (2, 18), (lambda self, request: len(request.headers["X-Key"]), 12)],
    ids=["the endpoint's", "a number", "a callable"],
)
def test_the_cost_is_the_views_or_the_endpoints(ask: Ask, cost: Any, left: int) -> None:
    ask("somebody", "/api/orders", "post", **({} if cost is None else {"throttle_cost": cost}))
    assert remaining("somebody", "orders") == left


def test_waiting_that_cannot_help_has_no_retry_after(ask: Ask) -> None:
    answer = ask(throttle_endpoint="closed")
    assert answer.status_code == 429
    assert not answer.has_header("Retry-After")


def test_a_blocked_client_is_refused_for_good_and_an_exempt_one_is_never_limited(ask: Ask) -> None:
    assert ask("mallory").status_code == 403
    assert {ask("vip").status_code for _ in range(6)} == {200}


def test_without_the_store_the_answer_is_503_and_says_when_to_try_again(ask: Ask, settings: Settings) -> None:
    ask()
    settings.RATELIMIT_PLATFORM |= {"REDIS": f"redis://127.0.0.1:{free_port()}/0", "CHECK_DEADLINE": 0.1}
    answer = ask()
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert not answer.has_header("RateLimit")


def test_a_view_without_the_throttle_has_no_headers(ask: Ask) -> None:
    assert not ask(throttle_classes=()).has_header("RateLimit")


def test_the_older_headers_are_there_where_they_are_wanted(ask: Ask, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM |= {"LEGACY_HEADERS": "beside"}
    answer = ask()
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("3", "2")
    assert answer.has_header("RateLimit")


def client_named(shop: Store, settings: Settings, request: HttpRequest, user: Any = None) -> str:
    """Who the throttle takes the request for, by default."""
    settings.RATELIMIT_PLATFORM |= {"CLIENT_IDENTIFIER": ""}
    throttle, drf_request = PolicyThrottle(), Request(request)
    drf_request.user = user
    throttle.allow_request(drf_request, View())
    assert throttle._decision
    return throttle._decision.client


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "ip:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "ip:2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "ip:192.0.2.7"),
        ("unix:", "ip:unix:"),
    ],
)
def test_who_is_not_logged_in_is_an_address(shop: Store, settings: Settings, address: str, client: str) -> None:
    request = APIRequestFactory().get("/api/search", REMOTE_ADDR=address)
    assert client_named(shop, settings, request, AnonymousUser()) == client


def test_who_is_logged_in_is_a_user(shop: Store, settings: Settings) -> None:
    request = APIRequestFactory().get("/api/search")
    assert client_named(shop, settings, request, User(pk=7)) == "user:7"


def test_proxies_are_counted_as_the_framework_counts_them(shop: Store, settings: Settings) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    request = APIRequestFactory().get("/api/search", headers={"X-Forwarded-For": "198.51.100.1, 192.0.2.9"})
    assert client_named(shop, settings, request) == "ip:192.0.2.9"
