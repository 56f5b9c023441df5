"""The system checks: each misconfiguration has an id, a message and a hint."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.checks import CheckMessage, registry
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from pytest_django import Settings
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from ratelimit_enforcer import checks
from ratelimit_enforcer.checks import check_settings, check_views, log_setting_problems
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.per_process import reset_once
from ratelimit_enforcer.throttling import AtomicScopedRateThrottle, AtomicUserRateThrottle, PolicyThrottle

REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1/0"}
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}

urlpatterns: list[Any] = []


def not_callable_() -> None: ...


A_WORD = "a word"


@pytest.fixture(autouse=True)
def sound_project(settings: Settings) -> None:
    """A correctly configured project."""
    settings.CACHES = {"default": REDIS}
    settings.RATELIMIT_PLATFORM = {}
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 1}
    settings.ROOT_URLCONF = __name__
    urlpatterns.clear()


def found(problems: list[CheckMessage]) -> list[tuple[str | None, str]]:
    return [(problem.id, problem.msg) for problem in problems]


def ids(problems: list[CheckMessage]) -> list[str | None]:
    return [problem.id for problem in problems]


def test_the_system_checks_are_registered() -> None:
    assert {check_settings, check_views} <= set(registry.registry.get_checks())


def test_a_correctly_configured_project_has_no_problems() -> None:
    assert [*check_settings(), *check_views()] == []


@pytest.mark.parametrize("redis", ["sessions", "localhost:6379"])
def test_e001_no_redis_is_configured(settings: Settings, redis: str) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": redis}
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.E001"
    assert (
        problem.msg
        == f"RATELIMIT_PLATFORM['REDIS']: {redis!r} is neither an alias in CACHES nor the URL of a Redis server."
    )
    assert "django_redis.cache.RedisCache" in (problem.hint or "")


@pytest.mark.parametrize(
    "backend", [LOCAL, {"BACKEND": "django.core.cache.backends.redis.RedisCache"}, {"BACKEND": "no.such"}]
)
def test_e002_a_cache_cannot_be_atomic(settings: Settings, backend: dict[str, Any]) -> None:
    settings.CACHES = {"default": backend}
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.E002"
    assert backend["BACKEND"] in problem.msg
    settings.RATELIMIT_PLATFORM = {"REDIS": "redis://127.0.0.1"}
    assert check_settings() == []


@pytest.mark.parametrize("everywhere", [True, False])
def test_w003_a_cache_that_ignores_outages(settings: Settings, everywhere: bool) -> None:
    settings.CACHES = {"default": REDIS if everywhere else REDIS | {"OPTIONS": {"IGNORE_EXCEPTIONS": True}}}
    settings.DJANGO_REDIS_IGNORE_EXCEPTIONS = everywhere
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.W003"
    assert "During an outage of Redis" in problem.msg


@pytest.mark.parametrize("name", ["SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT"])
def test_w004_the_number_of_proxies_is_not_configured(settings: Settings, name: str) -> None:
    settings.SECURE_PROXY_SSL_HEADER = None
    setattr(settings, name, ("HTTP_X_FORWARDED_PROTO", "https"))
    assert check_settings() == []
    settings.REST_FRAMEWORK = {}
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.W004"
    assert problem.msg.startswith(f"{name} implies a proxy, but REST_FRAMEWORK['NUM_PROXIES']")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"CHECK_DEADLIN": 1}, "RATELIMIT_PLATFORM has no key 'CHECK_DEADLIN'."),
        ({"CHECK_DEADLINE": 0}, "RATELIMIT_PLATFORM['CHECK_DEADLINE'] is 0; it must be a number of seconds above 0."),
        (
            {"MAX_CONNECTIONS": "64"},
            "RATELIMIT_PLATFORM['MAX_CONNECTIONS'] is '64'; it must be a whole number above 0.",
        ),
        (
            {"CLIENT_CACHE_SIZE": True},
            "RATELIMIT_PLATFORM['CLIENT_CACHE_SIZE'] is True; it must be a whole number above 0.",
        ),
        (
            {"WITHOUT_RULESET": "block"},
            "RATELIMIT_PLATFORM['WITHOUT_RULESET'] is 'block'; it must be 'allow' or 'deny'.",
        ),
        (
            {"LEGACY_HEADERS": None},
            "RATELIMIT_PLATFORM['LEGACY_HEADERS'] is None; it must be 'off' or 'beside' or 'instead'.",
        ),
        (
            {"NAMESPACE": "r{l"},
            "RATELIMIT_PLATFORM['NAMESPACE'] is 'r{l'; it must be a word without braces and spaces.",
        ),
        (
            {"RESERVATION_TTL": 3_601},
            "RATELIMIT_PLATFORM['RESERVATION_TTL'] is 3601; it must be a whole number of seconds from 1 to 3,600.",
        ),
        (
            {"RESERVATION_TTL": 0.5},
            "RATELIMIT_PLATFORM['RESERVATION_TTL'] is 0.5; it must be a whole number of seconds from 1 to 3,600.",
        ),
        ({"REFUND_SHARE": 1.1}, "RATELIMIT_PLATFORM['REFUND_SHARE'] is 1.1; it must be a number from 0 to 1."),
        ({"REFUND_SHARE": True}, "RATELIMIT_PLATFORM['REFUND_SHARE'] is True; it must be a number from 0 to 1."),
        ({"ENABLED": 0}, "RATELIMIT_PLATFORM['ENABLED'] is 0; it must be True or False."),
        ({"PROJECT": 7}, "RATELIMIT_PLATFORM['PROJECT'] is 7; it must be a string."),
        ({"REDIS": None}, "RATELIMIT_PLATFORM['REDIS'] is None; it must be a string."),
        ("redis://", "RATELIMIT_PLATFORM must be a dictionary."),
    ],
)
def test_e005_an_invalid_key_or_value(settings: Settings, given: Any, says: str) -> None:
    settings.RATELIMIT_PLATFORM = given
    assert found(check_settings()) == [("ratelimit_enforcer.E005", says)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shop.clients.client_of", "cannot be imported (No module named 'shop')"),
        (f"{__name__}.no_such", "cannot be imported"),
        (f"{__name__}.A_WORD", "is not a callable"),
    ],
)
def test_e006_an_identifier_that_is_not_callable(settings: Settings, path: str, says: str) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": path}
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.E006"
    assert problem.msg.startswith(f"RATELIMIT_PLATFORM['CLIENT_IDENTIFIER']: {path} {says}")


class View(APIView):
    def get(self, request: Request) -> Response:
        return Response()


def address(throttle: type[Any], **options: Any) -> None:
    urlpatterns.append(path(f"{len(urlpatterns)}", View.as_view(throttle_classes=[throttle]), options))


class Uploads(View):
    throttle_classes = (AtomicScopedRateThrottle,)
    throttle_scope = "uploads"


def test_e007_a_default_class_whose_scope_has_no_rate(settings: Settings) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_CLASSES": ["ratelimit_enforcer.throttling.AtomicUserRateThrottle"]
    }
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"user": "5/min"}}
    assert check_views() == []
    burst = type("Burst", (AtomicUserRateThrottle,), {"scope": "burst", "__module__": "shop"})
    address(burst)
    address(burst)
    assert found(check_views()) == [("ratelimit_enforcer.E007", "shop.Burst: no rate is set for the scope 'burst'.")]


def test_e007_a_view_whose_scope_has_no_rate(settings: Settings) -> None:
    urlpatterns.append(path("uploads", Uploads.as_view()))
    (problem,) = check_views()
    assert problem.id == "ratelimit_enforcer.E007"
    assert "no rate is set for the scope 'uploads'" in problem.msg
    assert "DEFAULT_THROTTLE_RATES" in (problem.hint or "")


def test_classes_that_need_no_scope_are_not_checked_for_one() -> None:
    address(type("Fixed", (AtomicUserRateThrottle,), {"rate": "5/min", "scope": "none"}))
    address(type("Computed", (AtomicUserRateThrottle,), {"get_rate": lambda self: "5/min", "scope": "none"}))
    address(AtomicScopedRateThrottle)
    address(type("Theirs", (UserRateThrottle,), {"scope": "none"}))
    address(ScopedRateThrottle)
    assert check_views() == []


def test_e008_an_invalid_rate(settings: Settings) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "DEFAULT_THROTTLE_RATES": {"user": "5/month", "anon": None, "burst": "10/5m"}
    }
    (problem,) = check_settings()
    assert problem.id == "ratelimit_enforcer.E008"
    assert problem.msg.startswith("DEFAULT_THROTTLE_RATES['user']: “5/month”: “month” is not a period.")
    assert "5 per minute" in (problem.hint or "")


@pytest.mark.parametrize("rate", ["5/fortnight", 5, "x/min"])
def test_e008_an_invalid_rate_of_a_class(rate: Any) -> None:
    address(type("Fast", (AtomicUserRateThrottle,), {"rate": rate, "__module__": "shop"}))
    (problem,) = check_views()
    assert (problem.id, problem.msg.startswith("shop.Fast.rate: “")) == ("ratelimit_enforcer.E008", True)
    address(type("Own", (AtomicUserRateThrottle,), {"THROTTLE_RATES": {"user": rate}, "__module__": "shop"}))
    assert check_views()[1].msg.startswith("shop.Own.THROTTLE_RATES['user']: “")


@pytest.mark.parametrize(("cache", "ids_told"), [(LOCAL, ["ratelimit_enforcer.E002"]), (REDIS, [])])
def test_the_cache_of_a_class_is_checked_too(settings: Settings, cache: dict[str, Any], ids_told: list[str]) -> None:
    settings.CACHES = {"default": REDIS, "other": cache}
    address(type("Other", (AtomicUserRateThrottle,), {"rate": "5/min", "cache": caches["other"]}))
    assert ids(check_views()) == ids_told


OURS = "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware"
CORS = "corsheaders.middleware.CorsMiddleware"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("django.middleware.cache.UpdateCacheMiddleware", "the site cache stores no response with rate limit headers"),
        ("django.middleware.cache.FetchFromCacheMiddleware", "the site cache stores no response"),
        ("django.middleware.http.ConditionalGetMiddleware", "a 304 has no rate limit headers"),
        (CORS, "CORS_EXPOSE_HEADERS replaces the headers that EXPOSE_HEADERS adds"),
    ],
)
def test_w010_another_middleware_comes_before_ours(settings: Settings, name: str, says: str) -> None:
    settings.CORS_EXPOSE_HEADERS = ["X-Total"]
    settings.RATELIMIT_PLATFORM = {"EXPOSE_HEADERS": True}
    settings.MIDDLEWARE = [OURS, name]
    assert check_settings() == []
    settings.MIDDLEWARE = [name]
    assert check_settings() == []
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", name, OURS]
    (problem,) = check_settings()
    assert (problem.id, problem.hint) == ("ratelimit_enforcer.W010", f"Put {OURS} first.")
    assert problem.msg.startswith(f"MIDDLEWARE: {name} comes before {OURS}, so {says}")


@pytest.mark.parametrize("settings_", [{"CORS_EXPOSE_HEADERS": []}, {"RATELIMIT_PLATFORM": {}}])
def test_a_cors_middleware_that_replaces_no_header_may_come_first(
    settings: Settings, settings_: dict[str, Any]
) -> None:
    settings.MIDDLEWARE = [CORS, OURS]
    given = {"CORS_EXPOSE_HEADERS": ["X-Total"], "RATELIMIT_PLATFORM": {"EXPOSE_HEADERS": True}} | settings_
    for name, value in given.items():
        setattr(settings, name, value)
    assert check_settings() == []


def twice() -> list[str]:
    problems = check_views()
    assert {problem.id for problem in problems} <= {"ratelimit_enforcer.W011"}
    return [problem.msg for problem in problems]


class PerUser(AtomicUserRateThrottle):
    rate = "5/min"


@pytest.mark.parametrize("throttle", [PolicyThrottle, PerUser])
def test_w011_a_class_is_listed_twice(throttle: type[Any]) -> None:
    urlpatterns.append(path("a", View.as_view(throttle_classes=[throttle, throttle])))
    assert twice() == [
        f"{__name__}.View: each request is counted twice: throttle_classes lists {throttle.__qualname__} twice."
    ]


def limited_by(decorate: Any) -> type[APIView]:
    return decorate(type("Limited", (View,), {"__module__": "shop", "throttle_classes": [PolicyThrottle]}))  # type: ignore[no-any-return]


class Shop(ViewSet):
    throttle_classes = (PolicyThrottle,)

    @method_decorator(rate_limit(endpoint="search"))
    def list(self, request: Request) -> Response:
        return Response()


@rate_limit(endpoint="search")
def limited(request: Any) -> Response:
    return Response()


@pytest.mark.parametrize(
    "view",
    [
        limited_by(method_decorator(rate_limit(endpoint="search"), name="dispatch")).as_view(),
        limited_by(method_decorator(rate_limit(), name="get")).as_view(),
        cache_page(60)(limited_by(method_decorator(rate_limit(), name="dispatch")).as_view()),
        Shop.as_view({"get": "list"}),
        api_view(["GET"])(throttle_classes([PolicyThrottle])(limited)),
    ],
    ids=["dispatch", "a method", "in a cache", "an action", "a function"],
)
def test_w011_a_throttle_class_and_the_decorator(view: Any) -> None:
    urlpatterns.append(path("a", view))
    (problem,) = twice()
    assert problem.endswith(": each request is counted twice: both PolicyThrottle and rate_limit are applied.")


def test_w011_the_decorator_is_applied_twice_with_the_same_endpoint() -> None:
    urlpatterns.append(path("a", rate_limit(endpoint="search")(limited)))
    assert twice() == [
        f"{__name__}.limited: each request is counted twice: rate_limit is applied twice with the same endpoint."
    ]


def test_views_limited_once_have_no_problem() -> None:
    burst = type("Burst", (PerUser,), {})
    urlpatterns.extend(
        [
            path("a", View.as_view(throttle_classes=[PolicyThrottle, PerUser, burst])),
            path("b", rate_limit(endpoint="orders")(limited)),
            path("partial", partial(limited, word="")),
            path(
                "c", method_decorator(rate_limit(), name="get")(type("Once", (View,), {})).as_view(throttle_classes=[])
            ),
            path("d", type("Other", (Shop,), {"create": Shop.initial}).as_view({"post": "create"})),
        ]
    )
    assert twice() == []


HERE = f"{__name__}.Reserving"


class Reserving(ViewSet):
    throttle_classes = (PolicyThrottle,)
    throttle_cost: Any = None
    throttle_reserve: Any = None
    throttle_refund: Any = None

    def list(self, request: Request) -> Response:
        return Response()

    create = list  # noqa: A003


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"throttle_cost": 5, "throttle_reserve": 400}, "sets throttle_cost and throttle_reserve."),
        ({"throttle_cost": 5, "throttle_reserve": {"list": 400}}, "sets throttle_cost and throttle_reserve."),
        ({"throttle_reserve": 0}, "throttle_reserve is 0: must be between 1 and 1,000,000."),
        ({"throttle_reserve": True}, "throttle_reserve is True: must be a whole number or a callable."),
        ({"throttle_reserve": {"list": "400"}}, "throttle_reserve is '400': must be a whole number or a callable."),
        ({"throttle_refund": 500}, "throttle_refund is 500: must be '5xx', or a callable that takes the response."),
        ({"throttle_refund": {"create": "4xx"}}, "throttle_refund is '4xx': must be '5xx', or a callable"),
    ],
)
def test_e012_invalid_reservations_and_refunds(attributes: dict[str, Any], says: str) -> None:
    urlpatterns.append(path("a", Reserving.as_view({"get": "list", "post": "create"}, **attributes)))
    (problem,) = check_views()
    assert problem.id == "ratelimit_enforcer.E012"
    assert problem.msg.startswith(f"{HERE}: {says}")
    assert "a callable that takes the request" in (problem.hint or "")


@pytest.mark.parametrize(
    "attributes",
    [
        {"throttle_cost": {"list": 5}, "throttle_reserve": {"create": 400}},
        {"throttle_reserve": lambda request: 5, "throttle_refund": lambda response: True},
        {"throttle_reserve": 1_000_000, "throttle_refund": {"list": "5xx"}},
    ],
)
def test_valid_reservations_and_refunds_have_no_problem(attributes: dict[str, Any]) -> None:
    urlpatterns.append(path("a", Reserving.as_view({"get": "list", "post": "create"}, **attributes)))
    assert check_views() == []


def test_a_server_logs_the_problems_of_its_settings_once(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": "sessions"}
    reset_once(log_setting_problems)
    for _ in range(2):
        log_setting_problems()
    reset_once(log_setting_problems)
    assert [(record.levelname, "ratelimit_enforcer.E001" in record.getMessage()) for record in caplog.records] == [
        ("ERROR", True)
    ]


def test_every_id_is_documented() -> None:
    told = {"E001", "E002", "W003", "W004", "E005", "E006", "E007", "E008", "W010", "W011", "E012"}
    page = Path(__file__).parents[2] / "docs" / "django-projects.md"
    assert all(f"{each} " in (checks.__doc__ or "") for each in told)
    assert all(f"`ratelimit_enforcer.{each}`" in page.read_text(encoding="utf-8") for each in told)
