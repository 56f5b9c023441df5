"""Failed requests cost nothing, for at most a part of a quota."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import BadRequest, ImproperlyConfigured, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from ratelimit_enforcer import request_limit
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Period
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.refunds import Refunds
from ratelimit_enforcer.store.heartbeats import Share
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.domain.test_decision import decision, state
from tests.support.servers import Store
from tests.throttling.reserving import TOKENS, left, publish, unsettled
from tests.throttling.views import KEY_IN_HEADER

pytestmark = pytest.mark.usefixtures("no_event_loop")

COST = 30


class Unavailable(APIException):
    status_code = 503


def respond(request: Any) -> Any:
    """Does what the header says: a status, or an exception."""
    match request.headers["X-Outcome"]:
        case "exception":
            raise KeyError
        case "suspicious":
            raise SuspiciousOperation
        case "bad request":
            raise BadRequest
        case status:
            return int(status)


class View(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "completions"
    throttle_cost: Any = COST
    throttle_refund: Any = "5xx"
    throttle_reserve: Any = None

    def get(self, request: Request) -> Response:
        status = respond(request)
        if status == 503:
            raise Unavailable
        return Response(status=status)


class ByMethod(View):
    def throttle_refund(self, response: HttpResponse) -> bool:
        return response.status_code == 404


class Settled(View):
    """Reserves, and settles if the request succeeds."""

    throttle_cost = None
    throttle_reserve = COST

    def get(self, request: Request) -> Response:
        response = super().get(request)
        request.rate_limit.settle(5)
        return response


class Shop(ViewSet):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "completions"
    throttle_cost = COST
    throttle_refund = {"list": "5xx"}

    def create(self, request: Request) -> Response:
        return Response(status=respond(request))

    list = create


def plain_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=respond(request))


async def later_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=respond(request))


def is_missing(response: Any) -> bool:
    return bool(response.status_code == 404)


def broken(response: Any) -> bool:
    raise KeyError


class Unrendered:
    """Content whose rendering fails, after the view."""

    def __str__(self) -> str:
        raise KeyError


class Rendered(View):
    def get(self, request: Request) -> Response:
        return Response({"a": {1, Unrendered()}, "b": object()})


limited = rate_limit(endpoint="completions", cost=COST, refund="5xx")

urlpatterns = [
    path("framework", View.as_view()),
    path("plain", limited(plain_view)),
    path("later", limited(later_view)),
    path("function", rate_limit(endpoint="completions", cost=COST, refund=is_missing)(plain_view)),
    path("by-function", View.as_view(throttle_refund=is_missing)),
    path("by-method", ByMethod.as_view()),
    path("settled", Settled.as_view()),
    path("shop", Shop.as_view({"get": "list", "post": "create"})),
    path("rendered", Rendered.as_view()),
    path("broken", rate_limit(endpoint="completions", cost=COST, refund=broken)(plain_view)),
    path("invalid", View.as_view(throttle_refund="4xx")),
]


@pytest.fixture
def project(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    publish(store)
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    monkeypatch.setattr(request_limit, "_refunds", Refunds())
    return store


def ask(path: str, outcome: object, client: str = "ann", method: str = "get") -> int:
    sender = Client(raise_request_exception=False, headers={"X-Key": client, "X-Outcome": str(outcome)})
    status: int = getattr(sender, method)(f"/{path}").status_code
    return status


@pytest.mark.parametrize("view", ["framework", "plain", "later"])
class TestEachKindOfView:
    @pytest.mark.parametrize(("outcome", "status"), [(503, 503), (500, 500), ("exception", 500)])
    def test_a_failed_request_costs_nothing(self, project: Store, view: str, outcome: object, status: int) -> None:
        assert ask(view, outcome) == status
        assert (left()[0], unsettled(project)) == (TOKENS, 0)

    @pytest.mark.parametrize(("outcome", "status"), [(200, 200), (404, 404), ("suspicious", 400), ("bad request", 400)])
    def test_other_requests_cost(self, project: Store, view: str, outcome: object, status: int) -> None:
        assert ask(view, outcome) == status
        assert (left()[0], unsettled(project)) == (TOKENS - COST, 0)

    def test_for_at_most_a_tenth_of_the_quota(self, project: Store, view: str) -> None:
        free = TOKENS // 10 // COST
        assert {ask(view, 503) for _ in range(free)} == {503}
        assert left()[0] == TOKENS
        assert {ask(view, 503) for _ in range(2)} == {503}
        assert (left()[0], unsettled(project)) == (TOKENS - 2 * COST, 0)

    def test_each_client_has_a_tenth_of_its_own(self, project: Store, view: str) -> None:
        for client in ("ann", "bob"):
            for _ in range(4):
                ask(view, 503, client)
            assert left(client)[0] == TOKENS - COST

    def test_the_share_is_a_setting(self, project: Store, view: str, settings: Settings) -> None:
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REFUND_SHARE": 0}
        assert ask(view, 503) == 503
        assert left()[0] == TOKENS - COST


@pytest.mark.parametrize("view", ["function", "by-function", "by-method"])
def test_a_callable_decides(project: Store, view: str) -> None:
    assert ask(view, 404) == 404
    assert left()[0] == TOKENS
    assert ask(view, 500) == 500
    assert ask(view, "exception") == 500
    assert left()[0] == TOKENS - 2 * COST


def test_the_costs_of_successful_requests_are_settled_and_of_failed_ones_refunded(project: Store) -> None:
    assert ask("settled", 200) == 200
    assert left()[0] == TOKENS - 5
    assert ask("settled", 503) == 503
    assert left()[0] == TOKENS - 5
    assert ask("settled", 400) == 400
    assert left()[0] == TOKENS - 10


def test_a_viewset_has_values_for_each_action(project: Store) -> None:
    assert (ask("shop", 500), ask("shop", 500, method="post")) == (500, 500)
    assert left()[0] == TOKENS - COST


def test_a_response_that_cannot_be_rendered_has_failed(project: Store) -> None:
    assert ask("rendered", 200) == 500
    assert left()[0] == TOKENS


def test_an_exception_of_the_callable_is_logged(project: Store, caplog: pytest.LogCaptureFixture) -> None:
    assert ask("broken", 200) == 200
    assert [record.exc_info is not None for record in caplog.records if "not settled" in record.getMessage()] == [True]
    assert left()[0] == TOKENS - COST


def test_an_invalid_value_is_reported(project: Store) -> None:
    with pytest.raises(ImproperlyConfigured, match="throttle_refund of View is '4xx': must be '5xx', or a callable"):
        Client(headers={"X-Key": "ann", "X-Outcome": "200"}).get("/invalid")


def test_places_bound_no_refund(project: Store) -> None:
    """Places are freed in any case; a tenth of this quota would be none."""
    publish(project, Policy("one", (Limit(1, 60, Algorithm.CONCURRENCY),)))
    assert [ask("plain", 503) for _ in range(3)] == [503] * 3
    assert left() == [TOKENS, 1]


PER_MINUTE = Limit(100, 60)


def of(
    limit: Limit, cost: int = 1, *, client: str | None = "ann", mode: Mode = Mode.ENFORCE, ends: float | None = None
) -> Decision:
    """A decision on a request of this cost under one limit."""
    only = state("all:60s")._replace(limit=limit, client=client, mode=mode, ends_after=ends)
    return decision(only)._replace(cost=cost)


def test_the_bound_holds_in_every_window() -> None:
    refunds = Refunds()
    granted = [at for at in range(600) if refunds.admit(of(PER_MINUTE), 0.1, now=float(at))]
    assert max(sum(begin <= at < begin + 60 for at in granted) for begin in range(600)) == 10
    assert len(granted) > 90


def test_memory_is_bounded_for_any_quota() -> None:
    refunds = Refunds()
    limit = Limit(10**9, 60)
    assert all(refunds.admit(of(limit), 1.0, now=at / 1_000) for at in range(100_000))
    (refunded,) = refunds._by_limit.values()
    assert len(refunded._entries) <= 66


def test_a_cost_that_does_not_fit_is_not_refunded() -> None:
    refunds = Refunds()
    assert [refunds.admit(of(PER_MINUTE, cost), 0.1, now=0.0) for cost in (8, 3, 2, 1)] == [True, False, True, False]


def test_processes_refund_the_share_together() -> None:
    parts = [
        sum(refunds.admit(of(PER_MINUTE), 0.1, Share(rank, 3), 0.0) for _ in range(20))
        for rank, refunds in enumerate([Refunds(), Refunds(), Refunds()])
    ]
    assert parts == [4, 3, 3]


def test_a_quota_below_ten_is_never_refunded_at_a_tenth() -> None:
    assert not Refunds().admit(of(Limit(9, 60)), 0.1, now=0.0)


@pytest.mark.parametrize("share", [0.1, 0.29, 0.57])
def test_the_bound_is_exact(share: float) -> None:
    refunds = Refunds()
    assert sum(refunds.admit(of(PER_MINUTE), share, now=0.0) for _ in range(100)) == round(share * 100)


def test_all_clients_share_the_bound_of_a_limit_that_counts_none_separately() -> None:
    refunds = Refunds()
    shared = of(PER_MINUTE, client=None)
    assert sum(refunds.admit(shared._replace(client=str(number)), 0.1, now=0.0) for number in range(20)) == 10


def test_a_policy_in_shadow_mode_bounds_nothing() -> None:
    assert Refunds().admit(of(Limit(1, 60), mode=Mode.SHADOW), 0.1, now=0.0)


def test_a_calendar_limit_has_the_bound_in_each_period() -> None:
    refunds = Refunds()
    per_day = Limit(100, None, Algorithm.CALENDAR, None, Period.DAY)
    assert sum(refunds.admit(of(per_day, ends=1_000.0), 0.1, now=0.0) for _ in range(20)) == 10
    assert not refunds.admit(of(per_day, ends=10.0), 0.1, now=990.0)
    assert refunds.admit(of(per_day, ends=86_400.0), 0.1, now=1_100.0)


def test_all_limits_of_a_request_must_admit_the_refund() -> None:
    refunds = Refunds()
    strict = of(Limit(20, 60))
    both = strict._replace(limits=(*strict.limits, strict.limits[0]._replace(name="other:60s", limit=PER_MINUTE)))
    assert sum(refunds.admit(both, 0.1, now=0.0) for _ in range(20)) == 2
    other = both._replace(limits=both.limits[1:])
    assert sum(refunds.admit(other, 0.1, now=0.0) for _ in range(20)) == 8
