"""A decorator for single views: plain Django, sync or async, and ``@api_view``."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from ratelimit_enforcer.client_identifier import client_of
from ratelimit_enforcer.domain.validation import cost_problem
from ratelimit_enforcer.protection import OK, Verdict, judge
from ratelimit_enforcer.request_attributes import OwnAttributes, RequestAttributes
from ratelimit_enforcer.responses import add_headers, denial_response
from ratelimit_enforcer.throttling import PolicyThrottle, exception_of

Cost = int | Callable[[Any], int]
Refuse = Callable[[HttpRequest, Verdict], HttpResponseBase]
View = Callable[..., Any]

_MODULE_OF_API_VIEW = "rest_framework.decorators"
"""By name: it imports ``rest_framework.views``, which imports the project's default throttle classes, and these may be
in a module that uses this decorator."""


def rate_limit(
    *,
    endpoint: str | None = None,
    cost: Cost | None = None,
    attributes: OwnAttributes = None,
    refuse: Refuse | None = None,
) -> Callable[[View], View]:
    """Checks each request before the view runs.

    ``endpoint`` is a slug (default: found by method and path). ``cost`` is a number or a callable that
    takes the request (default: the endpoint's cost). ``attributes``: attribute → value or callable that takes the
    request; or a callable that takes the request and returns such a mapping. A request that is not admitted is
    answered with a problem document, or with the result of ``refuse(request, verdict)``; ``verdict.status`` is 403, 429
    or 503. Below ``@api_view``, the framework's exceptions are raised instead; above ``@api_view``, the
    decorator configures the view's :class:`~ratelimit_enforcer.throttling.PolicyThrottle`.
    """
    _require(endpoint, cost)

    def decorate(view: View) -> View:
        if hasattr(view, "cls"):
            _require_api_view(view, refuse)
            return _limit_api_view(view, endpoint, cost, attributes)
        limited = LimitedAsyncView if iscoroutinefunction(view) else LimitedView
        return limited(view, ViewLimit(endpoint, cost, attributes, refuse or _refuse))

    return decorate


class ViewLimit:
    """The arguments of the check before a view, and the function that makes the response to a denial."""

    def __init__(self, endpoint: str | None, cost: Cost | None, attributes: OwnAttributes, refuse: Refuse) -> None:
        self.endpoint = endpoint
        self._attributes = attributes
        self._cost = cost
        self._refuse = refuse

    def denial_response(self, request: HttpRequest | Request) -> HttpResponseBase | None:
        """The response to a request that is not admitted; None if it is. For requests of Django REST
        Framework, raises the framework's exceptions instead."""
        cost = self._cost(request) if callable(self._cost) else self._cost
        attributes = RequestAttributes(request, self._attributes)
        verdict = judge(request, client_of(request), endpoint=self.endpoint, cost=cost, attributes=attributes)
        if verdict.status == OK:
            return None
        if isinstance(request, Request):
            raise exception_of(verdict)
        return self._refuse(request, verdict)


def _refuse(_: HttpRequest, verdict: Verdict) -> HttpResponseBase:
    return denial_response(verdict)


class LimitedView:
    """A view with a check before it."""

    def __init__(self, view: View, limit: ViewLimit) -> None:
        update_wrapper(self, view)
        self._view = view
        self._limit = limit
        self.rate_limited = [limit.endpoint, *getattr(view, "rate_limited", ())]
        """The endpoints of the limits on this view, for the system checks."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise TypeError(
            f"rate_limit decorates functions, but {owner.__qualname__}.{name} is a method: its first argument is not "
            f"the request. Write @method_decorator(rate_limit(…)) on it, or @method_decorator(rate_limit(…), "
            f'name="dispatch") on {owner.__qualname__}.'
        )

    def __call__(self, request: HttpRequest, *arguments: Any, **named: Any) -> Any:
        denial = self._limit.denial_response(request)
        response = self._view(request, *arguments, **named) if denial is None else denial
        add_headers(request, response)
        return response


class LimitedAsyncView(LimitedView):
    """An async view with a check before it."""

    def __init__(self, view: View, limit: ViewLimit) -> None:
        super().__init__(view, limit)
        markcoroutinefunction(self)
        # In a thread: the check uses Redis, and the session's user may come from the database.
        self._check = sync_to_async(limit.denial_response)

    async def __call__(self, request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        denial = await self._check(request)
        response: HttpResponseBase = await self._view(request, *arguments, **named) if denial is None else denial
        add_headers(request, response)
        return response


def _limit_api_view(view: Any, endpoint: str | None, cost: Cost | None, attributes: OwnAttributes) -> View:
    """Sets the attributes of the class that ``@api_view`` made for this one function."""
    view.cls.throttle_endpoint = endpoint
    view.cls.throttle_cost = staticmethod(cost) if callable(cost) else cost
    view.cls.throttle_attributes = staticmethod(attributes) if callable(attributes) else attributes
    others = [throttle for throttle in view.cls.throttle_classes if not issubclass(throttle, PolicyThrottle)]
    view.cls.throttle_classes = [PolicyThrottle, *others]
    return view


def _require_api_view(view: Any, refuse: Refuse | None) -> None:
    if not _is_of_api_view(view.cls):
        raise TypeError(f"Set throttle_endpoint and throttle_cost on {view.cls.__qualname__}, and throttle_classes.")
    if refuse is not None:
        raise TypeError(
            "rate_limit: refuse is for plain views; EXCEPTION_HANDLER of the REST framework is for its own."
        )


def _is_of_api_view(cls: type) -> bool:
    """Whether ``@api_view`` made this class: the methods of such a class are functions of its own module. The
    class is used by one view only, so its attributes may be set."""
    return any(getattr(method, "__module__", None) == _MODULE_OF_API_VIEW for method in vars(cls).values())


def _require(endpoint: Any, cost: Any) -> None:
    if endpoint is not None and not (isinstance(endpoint, str) and endpoint):
        raise TypeError(f"rate_limit: endpoint is {endpoint!r}; it must be the slug of an endpoint.")
    if cost is None or callable(cost):
        return
    problem = "must be a whole number or a callable." if type(cost) is not int else cost_problem(cost)
    if problem:
        raise ValueError(f"rate_limit: cost is {cost!r}: {problem}")
