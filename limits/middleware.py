"""The headers that tell a caller about its limits, on responses of views that were decided about."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from limits.checks import log_setting_problems
from limits.protection import add_headers

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class RateLimitHeadersMiddleware:
    """Adds ``RateLimit-Policy`` and ``RateLimit``, for sync and async Django, and tells at the
    server's start what is wrong with the settings."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        log_setting_problems()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        return _with_headers(request, self._get_response(request))  # type: ignore[arg-type]

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        return _with_headers(request, await self._get_response(request))  # type: ignore[misc]


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    add_headers(request, response)
    return response
