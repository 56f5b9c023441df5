"""The throttle class that asks the platform."""

from collections.abc import Mapping
from inspect import ismethod
from typing import TYPE_CHECKING, Any, cast

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from limits.client_identifier import client_of
from limits.protection import OK, TOO_MANY_REQUESTS, Verdict, judge, require_cost
from limits.throttling.errors import exception_of

if TYPE_CHECKING:
    from rest_framework.views import APIView


class PolicyThrottle(BaseThrottle):
    """Asks the platform about each request, once, for all limits together.

    A view may set ``throttle_endpoint`` (a slug; otherwise method and path decide) and
    ``throttle_cost`` (a number, or a callable that takes the request; otherwise the endpoint's).
    A viewset may set mappings of its actions to such values.
    """

    def __init__(self) -> None:
        self._verdict: Verdict | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether the request may go on. Raises ``PermissionDenied`` where the client is blocked,
        and :class:`~limits.throttling.CannotDecide`."""
        verdict = self._verdict = judge(
            request,
            self.get_client(request, view),
            endpoint=_of_action(view, "throttle_endpoint"),
            cost=_cost(request, view),
        )
        if verdict.status not in (OK, TOO_MANY_REQUESTS):
            raise exception_of(verdict)
        return verdict.status == OK

    def wait(self) -> float | None:
        """Seconds until the request would be admitted, at least 1; None where waiting cannot help."""
        return self._verdict.retry_after if self._verdict else None

    def get_client(self, request: Request, view: "APIView") -> str:
        """The client's key; what a subclass may decide in another way."""
        return client_of(request, self)


def _of_action(view: "APIView", name: str) -> Any:
    value = getattr(view, name, None)
    if isinstance(value, Mapping):
        return value.get(getattr(view, "action", None))
    return value


def _cost(request: Request, view: "APIView") -> int | None:
    cost = _of_action(view, "throttle_cost")
    if cost is None:
        return None
    if not callable(cost):
        require_cost(cost)
        return cast(int, cost)
    if ismethod(cost) and _takes_one(cost.__func__):
        # A function of the request that became a method, because it is an attribute of the class.
        cost = cost.__func__
    return cost(request)


def _takes_one(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount == 1
