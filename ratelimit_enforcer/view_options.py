"""The attributes of a view that :class:`~ratelimit_enforcer.throttling.PolicyThrottle` reads."""

from collections.abc import Callable, Mapping
from inspect import ismethod
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django.core.exceptions import ImproperlyConfigured
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from ratelimit_enforcer.protection import require_cost
from ratelimit_enforcer.request_limit import Refund

if TYPE_CHECKING:
    from rest_framework.views import APIView

SERVER_ERRORS = "5xx"
"""The value of ``throttle_refund`` for all responses with status 500 and above."""


class Cost(NamedTuple):
    """What a request costs (None: the endpoint's cost), and whether the view settles it later."""

    cost: int | None
    is_reserved: bool


def option(view: "APIView", name: str) -> Any:
    """The value of an attribute of a view; of a mapping, that of the view's action."""
    return of_action(getattr(view, name, None), getattr(view, "action", None))


def of_action(value: Any, action: str | None) -> Any:
    """The value, or that of the action if the value is a mapping of actions."""
    return value.get(action) if isinstance(value, Mapping) else value


def cost_of(request: Request, view: "APIView") -> Cost:
    """``throttle_cost`` or ``throttle_reserve``. Raises ``ImproperlyConfigured`` for both, or for an invalid number."""
    cost, reserve = option(view, "throttle_cost"), option(view, "throttle_reserve")
    if cost is not None and reserve is not None:
        raise ImproperlyConfigured(
            f"{type(view).__qualname__} sets throttle_cost and throttle_reserve; set one of them."
        )
    chosen = cost if reserve is None else reserve
    return Cost(_number(chosen, request), is_reserved=reserve is not None)


def _number(cost: Any, request: Request) -> int | None:
    if cost is None:
        return None
    if not callable(cost):
        require_cost(cost)
        return cast(int, cost)
    return cast(int, function_of_one(cost)(request))


def refund_of(view: "APIView") -> Refund | None:
    """``throttle_refund`` as a function of the response. Raises ``ImproperlyConfigured`` for an invalid value."""
    refund = option(view, "throttle_refund")
    if problem := refund_problem(refund):
        raise ImproperlyConfigured(f"throttle_refund of {type(view).__qualname__} is {refund!r}: {problem}")
    return as_refund(refund)


def refund_problem(refund: Any) -> str | None:
    """Why this is no valid ``throttle_refund``; None if it is."""
    valid = refund is None or refund == SERVER_ERRORS or callable(refund)
    return None if valid else f"must be {SERVER_ERRORS!r}, or a callable that takes the response."


def as_refund(refund: Any) -> Refund | None:
    """A valid ``throttle_refund`` as a function of the response."""
    if refund is None or refund == SERVER_ERRORS:
        return _is_server_error if refund else None
    return cast(Refund, function_of_one(refund))


def _is_server_error(response: HttpResponseBase) -> bool:
    return response.status_code >= 500


def attributes_of_view(view: "APIView") -> Any:
    """``throttle_attributes``."""
    own = getattr(view, "throttle_attributes", None)
    return function_of_one(own) if ismethod(own) else own


def function_of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one argument that became a method because it is an attribute of a class: the function itself."""
    if ismethod(function) and _takes_one_argument(function.__func__):
        return function.__func__
    return function


def _takes_one_argument(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount == 1
