"""The rate limit headers of one client never reach another one, neither through a cache nor in a 304."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control, cache_page
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.middleware import RateLimitHeadersMixin
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.api.conftest import serve
from tests.support.servers import Store

OURS = "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware"
SITE_CACHE = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"]
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"

runs: list[str] = []
"""The executed views, in order."""


class Search(APIView):
    throttle_classes: Any = (PolicyThrottle,)
    throttle_endpoint = "search"

    def get(self, request: Request) -> Response:
        runs.append("search")
        return Response("here")


class ByItself(RateLimitHeadersMixin, Search):
    throttle_endpoint = "search"


class CachedInside(RateLimitHeadersMixin, Search):
    throttle_endpoint = "search"

    @method_decorator(cache_page(60))
    def get(self, request: Request) -> Response:
        return super().get(request)


@rate_limit(endpoint="search")
def plain(request: HttpRequest) -> HttpResponse:
    runs.append("plain")
    return HttpResponse("here")


@rate_limit(endpoint="search")
@cache_page(60)
def template(request: HttpRequest) -> HttpResponse:
    runs.append("template")
    return TemplateResponse(request, engines["django"].from_string("here"))  # type: ignore[arg-type]


urlpatterns = [
    path("search", Search.as_view()),
    path("itself", ByItself.as_view()),
    path("inside", CachedInside.as_view()),
    path("plain", plain),
    path("template", template),
    path("page", cache_page(60)(Search.as_view())),
    path("page-itself", cache_page(60)(ByItself.as_view())),
    path("page-plain", cache_page(60)(plain)),
    path("public", cache_control(public=True, max_age=60)(ByItself.as_view())),
    path("shared", cache_control(s_maxage=60)(plain)),
]

Send = Callable[..., Any]


@pytest.fixture
def send(shop: Store, settings: Settings) -> Send:
    """Sends a request from an address through a project's middleware."""
    serve(settings, shop)
    settings.ROOT_URLCONF = __name__
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "site"}}
    caches["default"].clear()
    runs.clear()

    def send(path: str, address: str, middleware: list[str], **headers: str) -> Any:
        settings.MIDDLEWARE = middleware
        return Client(REMOTE_ADDR=address).get(f"/{path}", headers=headers)  # type: ignore[arg-type]

    return send


def left(answer: HttpResponse) -> str | None:
    """The ``RateLimit`` header of a response, without the seconds."""
    return answer.headers["RateLimit"].partition(";t=")[0] if answer.has_header("RateLimit") else None


LEFT_2, LEFT_1 = '"free-search:3600s";r=2', '"free-search:3600s";r=1'
ANN, BOB = "192.0.2.1", "192.0.2.2"


@pytest.mark.parametrize("at", ["search", "itself", "plain"])
def test_the_site_cache_inside_of_our_middleware_stores_no_figures(send: Send, at: str) -> None:
    middleware = [OURS, *SITE_CACHE]
    assert [left(send(at, each, middleware)) for each in (ANN, BOB, ANN)] == [LEFT_2, None, None]
    assert len(runs) == 1, "The cache answers; nobody is asked."


@pytest.mark.parametrize("at", ["search", "itself", "plain"])
def test_the_site_cache_outside_of_our_middleware_stores_no_response_with_figures(send: Send, at: str) -> None:
    middleware = [SITE_CACHE[0], OURS, SITE_CACHE[1]]
    answers = [send(at, each, middleware) for each in (ANN, BOB, ANN)]
    assert [left(answer) for answer in answers] == [LEFT_2, LEFT_2, LEFT_1]
    assert {"private" in answer["Cache-Control"] for answer in answers} == {True}


@pytest.mark.parametrize("at", ["page", "page-itself", "page-plain"])
def test_cache_page_around_a_view_with_our_middleware(send: Send, at: str) -> None:
    assert [left(send(at, each, [OURS])) for each in (ANN, BOB, ANN)] == [LEFT_2, None, None]
    assert len(runs) == 1


@pytest.mark.parametrize("at", ["page-itself", "page-plain"])
def test_cache_page_around_a_view_that_writes_the_headers_itself(send: Send, at: str) -> None:
    assert [left(send(at, each, [])) for each in (ANN, BOB, ANN)] == [LEFT_2, LEFT_2, LEFT_1]


@pytest.mark.parametrize("middleware", [[], [OURS]])
@pytest.mark.parametrize("at", ["inside", "template"])
def test_cache_page_inside_of_a_rate_limited_view(send: Send, at: str, middleware: list[str]) -> None:
    """Each request is counted and gets its own figures; the view runs once."""
    assert [left(send(at, each, middleware)) for each in (ANN, BOB, ANN)] == [LEFT_2, LEFT_2, LEFT_1]
    assert len(runs) == 1


@pytest.mark.parametrize("at", ["search", "plain"])
def test_a_304_has_the_figures_of_its_own_request(send: Send, at: str) -> None:
    middleware = [OURS, CONDITIONAL]
    etag = send(at, ANN, middleware)["ETag"]
    answers = [send(at, each, middleware, if_none_match=etag) for each in (BOB, ANN)]
    assert [(answer.status_code, left(answer)) for answer in answers] == [(304, LEFT_2), (304, LEFT_1)]
    assert {"private" in answer["Cache-Control"] for answer in answers} == {True}


@pytest.mark.parametrize("at", ["search", "page", "itself"])
def test_no_shared_cache_may_keep_a_response_with_figures(send: Send, at: str) -> None:
    answer = send(at, ANN, [OURS])
    assert left(answer) == LEFT_2
    assert "private" in answer["Cache-Control"]


@pytest.mark.parametrize(("at", "control"), [("public", "public, max-age=60"), ("shared", "s-maxage=60")])
def test_a_public_response_stays_public_and_has_no_figures(send: Send, at: str, control: str) -> None:
    answer = send(at, ANN, [OURS])
    assert (left(answer), set(answer["Cache-Control"].split(", "))) == (None, set(control.split(", ")))
