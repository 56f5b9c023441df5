"""What a single view of Django REST Framework may inherit in place of the middleware."""

from typing import Any

from django.http.response import HttpResponseBase

from limits.response_headers import add_headers


class RateLimitHeadersMixin:
    """Adds the rate limit headers to a view's responses. Stands before ``APIView`` or a viewset.

    It also declares the attributes of :class:`~limits.throttling.PolicyThrottle`, which a viewset
    needs before ``@action(throttle_endpoint=…)`` may set them.
    """

    throttle_endpoint: Any = None
    throttle_cost: Any = None

    def finalize_response(self, request: Any, response: Any, *arguments: Any, **named: Any) -> HttpResponseBase:
        answer: HttpResponseBase = super().finalize_response(request, response, *arguments, **named)  # type: ignore[misc]
        add_headers(request, answer)
        return answer
