"""Checks ``RATELIMIT_PLATFORM``, ``CACHES``, ``REST_FRAMEWORK`` and ``MIDDLEWARE``."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings

from ratelimit_enforcer.conf import DEFAULTS
from ratelimit_enforcer.domain.attributes import name_problem
from ratelimit_enforcer.domain.rate import InvalidRate, parse_rate
from ratelimit_enforcer.domain.reservations import MAX_TTL
from ratelimit_enforcer.store.connections.factory import is_redis, not_redis

PROXY_SETTINGS = ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT")
"""Settings that imply a proxy in front of the server."""

HEADERS_MIDDLEWARE = "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware"

MUST_COME_AFTER = {
    "django.middleware.cache.UpdateCacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.cache.FetchFromCacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.cache.CacheMiddleware": "the site cache stores no response with rate limit headers",
    "django.middleware.http.ConditionalGetMiddleware": "a 304 has no rate limit headers",
    "corsheaders.middleware.CorsMiddleware": "CORS_EXPOSE_HEADERS replaces the headers that EXPOSE_HEADERS adds",
}
"""Middleware that must come after the headers middleware → what happens otherwise."""


def setting_problems() -> Iterator[CheckMessage]:
    """Yields E001 to E006, E008 and W010."""
    yield from _key_problems()
    location = _value("REDIS")
    if isinstance(location, str):
        yield from store_problems(location, "RATELIMIT_PLATFORM['REDIS']")
    yield from _identifier_problems(_value("CLIENT_IDENTIFIER"))
    yield from _attribute_problems(_value("ATTRIBUTES"))
    yield from _proxy_problems()
    yield from middleware_order_problems()
    for scope, rate in (api_settings.DEFAULT_THROTTLE_RATES or {}).items():
        yield from rate_problems(rate, f"DEFAULT_THROTTLE_RATES[{scope!r}]")


def store_problems(location: str, place: str) -> Iterator[CheckMessage]:
    """Yields E001 to W003 for the alias or URL of the setting ``place``; nothing if checks are disabled."""
    if "://" in location or _value("ENABLED") is False:
        return
    if location not in settings.CACHES:
        yield Error(
            f"{place}: {location!r} is neither an alias in CACHES nor the URL of a Redis server.",
            hint='Set CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://…"}}.',
            id="ratelimit_enforcer.E001",
        )
    elif not is_redis(location):
        yield Error(
            f"{place}: {not_redis(location)}",
            hint="Use django_redis.cache.RedisCache, or set RATELIMIT_PLATFORM['REDIS'] to the URL of a Redis server. "
            'In the settings of your tests: RATELIMIT_PLATFORM = {"ENABLED": False}.',
            id="ratelimit_enforcer.E002",
        )
    elif _ignores_exceptions(settings.CACHES[location]):
        yield Caution(
            f"{place}: the cache {location!r} has IGNORE_EXCEPTIONS on. During an outage of Redis, the throttle "
            "classes of the REST framework then see an empty history and never deny.",
            hint="Turn it off, or use only the throttle classes of ratelimit_enforcer, which ignore this option.",
            id="ratelimit_enforcer.W003",
        )


def rate_problems(rate: Any, place: str) -> Iterator[CheckMessage]:
    """Yields E008 for the rate of the setting ``place``; None means no limit."""
    if rate is None:
        return
    try:
        parse_rate(rate if isinstance(rate, str) else repr(rate))
    except InvalidRate as error:
        yield Error(
            f"{place}: {error}",
            hint="The REST framework reads only the first letter of the period: “5/month” means 5 per minute.",
            id="ratelimit_enforcer.E008",
        )


def _ignores_exceptions(cache: dict[str, Any]) -> bool:
    everywhere = getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False)
    return bool(cache.get("OPTIONS", {}).get("IGNORE_EXCEPTIONS", everywhere))


def _identifier_problems(path: Any) -> Iterator[CheckMessage]:
    if problem := _function_problem(path):
        yield Error(
            f"RATELIMIT_PLATFORM['CLIENT_IDENTIFIER']: {problem}",
            hint="Set the dotted path of a function that takes the request and returns the client's key.",
            id="ratelimit_enforcer.E006",
        )


def _attribute_problems(paths: Any) -> Iterator[CheckMessage]:
    for name, path in paths.items() if isinstance(paths, dict) else ():
        problem = name_problem(name) if isinstance(name, str) else "must be a string."
        if problem := f"the name {problem}" if problem else _function_problem(path):
            yield Error(
                f"RATELIMIT_PLATFORM['ATTRIBUTES'][{name!r}]: {problem}",
                hint="Set an attribute's name, and the dotted path of a function that takes the request and returns "
                "the attribute's value.",
                id="ratelimit_enforcer.E006",
            )


def _function_problem(path: Any) -> str:
    """Why a dotted path does not name a function; empty if it does, or if there is none."""
    if not path or not isinstance(path, str):
        return ""
    try:
        return "" if callable(import_string(path)) else f"{path} is not a callable."
    except ImportError as error:
        return f"{path} cannot be imported ({error})."


def _proxy_problems() -> Iterator[CheckMessage]:
    expected = [name for name in PROXY_SETTINGS if getattr(settings, name, None)]
    if expected and api_settings.NUM_PROXIES is None:
        yield Caution(
            f"{expected[0]} implies a proxy, but REST_FRAMEWORK['NUM_PROXIES'] is not set: a caller can pose as a "
            "different client in each request by changing the header X-Forwarded-For.",
            hint="Set REST_FRAMEWORK['NUM_PROXIES'] to the number of proxies in front of this server.",
            id="ratelimit_enforcer.W004",
        )


def _key_problems() -> Iterator[CheckMessage]:
    for problem in _unknown_keys() if isinstance(_given(), dict) else ["must be a dictionary."]:
        yield Error(
            f"RATELIMIT_PLATFORM {problem}",
            hint=f"Valid keys: {', '.join(sorted(DEFAULTS))}.",
            id="ratelimit_enforcer.E005",
        )
    for name, problem_of in _VALUES.items():
        if needed := problem_of(_value(name)):
            yield Error(
                f"RATELIMIT_PLATFORM[{name!r}] is {_value(name)!r}; it must be {needed}.", id="ratelimit_enforcer.E005"
            )


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


def _ttl(value: Any) -> str | None:
    valid = type(value) is int and 1 <= value <= MAX_TTL
    return None if valid else f"a whole number of seconds from 1 to {MAX_TTL:,}"


def _share(value: Any) -> str | None:
    valid = type(value) in (int, float) and 0 <= value <= 1
    return None if valid else "a number from 0 to 1"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a string"


def _word(value: Any) -> str | None:
    valid = isinstance(value, str) and value and value.isprintable() and not set(value) & set("{} ")
    return None if valid else "a word without braces and spaces"


def _paths(value: Any) -> str | None:
    valid = isinstance(value, dict) and all(isinstance(path, str) and path for path in value.values())
    return None if valid else "a dictionary of attributes and dotted paths"


def _urls(value: Any) -> str | None:
    valid = isinstance(value, list | tuple) and all(
        isinstance(url, str) and url.startswith(("https://", "http://")) for url in value
    )
    return None if valid else "a list of URLs"


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
    "ATTRIBUTE_VALUES": _count,
    "ATTRIBUTES": _paths,
    "CLIENT_IDENTIFIER": _text,
    "RESERVATION_TTL": _ttl,
    "REFUND_SHARE": _share,
    "WITHOUT_RULESET": _one_of("allow", "deny"),
    "PUBLIC_URL": _text,
    "LEGACY_HEADERS": _one_of("off", "beside", "instead"),
    "EXPOSE_HEADERS": _flag,
    "APPROVAL_REQUIRED": _flag,
    "APPROVAL_WEBHOOKS": _urls,
}
"""Key → a function that returns what its value must be; None if the value is valid."""


def middleware_order_problems() -> Iterator[CheckMessage]:
    """Yields W010 for middleware that must not come before the headers middleware."""
    names = list(settings.MIDDLEWARE)
    before = names[: names.index(HEADERS_MIDDLEWARE)] if HEADERS_MIDDLEWARE in names else []
    for name in before:
        if name in MUST_COME_AFTER and (not name.startswith("corsheaders") or _cors_overwrites()):
            yield Caution(
                f"MIDDLEWARE: {name} comes before {HEADERS_MIDDLEWARE}, so {MUST_COME_AFTER[name]}.",
                hint=f"Put {HEADERS_MIDDLEWARE} first.",
                id="ratelimit_enforcer.W010",
            )


def _cors_overwrites() -> bool:
    platform = getattr(settings, "RATELIMIT_PLATFORM", {})
    exposes = isinstance(platform, dict) and platform.get("EXPOSE_HEADERS") is True
    return exposes and bool(getattr(settings, "CORS_EXPOSE_HEADERS", ()))
