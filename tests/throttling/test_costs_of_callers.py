"""Costs computed from a caller's data never cause a server error."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.protection import decisions_on
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.support.servers import Store
from tests.throttling.views import remaining, request_of, send, send_async

View = Callable[[HttpRequest], HttpResponse]


def cost_of(request: Any) -> Any:
    return int(request.headers["X-Cost"])


class Throttled(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "search"
    throttle_cost = cost_of

    def get(self, request: Request) -> Response:
        return Response()


@rate_limit(endpoint="search", cost=cost_of)
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@rate_limit(endpoint="search", cost=cost_of)
async def later(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@api_view(["GET"])
@throttle_classes([])
@rate_limit(endpoint="search", cost=cost_of)
def framework_function(request: Request) -> Response:
    return Response()


def sent_later(request: HttpRequest) -> HttpResponse:
    return send_async(later, request)


@pytest.fixture(params=[Throttled.as_view(), plain, sent_later, framework_function])
def view(request: pytest.FixtureRequest, keyed_shop: Store) -> View:
    chosen: View = request.param
    return chosen if chosen is sent_later else lambda asked: send(chosen, asked)


def asking(cost: object, client: str = "ann") -> HttpRequest:
    request = request_of(client)
    request.META["HTTP_X_COST"] = str(cost)
    return request


def counted(shop: Store, client: str) -> dict[str, int]:
    """Kind, followed by the policy if there is one → count."""
    fields = shop.redis.hgetall(shop.keys.usage[shard_of(client)])
    counts: dict[str, int] = {}
    for field, amount in fields.items():
        _, kind, _, policy, name = field.decode().split("\n")
        if name == client:
            counts[f"{kind} {policy}".strip()] = int(amount)
    return counts


def test_a_cost_of_zero_is_admitted_and_consumes_nothing(view: View) -> None:
    answer = view(asking(0))
    assert answer.status_code == 200
    assert answer["RateLimit"].partition(";t=")[0] == '"free-search:3600s";r=3'
    assert remaining() == 3


def test_a_cost_of_zero_is_admitted_with_no_quota_remaining(view: View) -> None:
    assert view(asking(3)).status_code == 200
    assert view(asking(1)).status_code == 429
    assert view(asking(0)).status_code == 200


@pytest.mark.parametrize("cost", [10**6 + 1, 10**30])
def test_a_cost_above_every_quota_is_denied_without_retry_after(view: View, cost: int) -> None:
    answer = view(asking(cost))
    assert (answer.status_code, answer.has_header("Retry-After")) == (429, False)
    assert remaining() == 3


@pytest.mark.parametrize("cost", [0, 10**30])
def test_costs_do_not_affect_blocked_and_exempt_clients(view: View, cost: int) -> None:
    assert view(asking(cost, "mallory")).status_code == 403
    assert view(asking(cost, "vip")).status_code == 200


def test_the_decision_has_the_reason(keyed_shop: Store) -> None:
    free, huge = asking(0), asking(2 * 10**6)
    plain(free)
    plain(huge)
    (admitted,), (denied,) = decisions_on(free), decisions_on(huge)
    assert (admitted.allowed, admitted.reason, admitted.cost, admitted.degraded) == (True, None, 0, False)
    assert (denied.allowed, denied.reason, denied.cost) == (False, "cost_exceeds_quota", 2 * 10**6)
    assert denied.retry_after is None
    assert {state.name: state.can_ever_admit for state in denied.limits} == {
        "free-search:3600s": False,
        "trial:3600s": False,
    }


def test_requests_with_such_costs_are_counted(keyed_shop: Store) -> None:
    plain(asking(0, "free"))
    plain(asking(10**30, "huge"))
    # The cost is the number of requests plus the cost beyond one each.
    assert counted(keyed_shop, "free") == {"a": 1, "A": -1}
    assert counted(keyed_shop, "huge") == {"d": 1, "D": 10**6 - 1, "d free-search": 1}


def test_without_limits_nothing_denies(keyed_shop: Store) -> None:
    assert send(rate_limit(endpoint="closed", cost=cost_of)(lambda _: HttpResponse()), asking(0)).status_code == 200
    unlimited = rate_limit(endpoint="nowhere", cost=cost_of)(lambda _: HttpResponse())
    assert send(unlimited, asking(10**30)).status_code == 200


@pytest.mark.parametrize("cost", [-1, 1.0, float("nan"), "5", True])
def test_an_invalid_cost_is_a_configuration_error(keyed_shop: Store, cost: Any) -> None:
    for broken in (
        type("Broken", (Throttled,), {"throttle_cost": staticmethod(lambda request: cost)}).as_view(),
        rate_limit(endpoint="search", cost=lambda request: cost)(lambda _: HttpResponse()),
    ):
        with pytest.raises(ImproperlyConfigured, match="The cost of a request is"):
            send(broken, request_of())
    assert remaining() == 3


def test_a_callable_may_raise_exceptions_of_the_framework(keyed_shop: Store) -> None:
    def refuse(request: Request) -> int:
        raise ValidationError({"items": "must be a list."})

    view = type("Strict", (Throttled,), {"throttle_cost": staticmethod(refuse)}).as_view()
    assert send(view, request_of()).status_code == 400
    assert remaining() == 3


def test_such_costs_without_the_store(keyed_shop: Store) -> None:
    plain(asking(1))
    connections = get_engine()._decider._connections  # type: ignore[attr-defined]
    connections._breaker.is_open = True
    try:
        assert plain(asking(0)).status_code == 200
        assert plain(asking(10**30)).status_code == 429
    finally:
        connections._breaker.is_open = False
