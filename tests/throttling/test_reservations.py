"""Views that reserve a cost and settle it later, through Django's handlers."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from ratelimit_enforcer import request_limit
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.domain.reservations import MAX_OPEN, SettledAtAnotherCost, Settlement
from ratelimit_enforcer.engine import StoreUnavailable
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.middleware import RateLimitHeadersMixin
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.throttling import PolicyThrottle
from tests.support.servers import Store
from tests.throttling.reserving import PLACES, TOKENS, left, parts, publish, unsettled
from tests.throttling.views import KEY_IN_HEADER

pytestmark = pytest.mark.usefixtures("no_event_loop")

OURS = "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware"
REPLACING = f"{__name__}.replacing"

Act = Callable[[Any], Any]


def do_nothing(request: Any) -> None:
    return None


class Acting:
    """What the views of this module do with a request; each test sets it."""

    act: Act = staticmethod(do_nothing)
    endpoint = "completions"


class View(APIView):
    throttle_classes: tuple[type[BaseThrottle], ...] = (PolicyThrottle,)
    throttle_endpoint = "completions"
    throttle_reserve: Any = 400

    def get(self, request: Request) -> Any:
        return Acting.act(request) or Response("done")

    post = get


@rate_limit(endpoint="completions", reserve=400)
def plain(request: HttpRequest) -> Any:
    return Acting.act(request) or HttpResponse("done")


@rate_limit(endpoint="completions", reserve=400)
async def later(request: HttpRequest) -> Any:
    return Acting.act(request) or HttpResponse("done")


@rate_limit(endpoint="completions", reserve=400)
@api_view(["GET"])
def function(request: Request) -> Any:
    return Acting.act(request) or Response("done")


@api_view(["GET"])
@throttle_classes([])
@rate_limit(endpoint="completions", reserve=400)
def inner(request: Request) -> Any:
    return Acting.act(request) or Response("done")


def plain_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


class Both(View):
    throttle_cost = 5


class Deny(BaseThrottle):
    """A throttle of the project that denies."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float | None:
        return 5


class ReportsThrottle(PolicyThrottle):
    """Checks the endpoint “reports”."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return super().allow_request(request, type("Reports", (), {"throttle_endpoint": "reports"})())


def reserve_in_header(request: Any) -> Any:
    return int(request.headers["X-Reserve"])


class Tools(RateLimitHeadersMixin, ViewSet):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "completions"
    throttle_reserve = {"create": 100}
    throttle_cost = {"list": 7}

    def list(self, request: Request) -> Response:
        return Response(request.rate_limit.settle(1) is None)

    def create(self, request: Request) -> Response:
        return Response(request.rate_limit.settle(1)[1:])


urlpatterns = [
    path("framework", View.as_view()),
    path("plain", plain),
    path("later", later),
    path("function", function),
    path("inner", inner),
    path("denied", View.as_view(throttle_classes=(PolicyThrottle, Deny))),
    path("denied-first", View.as_view(throttle_classes=(Deny, PolicyThrottle))),
    path("two", View.as_view(throttle_classes=(PolicyThrottle, ReportsThrottle))),
    path("two-first", View.as_view(throttle_classes=(ReportsThrottle, PolicyThrottle))),
    path("nested", rate_limit(endpoint="completions", reserve=400)(rate_limit(endpoint="reports")(plain_view))),
    path("asked", View.as_view(throttle_reserve=reserve_in_header)),
    path("asked-plain", rate_limit(endpoint="completions", reserve=reserve_in_header)(lambda _: HttpResponse())),
    path("reports", View.as_view(throttle_endpoint="reports", throttle_reserve=None)),
    path("reports-plain", rate_limit(endpoint="reports")(lambda request: Acting.act(request) or HttpResponse())),
    path("both", Both.as_view()),
    path("bad", View.as_view(throttle_reserve=1.5)),
    path("tools", Tools.as_view({"get": "list", "post": "create"})),
]

VIEWS = ["framework", "plain", "later", "function", "inner"]


def replacing(get_response: Any) -> Any:
    """A middleware that replaces every response."""

    def middleware(request: HttpRequest) -> HttpResponse:
        get_response(request)
        return HttpResponse("replaced")

    return middleware


@pytest.fixture(params=[[], [OURS]], ids=["without the middleware", "with it"])
def project_without_rules(request: pytest.FixtureRequest, store: Store, settings: Settings) -> Iterator[Store]:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = request.param
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    yield store
    Acting.act = staticmethod(do_nothing)


@pytest.fixture
def project(project_without_rules: Store) -> Store:
    publish(project_without_rules)
    return project_without_rules


def ask(path: str, act: Act = do_nothing, method: str = "get", **headers: str) -> Any:
    Acting.act = staticmethod(act)
    client = Client(raise_request_exception=False, headers={"X-Key": "ann"} | headers)
    return getattr(client, method)(f"/{path}")


def settle(cost: int) -> Act:
    def act(request: Any) -> None:
        assert left()[0] == TOKENS - 400
        settled = request.rate_limit.settle(cost)
        assert isinstance(settled, Settlement)
        assert settled[1:] == (cost, max(0, 400 - cost), 0)
        assert left()[0] == TOKENS - cost

    return act


@pytest.mark.usefixtures("project_without_rules")
@pytest.mark.parametrize("view", VIEWS)
def test_without_rules_there_is_nothing_to_settle(view: str) -> None:
    def act(request: Any) -> None:
        assert request.rate_limit.settle(5) is None
        assert request.rate_limit.decision is None

    assert ask(view, act).status_code == 200


@pytest.mark.parametrize("view", VIEWS)
class TestEachKindOfView:
    def test_the_view_settles(self, project: Store, view: str) -> None:
        assert ask(view, settle(30)).status_code == 200
        assert (left()[0], unsettled(project)) == (TOKENS - 30, 0)

    def test_an_unsettled_reservation_is_settled_at_what_was_reserved(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            assert unsettled(project) == 1

        assert ask(view, act).status_code == 200
        assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)

    def test_release_refunds_everything(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            assert request.rate_limit.release().cost == 0

        assert ask(view, act).status_code == 200
        assert (left()[0], unsettled(project)) == (TOKENS, 0)

    def test_the_same_cost_again_has_the_same_answer_and_another_is_an_error(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            first = request.rate_limit.settle(30)
            assert request.rate_limit.settle(30) == first
            with pytest.raises(SettledAtAnotherCost, match="settled at a cost of 30"):
                request.rate_limit.settle(31)

        assert ask(view, act).status_code == 200
        assert (left()[0], unsettled(project)) == (TOKENS - 30, 0)

    def test_after_an_exception_what_was_reserved_is_kept(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            raise KeyError

        assert ask(view, act).status_code == 500
        assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)

    def test_after_a_404_too(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            raise Http404

        assert ask(view, act).status_code == 404
        assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)

    def test_the_quota_denies_what_does_not_fit(self, project: Store, view: str) -> None:
        assert [ask(view).status_code for _ in range(3)] == [200, 200, 429]
        assert (left()[0], unsettled(project)) == (TOKENS - 800, 0)

    def test_the_decision_is_available(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            decision = request.rate_limit.decision
            assert (decision.client, decision.cost, decision.allowed) == ("ann", 400, True)

        assert ask(view, act).status_code == 200

    def test_an_exempt_client_has_nothing_to_settle(self, project: Store, view: str) -> None:
        def act(request: Any) -> None:
            assert request.rate_limit.settle(5) is None
            assert request.rate_limit.release() is None

        assert ask(view, act, **{"X-Key": "vip"}).status_code == 200

    def test_without_limits_there_is_nothing_to_settle(self, project: Store, view: str, settings: Settings) -> None:
        def act(request: Any) -> None:
            assert request.rate_limit.settle(5) is None
            assert request.rate_limit.decision is None

        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"ENABLED": False}
        assert ask(view, act).status_code == 200

    @pytest.mark.parametrize("cost", [-1, 1.5, "5", True, None, 10**9 + 1])
    def test_an_invalid_cost_is_an_error(self, project: Store, view: str, cost: Any) -> None:
        def act(request: Any) -> None:
            with pytest.raises(ValueError, match="The actual cost of a request is"):
                request.rate_limit.settle(cost)

        assert ask(view, act).status_code == 200


def test_a_viewset_has_values_for_each_action(project: Store) -> None:
    assert ask("tools").data is True
    assert left()[0] == TOKENS - 7
    assert ask("tools", method="post").data == (1, 99, 0)
    assert left()[0] == TOKENS - 8


@pytest.mark.parametrize("view", ["asked", "asked-plain"])
def test_a_callable_decides_how_much_is_reserved(project: Store, view: str) -> None:
    assert ask(view, **{"X-Reserve": "123"}).status_code == 200
    assert left()[0] == TOKENS - 123
    assert ask(view, **{"X-Reserve": "0"}).status_code == 200
    assert ask(view, **{"X-Reserve": str(10**6 + 1)}).status_code == 429
    assert ask(view, **{"X-Reserve": "-1"}).status_code == 500
    assert (left()[0], unsettled(project)) == (TOKENS - 123, 0)


@pytest.mark.parametrize(
    ("view", "says"), [("both", "sets throttle_cost and throttle_reserve"), ("bad", "The cost of a request is 1.5")]
)
def test_invalid_attributes_are_reported(project: Store, view: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        Client(headers={"X-Key": "ann"}).get(f"/{view}")


def stream(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts(3))


def stream_async(request: Any) -> StreamingHttpResponse:
    async def content() -> AsyncIterator[bytes]:
        for part in parts(3):
            yield part

    return StreamingHttpResponse(content())


def send_file(request: Any) -> FileResponse:
    return FileResponse(BytesIO(b"0 1 2 "))


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators")
@pytest.mark.parametrize("act", [stream, stream_async, send_file])
@pytest.mark.parametrize("view", VIEWS)
def test_a_stream_holds_the_reservation_until_it_ends(project: Store, view: str, act: Act) -> None:
    answer = ask(view, act)
    assert unsettled(project) == 1
    assert b"".join(answer) == b"0 1 2 "
    assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)


@pytest.mark.parametrize("view", ["framework", "plain"])
def test_a_stream_settles_in_its_own_end(project: Store, view: str) -> None:
    def act(request: Any) -> StreamingHttpResponse:
        def content() -> Iterator[bytes]:
            try:
                yield from parts(3)
            finally:
                request.rate_limit.settle(3)

        return StreamingHttpResponse(content())

    assert b"".join(ask(view, act)) == b"0 1 2 "
    answer = ask(view, act)
    assert next(iter(answer)) == b"0 "
    answer.close()
    assert (left()[0], unsettled(project)) == (TOKENS - 6, 0)


@pytest.mark.parametrize("view", VIEWS)
def test_head_requests(project: Store, view: str) -> None:
    assert ask(view, method="head").status_code in (200, 405)
    assert unsettled(project) == 0


def test_a_response_replaced_by_a_middleware(project: Store, settings: Settings) -> None:
    settings.MIDDLEWARE = [REPLACING, *settings.MIDDLEWARE]
    for view in ("framework", "plain"):
        assert ask(view, stream).content == b"replaced"
    assert (left()[0], unsettled(project)) == (TOKENS - 800, 0)


@pytest.mark.parametrize("view", ["reports", "reports-plain"])
def test_places_are_free_once_the_response_is_closed(project: Store, view: str) -> None:
    def act(request: Any) -> None:
        assert left("ann", "reports") == [PLACES - 1]
        assert request.rate_limit.settle(7) is None
        assert left("ann", "reports") == [PLACES - 1]

    assert [ask(view, act).status_code for _ in range(5)] == [200] * 5
    open_ = [ask(view, stream) for _ in range(PLACES)]
    assert ask(view).status_code == 429
    open_[0].close()
    assert ask(view).status_code == 200
    open_[1].close()
    assert left("ann", "reports") == [PLACES]


@pytest.mark.parametrize("view", ["denied", "denied-first"])
def test_a_request_that_another_throttle_denies_is_refunded(project: Store, view: str) -> None:
    answer = ask(view)
    assert (answer.status_code, answer["Retry-After"]) == (429, "5")
    assert (left()[0], unsettled(project)) == (TOKENS, 0)


@pytest.mark.parametrize("view", ["two", "two-first", "nested"])
def test_a_request_that_another_policy_denies_is_refunded(project: Store, view: str) -> None:
    in_progress = [ask("reports", stream) for _ in range(PLACES)]
    assert ask(view).status_code == 429
    assert left()[0] == TOKENS
    for answer in in_progress:
        answer.close()
    assert ask(view).status_code == 200
    assert (left()[0], unsettled(project)) == (TOKENS - 400, 0)


@pytest.mark.parametrize("view", ["framework", "plain"])
def test_too_many_unsettled_reservations_are_denied(project: Store, view: str) -> None:
    first = ask("plain", stream)
    key = project.keys.open_reservations_of(shard_of("ann"), "ann")
    ((_, until),) = project.redis.zrange(key, 0, -1, withscores=True)
    project.redis.zadd(key, {f"other{number}": until for number in range(MAX_OPEN - 1)})
    denied = ask(view)
    assert (denied.status_code, denied.has_header("Retry-After")) == (429, False)
    if view == "plain":
        assert denied.json() == {
            "type": "about:blank",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "This client has too many unsettled reservations.",
        }
    first.close()
    assert ask(view).status_code == 200


def test_a_degraded_request_has_nothing_to_settle(project: Store, redis_server: Any, settings: Settings) -> None:
    server = redis_server()
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REDIS": server.url}
    publish(Store(server.url, project.keys.namespace))
    assert ask("plain").status_code == 200
    server.kill()

    def act(request: Any) -> None:
        assert request.rate_limit.decision.degraded
        assert request.rate_limit.settle(5) is None

    assert [ask(view, act).status_code for view in VIEWS] == [200] * len(VIEWS)


def test_settling_fails_while_the_store_is_unavailable(
    project: Store,
    redis_server: Any,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_limit, "_unsettled", RateLimitedLog(logging.getLogger("ratelimit_enforcer")))
    server = redis_server()
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REDIS": server.url, "CHECK_DEADLINE": 1.0}
    publish(Store(server.url, project.keys.namespace))

    def act(request: Any) -> None:
        server.kill()
        with pytest.raises(StoreUnavailable):
            request.rate_limit.settle(5)

    assert ask("plain", act).status_code == 200
    assert len([each for each in caplog.messages if each.startswith("A reservation was not settled")]) == 1


def test_a_settlement_that_failed_is_repeated_when_the_response_is_closed(
    project: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(request: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("ratelimit_enforcer.engine.Engine.settle", unavailable)
            with pytest.raises(StoreUnavailable):
                request.rate_limit.settle(5)

    def unavailable(*_: Any) -> None:
        raise StoreUnavailable

    assert ask("plain", act).status_code == 200
    assert (left()[0], unsettled(project)) == (TOKENS - 5, 0)
