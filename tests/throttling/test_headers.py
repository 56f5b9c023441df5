"""The headers on responses of views, added by the middleware and by the mixin."""

import logging
from typing import Any

import http_sf
import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ratelimit_enforcer import protection
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.middleware import RateLimitHeadersMiddleware, RateLimitHeadersMixin
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.throttling.views import request_of, send, send_async

pytestmark = pytest.mark.usefixtures("keyed_shop")


def named(response: HttpResponse) -> list[str]:
    """The limits in the headers of a response, read by a third-party parser of structured fields."""
    items: Any = http_sf.parse(response["RateLimit"].encode(), tltype="list")
    policies: Any = http_sf.parse(response["RateLimit-Policy"].encode(), tltype="list")
    assert [str(item) for item, _ in items] == [str(item) for item, _ in policies]
    return [str(item) for item, _ in items]


class OrdersThrottle(PolicyThrottle):
    """Checks the endpoint “orders”, regardless of the view."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return super().allow_request(request, type("Orders", (), {"throttle_endpoint": "orders"})())


class Search(APIView):
    throttle_classes: tuple[type[BaseThrottle], ...] = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response("here")


class SearchByItself(RateLimitHeadersMixin, Search):
    pass


async def plain_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("here")


def test_admitted_and_denied_responses_have_the_headers() -> None:
    answers = [send(Search.as_view()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_async_responses_have_the_headers() -> None:
    view = rate_limit(endpoint="search")(plain_async)
    answers = [send_async(view) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_the_middleware_is_sync_and_async_capable() -> None:
    assert RateLimitHeadersMiddleware.sync_capable
    assert RateLimitHeadersMiddleware.async_capable
    assert iscoroutinefunction(RateLimitHeadersMiddleware(plain_async))
    assert not iscoroutinefunction(RateLimitHeadersMiddleware(Search.as_view()))


def test_a_view_can_add_the_headers_itself() -> None:
    answers = [SearchByItself.as_view()(request_of()).render() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_after_several_checks_the_headers_are_of_the_decision_closest_to_denying() -> None:
    view = Search.as_view(throttle_classes=(PolicyThrottle, OrdersThrottle))
    answers = [send(view) for _ in range(4)]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4
    few = rate_limit(endpoint="orders", cost=18)(lambda request: HttpResponse())
    assert named(send(rate_limit(endpoint="search")(few), request_of("bob"))) == ["free-orders:3600s-bucket"]


def test_a_response_without_a_check_has_no_headers() -> None:
    answer = send(Search.as_view(throttle_classes=()))
    assert not answer.has_header("RateLimit")
    assert not answer.has_header("RateLimit-Policy")


class Impatient(BaseThrottle):
    """A throttle of the project that denies, with a wait shorter than any ``t``."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 5


@pytest.mark.parametrize("order", [1, -1])
def test_if_another_throttle_denies_longer_times_are_omitted(order: int) -> None:
    answer = send(Search.as_view(throttle_classes=(PolicyThrottle, Impatient)[::order]))
    assert (answer.status_code, answer["Retry-After"]) == (429, "5")
    assert answer["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert not answer.has_header("RateLimit")


def test_a_blocked_client_gets_no_rate_limit_headers() -> None:
    answer = send(Search.as_view(), request_of("mallory"))
    assert (answer.status_code, answer.has_header("RateLimit-Policy"), answer.has_header("Cache-Control")) == (
        403,
        False,
        False,
    )


def test_the_legacy_reset_is_in_seconds_from_now(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"LEGACY_HEADERS": "instead"}
    answers = [send(Search.as_view()) for _ in range(4)]
    assert all(3_500 < int(answer["X-RateLimit-Reset"]) <= 3_600 for answer in answers)


EXPOSED = "Access-Control-Expose-Headers"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "RateLimit-Policy, RateLimit, Retry-After"),
        ("X-Total, retry-after", "X-Total, retry-after, RateLimit-Policy, RateLimit"),
        ("*", "*, RateLimit-Policy, RateLimit, Retry-After"),
    ],
)
def test_a_setting_exposes_the_headers_to_browsers(settings: Settings, before: str | None, after: str) -> None:
    def corsheaders(request: HttpRequest) -> HttpResponse:
        """Behaves like a CORS middleware inside ours."""
        response = Search.as_view()(request).render()
        if before is not None:
            response[EXPOSED] = before
        return response

    answers = [send(corsheaders) for _ in range(4)]
    assert {answer.headers.get(EXPOSED) for answer in answers} == {before}
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"EXPOSE_HEADERS": True}
    assert send(corsheaders)[EXPOSED] == after


def test_with_legacy_headers_these_are_exposed_to_browsers(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"EXPOSE_HEADERS": True, "LEGACY_HEADERS": "instead"}
    older = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
    assert send(Search.as_view())[EXPOSED] == older


def test_a_response_without_the_headers_exposes_nothing(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"EXPOSE_HEADERS": True}
    assert not send(Search.as_view(throttle_classes=())).has_header(EXPOSED)


def test_a_request_counted_twice_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protection, "_counted_twice", RateLimitedLog(logging.getLogger("ratelimit_enforcer")))
    send(Search.as_view(throttle_classes=(PolicyThrottle, OrdersThrottle)))
    assert caplog.messages == [], "Two endpoints are two questions."
    for _ in range(2):
        send(Search.as_view(throttle_classes=(PolicyThrottle, PolicyThrottle)), request_of("bob"))
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "A request to the endpoint search was counted twice"
    ]
