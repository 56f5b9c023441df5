"""``PolicyThrottle``: a view limited by the platform's policies."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from pytest_django import Settings
from rest_framework.decorators import action, api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.middleware import RateLimitHeadersMiddleware, RateLimitHeadersMixin
from ratelimit_enforcer.protection import Verdict
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.domain.test_decision import decision, denying
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store

Send = Callable[..., HttpResponse]


class View(APIView):
    throttle_classes = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response({"here": "it is"})

    post = get


def key_in_header(request: Request) -> str:
    return request.headers["X-Key"]


@pytest.fixture
def send(shop: Store, settings: Settings) -> Send:
    """Sends a request through the middleware to a view, as the client in the header."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": f"{__name__}.key_in_header"}

    def send(
        client: str = "somebody", path: str = "/api/search", method: str = "get", **attributes: Any
    ) -> HttpResponse:
        request = getattr(APIRequestFactory(), method)(path, headers={"X-Key": client})
        view = type("Named", (View,), attributes).as_view()
        response = RateLimitHeadersMiddleware(view)(request)
        assert isinstance(response, HttpResponse)
        return response

    return send


def remaining(client: str, endpoint: str = "search") -> int | None:
    decision = get_engine().check(CheckRequest(client, endpoint), consume=False)
    return decision.leading.remaining if decision.leading else None


def test_the_quota_is_admitted_and_then_denied_with_the_headers(send: Send) -> None:
    answers = [send() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"free-search:3600s";r={left}' for left in (2, 1, 0, 0)
    ]
    assert answers[3]["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert 3_590 <= int(answers[3]["Retry-After"]) <= 3_600
    assert "Retry-After" not in answers[0]


def test_routes_do_not_depend_on_where_the_project_is_mounted(shop: Store, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": f"{__name__}.key_in_header"}
    mounted = {"SCRIPT_NAME": "/shopapp", "PATH_INFO": "/api/search"}
    for prefix in (mounted, {}):
        request = APIRequestFactory().get("/api/search", headers={"X-Key": "mounted"}, **prefix)
        assert request.path == prefix.get("SCRIPT_NAME", "") + "/api/search"
        assert View.as_view()(request).status_code == 200
    assert remaining("mounted") == 1


def test_a_request_is_one_script_call_regardless_of_the_number_of_limits(send: Send, shop: Store) -> None:
    send()
    wait_for_heartbeat()
    shop.redis.config_resetstat()
    send()
    assert shop.redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_method_and_path_select_the_endpoint_unless_the_view_defines_one(send: Send) -> None:
    assert "free-orders" in send(path="/api/orders", method="post")["RateLimit"]
    assert send(path="/api/orders").has_header("RateLimit") is False
    assert "free-search" in send(path="/elsewhere", throttle_endpoint="search")["RateLimit"]


@pytest.mark.parametrize(
    ("cost", "left"),
    [
        (None, 15),
        (2, 18),
        (lambda self, request: len(request.headers["X-Key"]), 12),
        (lambda request: len(request.headers["X-Key"]), 12),
        (staticmethod(lambda request: len(request.headers["X-Key"])), 12),
    ],
    ids=["the endpoint's", "a number", "a method", "a callable", "a static method"],
)
def test_the_cost_is_that_of_the_view_or_of_the_endpoint(send: Send, cost: Any, left: int) -> None:
    send("somebody", "/api/orders", "post", **({} if cost is None else {"throttle_cost": cost}))
    assert remaining("somebody", "orders") == left


@pytest.mark.parametrize("cost", [0, -1, 1.5, "5", True, 10**6 + 1])
def test_an_invalid_cost_is_reported(send: Send, cost: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="The cost of a request is"):
        send(throttle_cost=cost)


def test_a_denial_by_a_quota_of_zero_has_no_retry_after(send: Send) -> None:
    answer = send(throttle_endpoint="closed")
    assert answer.status_code == 429
    assert not answer.has_header("Retry-After")


def test_blocked_clients_get_403_and_exempt_ones_are_never_limited(send: Send) -> None:
    assert send("mallory").status_code == 403
    assert {send("vip").status_code for _ in range(6)} == {200}


def test_a_view_without_the_throttle_has_no_headers(send: Send) -> None:
    assert not send(throttle_classes=()).has_header("RateLimit")


def test_the_legacy_headers_can_be_added(send: Send, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"LEGACY_HEADERS": "beside"}
    answer = send()
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("3", "2")
    assert answer.has_header("RateLimit")


def test_the_response_to_a_blocked_client_has_the_reason(send: Send) -> None:
    answer = send("mallory")
    assert isinstance(answer, Response)
    assert answer.data == {"detail": "This client is blocked."}


def test_the_body_of_a_denial_is_the_frameworks(send: Send) -> None:
    answer = [send() for _ in range(4)][3]
    assert isinstance(answer, Response)
    assert answer.data["detail"].startswith("Request was throttled. Expected available in 3")


class Shop(RateLimitHeadersMixin, ViewSet):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = {"list": "search", "create": "orders"}
    throttle_cost = {"create": 2}

    def list(self, request: Request) -> Response:
        return Response([])

    def create(self, request: Request) -> Response:
        return Response(status=201)

    @action(detail=False, throttle_endpoint="closed")
    def closed(self, request: Request) -> Response:
        return Response("never")


def test_a_viewset_has_values_for_each_action(send: Send) -> None:
    factory = APIRequestFactory()
    listed = Shop.as_view({"get": "list"})(factory.get("/x", headers={"X-Key": "ann"}))
    created = Shop.as_view({"post": "create"})(factory.post("/x", headers={"X-Key": "ann"}))
    closed = Shop.as_view({"get": "closed"}, **Shop.closed.kwargs)(factory.get("/x", headers={"X-Key": "ann"}))
    assert [listed.status_code, created.status_code, closed.status_code] == [200, 201, 429]
    assert (remaining("ann"), remaining("ann", "orders")) == (2, 18)


def test_a_function_view_is_matched_by_path_or_defines_its_endpoint(send: Send) -> None:
    @api_view(["GET"])
    @throttle_classes([PolicyThrottle])
    def found(request: Request) -> Response:
        return Response("here")

    @rate_limit(endpoint="orders", cost=lambda request: 7)
    @api_view(["GET"])
    def named(request: Request) -> Response:
        return Response("here")

    requests = [APIRequestFactory().get("/api/search", headers={"X-Key": "ann"}) for _ in range(5)]
    assert [found(request).status_code for request in requests[:4]] == [200, 200, 200, 429]
    assert named(requests[4]).status_code == 200
    assert remaining("ann", "orders") == 13


class Denying(BaseThrottle):
    """A throttle of the project that denies."""

    asked = 0
    wait_for: float | None = 7_000

    def allow_request(self, request: Request, view: APIView) -> bool:
        Denying.asked += 1
        return False

    def wait(self) -> float | None:
        return self.wait_for


@pytest.mark.parametrize("order", [1, -1])
def test_all_throttles_of_a_view_run_and_the_longest_wait_wins(send: Send, order: int) -> None:
    classes = (PolicyThrottle, Denying)[::order]
    before, answers = Denying.asked, [send(throttle_classes=classes) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429] * 4
    assert Denying.asked == before + 4
    assert {answer["Retry-After"] for answer in answers} == {"7000"}
    assert remaining("somebody") == 0, "A request that another throttle denies was charged all the same."


def test_a_wait_below_a_second_is_reported_as_one() -> None:
    """The framework omits Retry-After if the wait is 0."""
    assert Verdict(429, decision(denying("a", 0.0), allowed=False)).retry_after == 1.0
    assert Verdict(429, decision(denying("a", 1.5), allowed=False)).retry_after == 1.5
