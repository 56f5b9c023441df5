"""The system checks: each misconfiguration has an id, a sentence and a hint."""

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.checks import CheckMessage, registry
from django.urls import path
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle
from rest_framework.views import APIView

from limits import checks
from limits.checks import check_settings, check_views, log_setting_problems
from limits.once import forget
from limits.throttling import AtomicScopedRateThrottle, AtomicUserRateThrottle

REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1/0"}
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}

urlpatterns: list[Any] = []


def not_callable_() -> None: ...


A_WORD = "a word"


@pytest.fixture(autouse=True)
def sound_project(settings: Settings) -> None:
    """A project in which nothing is wrong."""
    settings.CACHES = {"default": REDIS}
    settings.RATELIMIT_PLATFORM = {}
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 1}
    settings.ROOT_URLCONF = __name__
    urlpatterns.clear()


def found(problems: list[CheckMessage]) -> list[tuple[str | None, str]]:
    return [(problem.id, problem.msg) for problem in problems]


def ids(problems: list[CheckMessage]) -> list[str | None]:
    return [problem.id for problem in problems]


def test_they_are_registered() -> None:
    assert {check_settings, check_views} <= set(registry.registry.get_checks())


def test_a_sound_project_has_no_problems() -> None:
    assert [*check_settings(), *check_views()] == []


@pytest.mark.parametrize("redis", ["sessions", "localhost:6379"])
def test_e001_no_redis_is_configured(settings: Settings, redis: str) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": redis}
    (problem,) = check_settings()
    assert problem.id == "limits.E001"
    assert problem.msg == f"RATELIMIT_PLATFORM['REDIS']: {redis!r} is neither an alias of CACHES nor a URL of a Redis."
    assert "django_redis.cache.RedisCache" in (problem.hint or "")


@pytest.mark.parametrize(
    "backend", [LOCAL, {"BACKEND": "django.core.cache.backends.redis.RedisCache"}, {"BACKEND": "no.such"}]
)
def test_e002_a_cache_cannot_be_atomic(settings: Settings, backend: dict[str, Any]) -> None:
    settings.CACHES = {"default": backend}
    (problem,) = check_settings()
    assert problem.id == "limits.E002"
    assert backend["BACKEND"] in problem.msg
    settings.RATELIMIT_PLATFORM = {"REDIS": "redis://127.0.0.1"}
    assert check_settings() == []


@pytest.mark.parametrize("everywhere", [True, False])
def test_w003_a_cache_that_hides_outages(settings: Settings, everywhere: bool) -> None:
    settings.CACHES = {"default": REDIS if everywhere else REDIS | {"OPTIONS": {"IGNORE_EXCEPTIONS": True}}}
    settings.DJANGO_REDIS_IGNORE_EXCEPTIONS = everywhere
    (problem,) = check_settings()
    assert problem.id == "limits.W003"
    assert "never deny while Redis is away" in problem.msg


@pytest.mark.parametrize("name", ["SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT"])
def test_w004_behind_a_proxy_nobody_said_how_many_there_are(settings: Settings, name: str) -> None:
    settings.SECURE_PROXY_SSL_HEADER = None
    setattr(settings, name, ("HTTP_X_FORWARDED_PROTO", "https"))
    assert check_settings() == []
    settings.REST_FRAMEWORK = {}
    (problem,) = check_settings()
    assert problem.id == "limits.W004"
    assert problem.msg.startswith(f"{name} expects a proxy, and NUM_PROXIES")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"CHECK_DEADLIN": 1}, "RATELIMIT_PLATFORM has no key 'CHECK_DEADLIN'."),
        ({"CHECK_DEADLINE": 0}, "RATELIMIT_PLATFORM['CHECK_DEADLINE'] is 0, and must be a number of seconds above 0."),
        (
            {"MAX_CONNECTIONS": "64"},
            "RATELIMIT_PLATFORM['MAX_CONNECTIONS'] is '64', and must be a whole number above 0.",
        ),
        (
            {"CLIENT_CACHE_SIZE": True},
            "RATELIMIT_PLATFORM['CLIENT_CACHE_SIZE'] is True, and must be a whole number above 0.",
        ),
        (
            {"WITHOUT_RULESET": "block"},
            "RATELIMIT_PLATFORM['WITHOUT_RULESET'] is 'block', and must be 'allow' or 'deny'.",
        ),
        (
            {"LEGACY_HEADERS": None},
            "RATELIMIT_PLATFORM['LEGACY_HEADERS'] is None, and must be 'off' or 'beside' or 'instead'.",
        ),
        (
            {"NAMESPACE": "r{l"},
            "RATELIMIT_PLATFORM['NAMESPACE'] is 'r{l', and must be a word without braces and spaces.",
        ),
        ({"ENABLED": 0}, "RATELIMIT_PLATFORM['ENABLED'] is 0, and must be True or False."),
        ({"PROJECT": 7}, "RATELIMIT_PLATFORM['PROJECT'] is 7, and must be a string."),
        ({"REDIS": None}, "RATELIMIT_PLATFORM['REDIS'] is None, and must be a string."),
        ("redis://", "RATELIMIT_PLATFORM must be a dictionary."),
    ],
)
def test_e005_a_key_or_a_value_that_cannot_be(settings: Settings, given: Any, says: str) -> None:
    settings.RATELIMIT_PLATFORM = given
    assert found(check_settings()) == [("limits.E005", says)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shop.clients.client_of", "cannot be imported (No module named 'shop')"),
        (f"{__name__}.no_such", "cannot be imported"),
        (f"{__name__}.A_WORD", "is not a callable"),
    ],
)
def test_e006_an_identifier_that_cannot_be_called(settings: Settings, path: str, says: str) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": path}
    (problem,) = check_settings()
    assert problem.id == "limits.E006"
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
    settings.REST_FRAMEWORK |= {"DEFAULT_THROTTLE_CLASSES": ["limits.throttling.AtomicUserRateThrottle"]}
    settings.REST_FRAMEWORK |= {"DEFAULT_THROTTLE_RATES": {"user": "5/min"}}
    assert check_views() == []
    burst = type("Burst", (AtomicUserRateThrottle,), {"scope": "burst", "__module__": "shop"})
    address(burst)
    address(burst)
    assert found(check_views()) == [("limits.E007", "shop.Burst: no rate is set for the scope 'burst'.")]


def test_e007_a_view_whose_scope_has_no_rate(settings: Settings) -> None:
    urlpatterns.append(path("uploads", Uploads.as_view()))
    (problem,) = check_views()
    assert problem.id == "limits.E007"
    assert "no rate is set for the scope 'uploads'" in problem.msg
    assert "DEFAULT_THROTTLE_RATES" in (problem.hint or "")


def test_a_scope_is_not_asked_of_a_class_that_needs_none() -> None:
    address(type("Fixed", (AtomicUserRateThrottle,), {"rate": "5/min", "scope": "none"}))
    address(type("Computed", (AtomicUserRateThrottle,), {"get_rate": lambda self: "5/min", "scope": "none"}))
    address(AtomicScopedRateThrottle)
    address(type("Theirs", (UserRateThrottle,), {"scope": "none"}))
    address(ScopedRateThrottle)
    assert check_views() == []


def test_e008_a_rate_that_cannot_be_read(settings: Settings) -> None:
    settings.REST_FRAMEWORK |= {"DEFAULT_THROTTLE_RATES": {"user": "5/month", "anon": None, "burst": "10/5m"}}
    (problem,) = check_settings()
    assert problem.id == "limits.E008"
    assert problem.msg.startswith("DEFAULT_THROTTLE_RATES['user']: “5/month”: “month” is not a period.")
    assert "5 per minute" in (problem.hint or "")


@pytest.mark.parametrize("rate", ["5/fortnight", 5, "x/min"])
def test_e008_a_rate_of_a_class(rate: Any) -> None:
    address(type("Fast", (AtomicUserRateThrottle,), {"rate": rate, "__module__": "shop"}))
    (problem,) = check_views()
    assert (problem.id, problem.msg.startswith("shop.Fast.rate: “")) == ("limits.E008", True)
    address(type("Own", (AtomicUserRateThrottle,), {"THROTTLE_RATES": {"user": rate}, "__module__": "shop"}))
    assert check_views()[1].msg.startswith("shop.Own.THROTTLE_RATES['user']: “")


@pytest.mark.parametrize(("cache", "ids_told"), [(LOCAL, ["limits.E002"]), (REDIS, [])])
def test_a_cache_that_a_class_names_is_checked_too(
    settings: Settings, cache: dict[str, Any], ids_told: list[str]
) -> None:
    settings.CACHES = {"default": REDIS, "other": cache}
    address(type("Other", (AtomicUserRateThrottle,), {"rate": "5/min", "cache": caches["other"]}))
    assert ids(check_views()) == ids_told


@pytest.fixture
def library_of_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip leaves of it beside the package."""
    about = tmp_path / "limits-5.6.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: limits\nVersion: 5.6.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("library_of_pypi")
def test_e009_the_other_package_of_this_name_is_there() -> None:
    (problem,) = check_settings()
    assert problem.id == "limits.E009"
    assert problem.msg.startswith("The library “limits” 5.6.0 of PyPI is installed")
    assert "an environment of its own" in (problem.hint or "")


def test_a_server_logs_the_problems_of_its_settings_once(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": "sessions"}
    forget(log_setting_problems)
    for _ in range(2):
        log_setting_problems()
    forget(log_setting_problems)
    assert [(record.levelname, "limits.E001" in record.getMessage()) for record in caplog.records] == [("ERROR", True)]


def test_every_id_is_in_the_list_and_in_the_documentation() -> None:
    told = {"E001", "E002", "W003", "W004", "E005", "E006", "E007", "E008", "E009"}
    page = Path(__file__).parents[2] / "docs" / "django-projects.md"
    assert all(f"{each} " in (checks.__doc__ or "") for each in told)
    assert all(f"`limits.{each}`" in page.read_text(encoding="utf-8") for each in told)
