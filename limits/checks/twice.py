"""Views that count each request twice."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as Caution

from limits.throttling import AtomicSimpleRateThrottle, PolicyThrottle

OURS = (AtomicSimpleRateThrottle, PolicyThrottle)


def twice_problems(callback: Any) -> Iterator[CheckMessage]:
    """W011 for one view with an address."""
    view, options = getattr(callback, "cls", None) or getattr(callback, "view_class", None), _options(callback)
    name = _name(view or callback)
    throttles = list(options.get("throttle_classes", getattr(view, "throttle_classes", ())) or ())
    for throttle in dict.fromkeys(throttles):
        if throttles.count(throttle) > 1 and isinstance(throttle, type) and issubclass(throttle, OURS):
            yield _twice(name, f"{throttle.__qualname__} stands twice in throttle_classes.")
    endpoints = _endpoints(callback, view)
    if endpoints and any(isinstance(each, type) and issubclass(each, PolicyThrottle) for each in throttles):
        yield _twice(name, "both PolicyThrottle and rate_limit limit it.")
    elif len(set(endpoints)) < len(endpoints):
        yield _twice(name, "rate_limit limits it twice by the same endpoint.")


def _name(view: Any) -> str:
    return f"{view.__module__}.{view.__qualname__}" if hasattr(view, "__qualname__") else repr(view)


def _twice(name: str, why: str) -> CheckMessage:
    return Caution(
        f"{name}: each request counts twice: {why}",
        hint="Remove one of them; DEFAULT_THROTTLE_CLASSES holds for views without throttle_classes.",
        id="limits.W011",
    )


def _options(callback: Any) -> dict[str, Any]:
    options: dict[str, Any] = getattr(callback, "initkwargs", {}) or getattr(callback, "view_initkwargs", {})
    return options


def _endpoints(callback: Any, view: Any) -> list[str | None]:
    """The endpoints of every ``rate_limit`` that one request to a view passes."""
    if view is None:
        return _marked(callback)
    methods = {*getattr(view, "http_method_names", ()), *(getattr(callback, "actions", None) or {}).values()}
    handlers = [_marked(getattr(view, each, None)) for each in sorted(methods)]
    return [*_marked(getattr(view, "dispatch", None)), *max(handlers, key=len, default=[])]


def _marked(function: Any) -> list[str | None]:
    """``rate_limited`` of a function, or of the one that ``@api_view`` calls in it."""
    found = getattr(function, "rate_limited", None) or [
        endpoint for inner in _closed_over(function) for endpoint in getattr(inner, "rate_limited", ())
    ]
    return list(found)


def _closed_over(function: Any) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # An empty cell.
            yield cell.cell_contents
