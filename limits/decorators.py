"""A decorator for single views: plain Django, sync or async, and ``@api_view``."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from limits.client_identifier import client_of
from limits.domain.validation import cost_problem
from limits.protection import OK, Verdict, judge
from limits.refusals import refusal
from limits.response_headers import add_headers
from limits.throttling import PolicyThrottle, exception_of

Cost = int | Callable[[Any], int]
Refuse = Callable[[HttpRequest, Verdict], HttpResponseBase]
View = Callable[..., Any]


def rate_limit(
    *, endpoint: str | None = None, cost: Cost | None = None, refuse: Refuse | None = None
) -> Callable[[View], View]:
    """Asks the platform before the view runs.

    ``endpoint`` is a slug (left out: method and path decide), ``cost`` a number or a callable that
    takes the request (left out: the endpoint's). A request that may not go on is answered with a
    problem document, or with what ``refuse(request, verdict)`` makes; ``verdict.status`` is 403, 429
    or 503. Under ``@api_view`` it raises the framework's exceptions; above it, it makes the
    :class:`~limits.throttling.PolicyThrottle` of that view.
    """
    _require(endpoint, cost)

    def decorate(view: View) -> View:
        if hasattr(view, "cls"):
            _require_api_view(view, refuse)
            return _limit_api_view(view, endpoint, cost)
        limited = LimitedAsyncView if iscoroutinefunction(view) else LimitedView
        return limited(view, Question(endpoint, cost, refuse or _refuse))

    return decorate


class Question:
    """What is asked about each request to a view, and how a refusal looks."""

    def __init__(self, endpoint: str | None, cost: Cost | None, refuse: Refuse) -> None:
        self.endpoint = endpoint
        self._cost = cost
        self._refuse = refuse

    def refusal(self, request: HttpRequest | Request) -> HttpResponseBase | None:
        """The answer to a request that may not go on; None: it may. Raises the framework's
        exceptions inside of its views."""
        cost = self._cost(request) if callable(self._cost) else self._cost
        verdict = judge(request, client_of(request), endpoint=self.endpoint, cost=cost)
        if verdict.status == OK:
            return None
        if isinstance(request, Request):
            raise exception_of(verdict)
        return self._refuse(request, verdict)


def _refuse(_: HttpRequest, verdict: Verdict) -> HttpResponseBase:
    return refusal(verdict)


class LimitedView:
    """A view that is asked about before it runs."""

    def __init__(self, view: View, question: Question) -> None:
        update_wrapper(self, view)
        self._view = view
        self._question = question
        self.rate_limited = [question.endpoint, *getattr(view, "rate_limited", ())]
        """The endpoints that this view is limited by, for the system checks."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise TypeError(
            f"rate_limit decorates functions, and {owner.__qualname__}.{name} is a method, whose first argument is not "
            f"the request. Write @method_decorator(rate_limit(…)) on it, or @method_decorator(rate_limit(…), "
            f'name="dispatch") on {owner.__qualname__}.'
        )

    def __call__(self, request: HttpRequest, *arguments: Any, **named: Any) -> Any:
        refused = self._question.refusal(request)
        response = self._view(request, *arguments, **named) if refused is None else refused
        add_headers(request, response)
        return response


class LimitedAsyncView(LimitedView):
    """The same for an async view."""

    def __init__(self, view: View, question: Question) -> None:
        super().__init__(view, question)
        markcoroutinefunction(self)
        # In a thread: it talks to Redis, and the session's user may come from the database.
        self._ask = sync_to_async(question.refusal)

    async def __call__(self, request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        refused = await self._ask(request)
        response: HttpResponseBase = await self._view(request, *arguments, **named) if refused is None else refused
        add_headers(request, response)
        return response


def _limit_api_view(view: Any, endpoint: str | None, cost: Cost | None) -> View:
    """Sets the attributes of the class that ``@api_view`` made for this one function."""
    view.cls.throttle_endpoint = endpoint
    view.cls.throttle_cost = staticmethod(cost) if callable(cost) else cost
    others = [throttle for throttle in view.cls.throttle_classes if not issubclass(throttle, PolicyThrottle)]
    view.cls.throttle_classes = [PolicyThrottle, *others]
    return view


def _require_api_view(view: Any, refuse: Refuse | None) -> None:
    if view.cls.__qualname__ != "WrappedAPIView":
        raise TypeError(f"Set throttle_endpoint and throttle_cost on {view.cls.__qualname__}, and throttle_classes.")
    if refuse is not None:
        raise TypeError(
            "rate_limit: refuse is for plain views; EXCEPTION_HANDLER of the REST framework is for its own."
        )


def _require(endpoint: Any, cost: Any) -> None:
    if endpoint is not None and not (isinstance(endpoint, str) and endpoint):
        raise TypeError(f"rate_limit: endpoint is {endpoint!r}, and must be the slug of an endpoint.")
    if cost is None or callable(cost):
        return
    problem = "must be a whole number, or a callable." if type(cost) is not int else cost_problem(cost)
    if problem:
        raise ValueError(f"rate_limit: cost is {cost!r}: {problem}")
