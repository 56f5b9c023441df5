"""What the framework is told where a request may not go on."""

from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from limits.protection import FORBIDDEN, STORE_RETRY_AFTER, TOO_MANY_REQUESTS, Verdict


class CannotDecide(APIException):
    """503: the store is away, or no rules were published."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The rate limit of this request could not be decided. Try again."
    default_code = "store_unavailable"
    wait = STORE_RETRY_AFTER
    """Seconds; the framework makes ``Retry-After`` of it."""


def exception_of(verdict: Verdict) -> APIException:
    """The framework's exception for a request that may not go on."""
    if verdict.status == TOO_MANY_REQUESTS:
        return Throttled(verdict.retry_after)
    if verdict.status == FORBIDDEN:
        return PermissionDenied("This client is blocked.", code="blocked")
    return CannotDecide()
