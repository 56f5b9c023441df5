"""A decorator for single views: plain Django, sync or async, and ``@api_view``."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from ratelimit_enforcer.client_identifier import client_of
from ratelimit_enforcer.domain.validation import cost_problem
from ratelimit_enforcer.protection import OK, Verdict, judge
from ratelimit_enforcer.request_attributes import OwnAttributes, RequestAttributes
from ratelimit_enforcer.request_limit import Refund, limit_of
from ratelimit_enforcer.responses import add_headers, denial_response
from ratelimit_enforcer.throttling import PolicyThrottle, exception_of
from ratelimit_enforcer.view_options import as_refund, refund_problem

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
    reserve: Cost | None = None,
    refund: str | Refund | None = None,
    attributes: OwnAttributes = None,
    refuse: Refuse | None = None,
) -> Callable[[View], View]:
    """Checks each request before the view runs.

    ``endpoint`` is a slug (default: found by method and path). ``cost`` is a number or a callable that
    takes the request (default: the endpoint's cost). ``reserve`` instead of ``cost`` reserves that cost, and the view
    settles it with ``request.rate_limit`` (:class:`~ratelimit_enforcer.request_limit.RequestLimit`). ``refund``:
    ``"5xx"``, or a callable that takes the response: such a request costs nothing. ``attributes``: attribute → value or
    callable that takes the request; or a callable that takes the request and returns such a mapping. A request that is
    not admitted is answered with a problem document, or with the result of ``refuse(request, verdict)``;
    ``verdict.status`` is 403, 429 or 503. Below ``@api_view``, the framework's exceptions are raised instead; above
    ``@api_view``, the decorator configures the view's :class:`~ratelimit_enforcer.throttling.PolicyThrottle`.
    """
    options = Options(endpoint, cost, reserve, refund, attributes)
    _require(options)

    def decorate(view: View) -> View:
        if hasattr(view, "cls"):
            _require_api_view(view, refuse)
            return _limit_api_view(view, options)
        limited = LimitedAsyncView if iscoroutinefunction(view) else LimitedView
        return limited(view, ViewLimit(options, refuse or _refuse))

    return decorate


class Options(NamedTuple):
    """The arguments of :func:`rate_limit` that :class:`~ratelimit_enforcer.throttling.PolicyThrottle` has too, there as
    ``throttle_endpoint`` and so on."""

    endpoint: str | None
    cost: Cost | None
    reserve: Cost | None
    refund: str | Refund | None
    attributes: OwnAttributes


class ViewLimit:
    """The arguments of the check before a view, and the function that makes the response to a denial."""

    def __init__(self, options: Options, refuse: Refuse) -> None:
        self.endpoint = options.endpoint
        self._options = options
        self._cost = options.cost if options.reserve is None else options.reserve
        self._refund = as_refund(options.refund)
        self._refuse = refuse

    def denial_response(self, request: HttpRequest | Request) -> HttpResponseBase | None:
        """The response to a request that is not admitted; None if it is. For requests of Django REST
        Framework, raises the framework's exceptions instead."""
        cost = self._cost(request) if callable(self._cost) else self._cost
        limit = limit_of(request)
        verdict = judge(
            request,
            client_of(request),
            endpoint=self.endpoint,
            cost=cost,
            attributes=RequestAttributes(request, self._options.attributes),
            reserves=self._options.reserve is not None,
            refund=self._refund,
        )
        if isinstance(request, Request) and limit.is_holding:
            limit.view = (request.parser_context or {}).get("view")
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
        limit_of(request).answer(response)
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
        limit_of(request).answer(response)
        add_headers(request, response)
        return response


def _limit_api_view(view: Any, options: Options) -> View:
    """Sets the attributes of the class that ``@api_view`` made for this one function."""
    for name, value in options._asdict().items():
        setattr(view.cls, f"throttle_{name}", staticmethod(value) if callable(value) else value)
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


def _require(options: Options) -> None:
    endpoint = options.endpoint
    if endpoint is not None and not (isinstance(endpoint, str) and endpoint):
        raise TypeError(f"rate_limit: endpoint is {endpoint!r}; it must be the slug of an endpoint.")
    if options.cost is not None and options.reserve is not None:
        raise TypeError("rate_limit: cost and reserve are both given; give one of them.")
    if problem := refund_problem(options.refund):
        raise TypeError(f"rate_limit: refund is {options.refund!r}: {problem}")
    _require_cost("cost", options.cost)
    _require_cost("reserve", options.reserve)


def _require_cost(name: str, cost: Any) -> None:
    if cost is None or callable(cost):
        return
    problem = "must be a whole number or a callable." if type(cost) is not int else cost_problem(cost)
    if problem:
        raise ValueError(f"rate_limit: {name} is {cost!r}: {problem}")
