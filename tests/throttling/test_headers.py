"""The headers on responses of views, by the middleware and by the mixin."""

from typing import Any

import http_sf
import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from limits.decorators import rate_limit
from limits.middleware import RateLimitHeadersMiddleware
from limits.mixins import RateLimitHeadersMixin
from limits.throttling import PolicyThrottle
from tests.throttling.views import request_of, send, send_async

pytestmark = pytest.mark.usefixtures("keyed_shop")


def named(response: HttpResponse) -> list[str]:
    """The limits that a response speaks of, by a parser of structured fields that is not ours."""
    items: Any = http_sf.parse(response["RateLimit"].encode(), tltype="list")
    policies: Any = http_sf.parse(response["RateLimit-Policy"].encode(), tltype="list")
    assert [str(item) for item, _ in items] == [str(item) for item, _ in policies]
    return [str(item) for item, _ in items]


class OrdersThrottle(PolicyThrottle):
    """Asks about another endpoint, whatever the view."""

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


def test_an_admitted_response_has_them_and_a_denied_one_too() -> None:
    answers = [send(Search.as_view()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_async_django_has_them_too() -> None:
    view = rate_limit(endpoint="search")(plain_async)
    answers = [send_async(view) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_the_middleware_is_what_django_asks_for() -> None:
    assert RateLimitHeadersMiddleware.sync_capable
    assert RateLimitHeadersMiddleware.async_capable
    assert iscoroutinefunction(RateLimitHeadersMiddleware(plain_async))
    assert not iscoroutinefunction(RateLimitHeadersMiddleware(Search.as_view()))


def test_a_view_can_add_them_by_itself() -> None:
    answers = [SearchByItself.as_view()(request_of()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4


def test_several_checks_give_one_set_of_the_one_closest_to_denying() -> None:
    view = Search.as_view(throttle_classes=(PolicyThrottle, OrdersThrottle))
    answers = [send(view) for _ in range(4)]
    assert [named(answer) for answer in answers] == [["free-search:3600s"]] * 4
    few = rate_limit(endpoint="orders", cost=18)(lambda request: HttpResponse())
    assert named(send(rate_limit(endpoint="search")(few), request_of("bob"))) == ["free-orders:3600s-bucket"]


def test_a_response_that_nobody_decided_about_has_none() -> None:
    answer = send(Search.as_view(throttle_classes=()))
    assert not answer.has_header("RateLimit")
    assert not answer.has_header("RateLimit-Policy")
