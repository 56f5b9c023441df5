"""A project whose tests run without Redis, as before it used this package."""

import logging
from typing import Any
from unittest.mock import patch

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from ratelimit_enforcer import throttling
from ratelimit_enforcer.checks import check_settings
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.protection import Verdict
from ratelimit_enforcer.throttling import AtomicAnonRateThrottle, PolicyThrottle
from tests.throttling.views import send

LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "without-redis"}
DUMMY = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}


class Search(APIView):
    throttle_classes: Any = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response("here")


class TwoPerMinute(AtomicAnonRateThrottle):
    rate = "2/min"


@rate_limit(endpoint="search")
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("here")


@pytest.fixture(autouse=True)
def in_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": LOCAL}
    settings.RATELIMIT_PLATFORM = {}
    monkeypatch.setattr(throttling, "_not_exact", RateLimitedLog(logging.getLogger("ratelimit_enforcer.throttling")))
    caches["default"].clear()


def statuses(view: Any, times: int = 4) -> list[int]:
    return [send(view, APIRequestFactory().get("/")).status_code for _ in range(times)]


@pytest.mark.parametrize("cache", [LOCAL, DUMMY])
@pytest.mark.parametrize("view", [Search.as_view(), plain, Search.as_view(throttle_classes=(TwoPerMinute,))])
def test_with_enabled_false_nothing_is_limited_and_the_system_checks_pass(
    settings: Settings, cache: dict[str, str], view: Any
) -> None:
    settings.CACHES = {"default": cache}
    settings.RATELIMIT_PLATFORM = {"ENABLED": False}
    assert statuses(view) == [200] * 4
    assert check_settings() == []


@pytest.mark.parametrize("view", [Search.as_view(), plain])
def test_without_that_setting_the_error_names_the_solution(view: Any) -> None:
    says = r"the cache 'default' is django.core.cache.backends.locmem.LocMemCache.*\"ENABLED\": False"
    with pytest.raises(ImproperlyConfigured, match=says):
        statuses(view)


@pytest.mark.parametrize(("cache", "expected"), [(LOCAL, [200, 200, 429, 429]), (DUMMY, [200] * 4)])
def test_rates_are_counted_as_by_the_framework(
    settings: Settings, caplog: pytest.LogCaptureFixture, cache: dict[str, str], expected: list[int]
) -> None:
    settings.CACHES = {"default": cache}
    assert statuses(Search.as_view(throttle_classes=(TwoPerMinute,))) == expected
    assert len([line for line in caplog.messages if "more are admitted under load" in line]) == 1


def test_the_cache_of_a_class_may_be_in_memory_too(settings: Settings) -> None:
    settings.CACHES = {"default": DUMMY, "local": LOCAL}
    throttle = type("Local", (TwoPerMinute,), {"cache": caches["local"]})
    assert statuses(Search.as_view(throttle_classes=(throttle,))) == [200, 200, 429, 429]


def test_the_wait_in_memory_is_the_frameworks() -> None:
    throttle = type("Timed", (TwoPerMinute,), {"timer": lambda self: 0.0})
    request = Request(APIRequestFactory().get("/"))
    assert all(throttle().allow_request(request, None) for _ in range(2))  # type: ignore[arg-type]
    for rate, wait in (("2/min", 60), ("1/min", None)):
        denied = type("Rated", (throttle,), {"rate": rate})()
        assert (denied.allow_request(request, None), denied.wait()) == (False, wait)  # type: ignore[arg-type]


def test_a_misspelt_alias_is_not_treated_as_a_cache_in_memory(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": "defualt"}
    with pytest.raises(ImproperlyConfigured, match="defualt"):
        statuses(Search.as_view(throttle_classes=(TwoPerMinute,)))


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_denial_can_be_mocked_as_documented(status: int) -> None:
    with patch("ratelimit_enforcer.throttling.judge", return_value=Verdict(status)):
        assert statuses(Search.as_view(), 1) == [status]
