"""The rate limit headers on responses: a middleware for all views, and a mixin for single views of
Django REST Framework."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ratelimit_enforcer.checks import log_setting_problems
from ratelimit_enforcer.responses import add_headers, leave_headers_to_middleware, write_headers

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class RateLimitHeadersMiddleware:
    """Adds ``RateLimit-Policy`` and ``RateLimit``, in sync and async Django, and logs problems of the
    settings at startup.

    Place it first in ``MIDDLEWARE``, before anything that caches responses or answers 304: then no cache
    stores one client's figures, and a 304 also has the current client's figures.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        log_setting_problems()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        leave_headers_to_middleware(request)
        if self._is_async:
            return self._answer(request)
        return _with_headers(request, self._get_response(request))  # type: ignore[arg-type]

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        return _with_headers(request, await self._get_response(request))  # type: ignore[misc]


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    write_headers(request, response)
    return response


class RateLimitHeadersMixin:
    """Adds the rate limit headers to a view's responses. Place it before ``APIView`` or a viewset.

    The mixin also declares the attributes of :class:`~ratelimit_enforcer.throttling.PolicyThrottle`, which a
    viewset needs before ``@action(throttle_endpoint=…)`` may set them.
    """

    throttle_endpoint: Any = None
    throttle_cost: Any = None
    throttle_reserve: Any = None
    throttle_refund: Any = None

    def finalize_response(self, request: Any, response: Any, *arguments: Any, **named: Any) -> HttpResponseBase:
        """The response of the framework, with the rate limit headers of the request's decisions."""
        answer: HttpResponseBase = super().finalize_response(request, response, *arguments, **named)  # type: ignore[misc]
        add_headers(request, answer)
        return answer
