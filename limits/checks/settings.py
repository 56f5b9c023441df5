"""What ``RATELIMIT_PLATFORM``, ``CACHES`` and ``REST_FRAMEWORK`` show."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings

from limits.checks.middleware import order_problems
from limits.conf import DEFAULTS
from limits.domain.rate import InvalidRate, parse_rate
from limits.store.caches import is_redis, not_redis

PROXY_SETTINGS = ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT")
"""Who sets one of these expects a proxy before the server."""


def setting_problems() -> Iterator[CheckMessage]:
    """E001 to E006, E008 and W010."""
    yield from _key_problems()
    location = _value("REDIS")
    if isinstance(location, str):
        yield from store_problems(location, "RATELIMIT_PLATFORM['REDIS']")
    yield from _identifier_problems(_value("CLIENT_IDENTIFIER"))
    yield from _proxy_problems()
    yield from order_problems()
    for scope, rate in (api_settings.DEFAULT_THROTTLE_RATES or {}).items():
        yield from rate_problems(rate, f"DEFAULT_THROTTLE_RATES[{scope!r}]")


def store_problems(location: str, place: str) -> Iterator[CheckMessage]:
    """E001 to W003 for an alias or a URL that stands at ``place``; none where nothing is asked."""
    if "://" in location or _value("ENABLED") is False:
        return
    if location not in settings.CACHES:
        yield Error(
            f"{place}: {location!r} is neither an alias of CACHES nor a URL of a Redis.",
            hint='Write CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://…"}}.',
            id="limits.E001",
        )
    elif not is_redis(location):
        yield Error(
            f"{place}: {not_redis(location)}",
            hint="Use django_redis.cache.RedisCache, or name a Redis by URL in RATELIMIT_PLATFORM['REDIS']. In the "
            'settings of your tests: RATELIMIT_PLATFORM = {"ENABLED": False}.',
            id="limits.E002",
        )
    elif _ignores_exceptions(settings.CACHES[location]):
        yield Caution(
            f"{place}: the cache {location!r} has IGNORE_EXCEPTIONS on. The throttle classes of the REST framework "
            "then take an outage for an empty history, and never deny while Redis is away.",
            hint="Turn it off, or use only the throttle classes of limits.throttling, which do not heed it.",
            id="limits.W003",
        )


def rate_problems(rate: Any, place: str) -> Iterator[CheckMessage]:
    """E008 for a rate that stands at ``place``; None is no limit."""
    if rate is None:
        return
    try:
        parse_rate(rate if isinstance(rate, str) else repr(rate))
    except InvalidRate as error:
        yield Error(
            f"{place}: {error}",
            hint="The REST framework itself looks at the first letter only: to it, “5/month” is 5 per minute.",
            id="limits.E008",
        )


def _ignores_exceptions(cache: dict[str, Any]) -> bool:
    everywhere = getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False)
    return bool(cache.get("OPTIONS", {}).get("IGNORE_EXCEPTIONS", everywhere))


def _identifier_problems(path: Any) -> Iterator[CheckMessage]:
    if not path or not isinstance(path, str):
        return
    try:
        problem = None if callable(import_string(path)) else "is not a callable"
    except ImportError as error:
        problem = f"cannot be imported ({error})"
    if problem:
        yield Error(
            f"RATELIMIT_PLATFORM['CLIENT_IDENTIFIER']: {path} {problem}.",
            hint="Name a function of the request that returns the client's key, by its dotted path.",
            id="limits.E006",
        )


def _proxy_problems() -> Iterator[CheckMessage]:
    expected = [name for name in PROXY_SETTINGS if getattr(settings, name, None)]
    if expected and api_settings.NUM_PROXIES is None:
        yield Caution(
            f"{expected[0]} expects a proxy, and NUM_PROXIES of REST_FRAMEWORK is not set: anybody can be another "
            "client with every request, by the header X-Forwarded-For.",
            hint="Set REST_FRAMEWORK['NUM_PROXIES'] to the number of proxies before this server.",
            id="limits.W004",
        )


def _key_problems() -> Iterator[CheckMessage]:
    for problem in _unknown_keys() if isinstance(_given(), dict) else ["must be a dictionary."]:
        yield Error(
            f"RATELIMIT_PLATFORM {problem}", hint=f"Its keys are {', '.join(sorted(DEFAULTS))}.", id="limits.E005"
        )
    for name, problem_of in _VALUES.items():
        if needed := problem_of(_value(name)):
            yield Error(f"RATELIMIT_PLATFORM[{name!r}] is {_value(name)!r}, and must be {needed}.", id="limits.E005")


def _given() -> Any:
    return getattr(settings, "RATELIMIT_PLATFORM", {})


def _value(name: str) -> Any:
    given = _given()
    return given.get(name, DEFAULTS[name]) if isinstance(given, dict) else DEFAULTS[name]


def _unknown_keys() -> list[str]:
    return [f"has no key {name!r}." for name in sorted(set(_given()) - set(DEFAULTS), key=str)]


def _one_of(*words: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in words else " or ".join(map(repr, words))


def _seconds(value: Any) -> str | None:
    valid = type(value) in (int, float) and value > 0
    return None if valid else "a number of seconds above 0"


def _count(value: Any) -> str | None:
    return None if type(value) is int and value > 0 else "a whole number above 0"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a string"


def _word(value: Any) -> str | None:
    valid = isinstance(value, str) and value and value.isprintable() and not set(value) & set("{} ")
    return None if valid else "a word without braces and spaces"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "True or False"


_VALUES: dict[str, Callable[[Any], str | None]] = {
    "ENABLED": _flag,
    "PROJECT": _text,
    "REDIS": _text,
    "NAMESPACE": _word,
    "CHECK_DEADLINE": _seconds,
    "MAX_CONNECTIONS": _count,
    "CLIENT_CACHE_SIZE": _count,
    "COUNTS_PER_BUCKET": _count,
    "KEEP_MINUTES": _count,
    "KEEP_HOURS": _count,
    "KEEP_DAYS": _count,
    "CLIENT_IDENTIFIER": _text,
    "WITHOUT_RULESET": _one_of("allow", "deny"),
    "PUBLIC_URL": _text,
    "LEGACY_HEADERS": _one_of("off", "beside", "instead"),
    "EXPOSE_HEADERS": _flag,
}
"""Key → what its value must be, where it is not that."""
