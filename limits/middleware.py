"""The headers that tell a caller about its limits, on responses of views that were decided about."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from limits.checks import log_setting_problems
from limits.response_headers import leave_headers_to_middleware, write_headers

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class RateLimitHeadersMiddleware:
    """Adds ``RateLimit-Policy`` and ``RateLimit``, for sync and async Django, and logs at the server's
    start what is wrong with the settings.

    It stands first in ``MIDDLEWARE``, before what caches responses or answers 304: so no cache
    stores what one client is told, and a 304 tells this client's figures too.
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
