"""The throttle class for Django REST Framework: one import, and a view obeys the plans.

REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["limits.throttling.PolicyThrottle"]}
"""

from typing import Any

from django.http import HttpRequest
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from limits.client_identifier import client_of
from limits.domain.decision import Decision
from limits.domain.words import Reason
from limits.enforcement import CheckRequest, RulesetMissing, get_engine

DECISION_ATTRIBUTE = "rate_limit_decision"
"""Where the decision lies on Django's request, for the middleware that writes the headers."""


class CannotDecide(APIException):
    """503: the store is away, or no rules were published."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The rate limit of this request could not be decided. Try again."
    default_code = "store_unavailable"
    wait = 1
    """Seconds; the framework makes ``Retry-After`` of it."""


class PolicyThrottle(BaseThrottle):
    """Asks the platform about each request, once, for all limits together.

    A view may set ``throttle_endpoint`` (a slug; otherwise method and path decide) and
    ``throttle_cost`` (a number, or a callable that takes the request; otherwise the endpoint's).
    """

    def __init__(self) -> None:
        self._decision: Decision | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether the request may go on. Raises ``PermissionDenied`` where the client is blocked,
        and :class:`CannotDecide`."""
        decision = self._decision = self._decide(request, view)
        _remember(request._request, decision)
        if decision.reason is Reason.BLOCKED:
            raise PermissionDenied("This client is blocked.", code="blocked")
        if decision.reason is Reason.STORE_UNAVAILABLE and not decision.allowed:
            raise CannotDecide
        return decision.allowed

    def wait(self) -> float | None:
        """Seconds until the request would be admitted; None where waiting cannot help."""
        return self._decision.retry_after if self._decision else None

    def _decide(self, request: Request, view: APIView) -> Decision:
        check = CheckRequest(
            client_of(request, self),
            endpoint=getattr(view, "throttle_endpoint", None),
            method=request.method,
            path=request.path,
            cost=_cost(request, view),
            decoded=True,
        )
        try:
            return get_engine().check(check)
        except RulesetMissing as error:
            raise CannotDecide("No rate limit rules were published yet.") from error


def _cost(request: Request, view: APIView) -> int | None:
    cost: Any = getattr(view, "throttle_cost", None)
    return cost(request) if callable(cost) else cost


def _remember(request: HttpRequest, decision: Decision) -> None:
    setattr(request, DECISION_ATTRIBUTE, decision)
