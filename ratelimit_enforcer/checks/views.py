"""Checks a project's throttle classes and the costs of views, and finds views that count each request twice."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.cache import cache as default_cache
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from ratelimit_enforcer.checks.settings import rate_problems, store_problems
from ratelimit_enforcer.domain.validation import cost_problem
from ratelimit_enforcer.store.connections.factory import alias_of
from ratelimit_enforcer.throttling import AtomicScopedRateThrottle, AtomicSimpleRateThrottle, PolicyThrottle
from ratelimit_enforcer.view_options import of_action, refund_problem

LIMITING = (AtomicSimpleRateThrottle, PolicyThrottle)


def double_limit_problems(callback: Any) -> Iterator[CheckMessage]:
    """Yields W011 for the callback of one URL pattern."""
    view, options = getattr(callback, "cls", None) or getattr(callback, "view_class", None), _options(callback)
    name = _name(view or callback)
    throttles = list(options.get("throttle_classes", getattr(view, "throttle_classes", ())) or ())
    for throttle in dict.fromkeys(throttles):
        if throttles.count(throttle) > 1 and isinstance(throttle, type) and issubclass(throttle, LIMITING):
            yield _limited_twice(name, f"throttle_classes lists {throttle.__qualname__} twice.")
    endpoints = _endpoints(callback, view)
    if endpoints and any(isinstance(each, type) and issubclass(each, PolicyThrottle) for each in throttles):
        yield _limited_twice(name, "both PolicyThrottle and rate_limit are applied.")
    elif len(set(endpoints)) < len(endpoints):
        yield _limited_twice(name, "rate_limit is applied twice with the same endpoint.")


def _name(view: Any) -> str:
    return f"{view.__module__}.{view.__qualname__}" if hasattr(view, "__qualname__") else repr(view)


def _limited_twice(name: str, why: str) -> CheckMessage:
    return Caution(
        f"{name}: each request is counted twice: {why}",
        hint="Remove one of them. DEFAULT_THROTTLE_CLASSES applies to views without throttle_classes.",
        id="ratelimit_enforcer.W011",
    )


def cost_problems(callback: Any) -> Iterator[CheckMessage]:
    """Yields E012 for the callback of one URL pattern of the REST framework."""
    view, options = getattr(callback, "cls", None), _options(callback)
    actions = (getattr(callback, "actions", None) or {"": None}).values()
    for action in actions if view is not None else ():
        cost, reserve, refund = (
            of_action(options.get(name, getattr(view, name, None)), action)
            for name in ("throttle_cost", "throttle_reserve", "throttle_refund")
        )
        if cost is not None and reserve is not None:
            yield _invalid(view, "sets throttle_cost and throttle_reserve.")
        if problem := _reserve_problem(reserve):
            yield _invalid(view, f"throttle_reserve is {reserve!r}: {problem}")
        if problem := refund_problem(refund):
            yield _invalid(view, f"throttle_refund is {refund!r}: {problem}")


def _reserve_problem(reserve: Any) -> str | None:
    if reserve is None or callable(reserve):
        return None
    return cost_problem(reserve) if type(reserve) is int else "must be a whole number or a callable."


def _invalid(view: Any, why: str) -> CheckMessage:
    return Error(
        f"{_name(view)}: {why}",
        hint="throttle_reserve takes the place of throttle_cost: a number or a callable that takes the request. "
        'throttle_refund is "5xx" or a callable that takes the response. Viewsets may set mappings of their actions.',
        id="ratelimit_enforcer.E012",
    )


def _options(callback: Any) -> dict[str, Any]:
    options: dict[str, Any] = getattr(callback, "initkwargs", {}) or getattr(callback, "view_initkwargs", {})
    return options


def _endpoints(callback: Any, view: Any) -> list[str | None]:
    """The endpoints of every ``rate_limit`` that one request to a view passes through."""
    if view is None:
        return _limited_endpoints(callback)
    methods = {*getattr(view, "http_method_names", ()), *(getattr(callback, "actions", None) or {}).values()}
    handlers = [_limited_endpoints(getattr(view, each, None)) for each in sorted(methods)]
    return [*_limited_endpoints(getattr(view, "dispatch", None)), *max(handlers, key=len, default=[])]


def _limited_endpoints(function: Any) -> list[str | None]:
    """``rate_limited`` of a function, or of the function that ``@api_view`` wrapped."""
    found = getattr(function, "rate_limited", None) or [
        endpoint for inner in _closed_over(function) for endpoint in getattr(inner, "rate_limited", ())
    ]
    return list(found)


def _closed_over(function: Any) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # An empty cell.
            yield cell.cell_contents


ThrottleAndScope = tuple[type[AtomicSimpleRateThrottle], Any]
"""A throttle class, and the ``throttle_scope`` of a view that uses it."""


def view_problems() -> Iterator[CheckMessage]:
    """Yields E007, E008, W011, E012, and E001 to W003 for caches set on a class; each problem once."""
    reported = set()
    for problem in _all_problems():
        if problem.msg not in reported:
            reported.add(problem.msg)
            yield problem


def _all_problems() -> Iterator[CheckMessage]:
    for throttle, scope in [*_default_throttles(), *_throttles_of_views()]:
        yield from _throttle_problems(throttle, scope)
    for callback in _views():
        yield from double_limit_problems(callback)
        yield from cost_problems(callback)


def _default_throttles() -> Iterator[ThrottleAndScope]:
    yield from _atomic(api_settings.DEFAULT_THROTTLE_CLASSES, None)


def _throttles_of_views() -> Iterator[ThrottleAndScope]:
    for callback in _views():
        view, options = getattr(callback, "cls", None), getattr(callback, "initkwargs", {})
        classes = options.get("throttle_classes", getattr(view, "throttle_classes", ()))
        yield from _atomic(classes, options.get("throttle_scope", getattr(view, "throttle_scope", None)))


def _views() -> Iterator[Any]:
    """The callback of every URL pattern."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _callbacks(get_resolver())


def _callbacks(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


def _atomic(classes: Iterable[Any], scope: Any) -> Iterator[ThrottleAndScope]:
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
            hint=f"Add REST_FRAMEWORK['DEFAULT_THROTTLE_RATES'][{scope!r}]; None disables the limit.",
            id="ratelimit_enforcer.E007",
        )
    elif rates is not api_settings.DEFAULT_THROTTLE_RATES:
        yield from rate_problems(rates[scope], f"{name}.THROTTLE_RATES[{scope!r}]")


def _cache_problems(throttle: type[AtomicSimpleRateThrottle], name: str) -> Iterator[CheckMessage]:
    try:
        yield from store_problems(alias_of(throttle.cache), f"{name}.cache")
    except LookupError as error:
        yield Error(
            f"{name}.cache: {error}", hint="Use a cache from django.core.cache.caches.", id="ratelimit_enforcer.E001"
        )
