"""The headers that tell a caller about its limits, on responses of views under the throttle."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from limits.conf import setting
from limits.domain.headers import LegacyHeaders, rate_limit_headers
from limits.throttling import DECISION_ATTRIBUTE


class RateLimitHeadersMiddleware:
    """Adds ``RateLimit-Policy`` and ``RateLimit`` where :class:`~limits.throttling.PolicyThrottle`
    decided about the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        decision = getattr(request, DECISION_ATTRIBUTE, None)
        if decision is not None:
            for name, value in rate_limit_headers(decision, LegacyHeaders(setting("LEGACY_HEADERS"))).items():
                response[name] = value
        return response
