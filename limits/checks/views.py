"""What the throttle classes of the project show."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core.cache import cache as default_cache
from django.core.checks import CheckMessage, Error
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from limits.checks.settings import rate_problems, store_problems
from limits.checks.twice import twice_problems
from limits.store.caches import alias_of
from limits.throttling import AtomicScopedRateThrottle, AtomicSimpleRateThrottle

Limited = tuple[type[AtomicSimpleRateThrottle], Any]
"""A throttle class and the ``throttle_scope`` of a view that it throttles."""


def view_problems() -> Iterator[CheckMessage]:
    """E007, E008, W011, and E001 to W003 for caches that a class names itself; each problem once."""
    told = set()
    for problem in _all_problems():
        if problem.msg not in told:
            told.add(problem.msg)
            yield problem


def _all_problems() -> Iterator[CheckMessage]:
    for throttle, scope in [*_default_throttles(), *_throttles_of_views()]:
        yield from _throttle_problems(throttle, scope)
    for callback in _views():
        yield from twice_problems(callback)


def _default_throttles() -> Iterator[Limited]:
    yield from _atomic(api_settings.DEFAULT_THROTTLE_CLASSES, None)


def _throttles_of_views() -> Iterator[Limited]:
    for callback in _views():
        view, options = getattr(callback, "cls", None), getattr(callback, "initkwargs", {})
        classes = options.get("throttle_classes", getattr(view, "throttle_classes", ()))
        yield from _atomic(classes, options.get("throttle_scope", getattr(view, "throttle_scope", None)))


def _views() -> Iterator[Any]:
    """Every view with an address."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _callbacks(get_resolver())


def _callbacks(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


def _atomic(classes: Iterable[Any], scope: Any) -> Iterator[Limited]:
    for each in classes or ():
        if isinstance(each, type) and issubclass(each, AtomicSimpleRateThrottle):
            yield each, scope


def _throttle_problems(throttle: type[AtomicSimpleRateThrottle], view_scope: Any) -> Iterator[CheckMessage]:
    name = f"{throttle.__module__}.{throttle.__qualname__}"
    if throttle.cache is not default_cache:
        yield from _cache_problems(throttle, name)
    if (
        throttle.get_rate is not SimpleRateThrottle.get_rate
        or throttle.parse_rate is not AtomicSimpleRateThrottle.parse_rate
    ):
        return
    if issubclass(throttle, AtomicScopedRateThrottle):
        if view_scope:
            yield from _scope_problems(throttle, view_scope, name)
    elif rate := getattr(throttle, "rate", None):
        yield from rate_problems(rate, f"{name}.rate")
    else:
        yield from _scope_problems(throttle, throttle.scope, name)


def _scope_problems(throttle: type[AtomicSimpleRateThrottle], scope: Any, name: str) -> Iterator[CheckMessage]:
    rates = throttle.THROTTLE_RATES or {}
    if scope not in rates:
        yield Error(
            f"{name}: no rate is set for the scope {scope!r}.",
            hint=f"Add REST_FRAMEWORK['DEFAULT_THROTTLE_RATES'][{scope!r}]; None means no limit.",
            id="limits.E007",
        )
    elif rates is not api_settings.DEFAULT_THROTTLE_RATES:
        yield from rate_problems(rates[scope], f"{name}.THROTTLE_RATES[{scope!r}]")


def _cache_problems(throttle: type[AtomicSimpleRateThrottle], name: str) -> Iterator[CheckMessage]:
    try:
        yield from store_problems(alias_of(throttle.cache), f"{name}.cache")
    except LookupError as error:
        yield Error(f"{name}.cache: {error}", hint="Take one from django.core.cache.caches.", id="limits.E001")
