"""The decorator ``rate_limit`` for single views."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from pytest_django import Settings
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.protection import Verdict
from ratelimit_platform.embedded.redis import free_port
from tests.support.servers import Store
from tests.support.web import outer_environment
from tests.throttling.views import remaining, request_of, send_async

pytestmark = pytest.mark.usefixtures("keyed_shop")

BASE_DIR = Path(__file__).resolve().parents[2]


@rate_limit(endpoint="search")
def search(request: HttpRequest, word: str = "") -> HttpResponse:
    return HttpResponse(f"found {word}")


@rate_limit(endpoint="search")
async def search_later(request: HttpRequest, word: str = "") -> HttpResponse:
    return HttpResponse(f"found {word}")


@method_decorator(rate_limit(endpoint="search"), name="dispatch")
class Search(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("found")


@api_view(["GET"])
@throttle_classes([])
@rate_limit(endpoint="search")
def search_of_the_framework(request: Request) -> Response:
    return Response("found")


def test_a_view_runs_until_the_quota_is_exhausted() -> None:
    answers = [search(request_of(), word="tea") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].content == b"found tea"
    assert [answer["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"free-search:3600s";r={left}' for left in (2, 1, 0, 0)
    ]


def test_a_denial_is_a_problem_document_with_retry_after() -> None:
    answer = [search(request_of()) for _ in range(4)][3]
    assert answer["Content-Type"] == "application/problem+json"
    assert 3_590 <= int(answer["Retry-After"]) <= 3_600
    assert json.loads(answer.content) == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "violated-policies": ["free-search:3600s"],
        "status": 429,
        "detail": "Denied by free-search:3600s.",
    }


def test_an_async_view_is_limited_in_the_same_way() -> None:
    answers = [send_async(search_later) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3]["Content-Type"] == "application/problem+json"
    assert remaining() == 0


def test_a_class_is_limited_by_its_dispatch() -> None:
    assert [Search.as_view()(request_of()).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_inside_a_view_of_the_framework_a_denial_is_the_frameworks_response() -> None:
    answers = [search_of_the_framework(request_of()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].data["detail"].startswith("Request was throttled. Expected available in 3")
    assert 3_590 <= int(answers[3]["Retry-After"]) <= 3_600


def test_above_a_view_of_the_framework_it_configures_the_throttle() -> None:
    @rate_limit(endpoint="orders", cost=2)
    @api_view(["GET"])
    def orders(request: Request) -> Response:
        return Response("ordered")

    assert orders(request_of()).status_code == 200
    assert remaining(endpoint="orders") == 18


def test_above_a_shared_class_it_raises_an_error_with_the_solution() -> None:
    with pytest.raises(TypeError, match="Set throttle_endpoint and throttle_cost on Orders"):
        rate_limit(endpoint="orders")(type("Orders", (APIView,), {}).as_view())


def test_a_class_named_like_one_of_api_view_is_not_mistaken_for_one() -> None:
    wrapped = type("WrappedAPIView", (APIView,), {"get": lambda self, request: Response()})
    with pytest.raises(TypeError, match="Set throttle_endpoint and throttle_cost on WrappedAPIView"):
        rate_limit(endpoint="orders")(wrapped.as_view())


def test_a_class_of_api_view_is_recognized_by_any_name() -> None:
    @api_view(["POST"])
    def orders(request: Request) -> Response:
        return Response("ordered")

    orders.cls.__qualname__ = "orders"
    rate_limit(endpoint="orders", cost=3)(orders)
    assert (orders.cls.throttle_endpoint, orders.cls.throttle_cost) == ("orders", 3)


def test_refuse_is_rejected_for_views_of_the_framework() -> None:
    @api_view(["GET"])
    def orders(request: Request) -> Response:
        return Response("ordered")

    with pytest.raises(TypeError, match="refuse is for plain views"):
        rate_limit(endpoint="orders", refuse=lambda request, verdict: HttpResponse())(orders)


def test_without_an_endpoint_method_and_path_select_it() -> None:
    view = rate_limit()(lambda request: HttpResponse())
    view(request_of(path="/api/orders", method="post"))
    assert remaining(endpoint="orders") == 15


def test_the_cost_may_depend_on_the_request() -> None:
    view = rate_limit(endpoint="orders", cost=lambda request: len(request.headers["X-Key"]))(lambda _: HttpResponse())
    view(request_of("anna"))
    assert remaining("anna", "orders") == 16


def test_a_blocked_client_gets_403_without_retry_after() -> None:
    answer = search(request_of("mallory"))
    assert (answer.status_code, answer.has_header("Retry-After")) == (403, False)
    assert json.loads(answer.content)["detail"] == "This client is blocked."
    assert search_of_the_framework(request_of("mallory")).status_code == 403


def test_a_denial_by_a_quota_of_zero_has_no_retry_after() -> None:
    answer = rate_limit(endpoint="closed")(lambda _: HttpResponse())(request_of())
    assert (answer.status_code, answer.has_header("Retry-After")) == (429, False)


def test_without_the_store_the_fallback_of_the_policy_applies(settings: Settings, keyed_shop: Store) -> None:
    view = rate_limit(endpoint="orders")(lambda _: HttpResponse())
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "WITHOUT_RULESET": "deny",
        "REDIS": f"redis://127.0.0.1:{free_port()}/0",
    }
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CHECK_DEADLINE": 0.1}
    answer = view(request_of())
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert json.loads(answer.content)["title"] == "Service Unavailable"


def test_a_project_can_define_its_own_denial_response() -> None:
    def refuse(request: HttpRequest, verdict: Verdict) -> HttpResponse:
        return HttpResponse(f"Slow down: {verdict.retry_after:.0f}", status=verdict.status)

    view = rate_limit(endpoint="search", refuse=refuse)(lambda _: HttpResponse())
    answer = [view(request_of()) for _ in range(4)][3]
    assert (answer.status_code, answer.content[:11]) == (429, b"Slow down: ")


@pytest.mark.parametrize("endpoint", ["", 5, search], ids=["empty", "a number", "a view"])
def test_an_invalid_endpoint_is_rejected_at_definition(endpoint: Any) -> None:
    with pytest.raises(TypeError, match="rate_limit: endpoint is"):
        rate_limit(endpoint=endpoint)


@pytest.mark.parametrize("cost", [0, -1, 1.5, "5", True, 10**6 + 1])
def test_an_invalid_cost_is_rejected_at_definition(cost: Any) -> None:
    with pytest.raises(ValueError, match="rate_limit: cost is"):
        rate_limit(endpoint="search", cost=cost)


@pytest.mark.parametrize("reserve", [0, -1, 1.5, "5", True, 10**6 + 1])
def test_an_invalid_reserve_is_rejected_at_definition(reserve: Any) -> None:
    with pytest.raises(ValueError, match="rate_limit: reserve is"):
        rate_limit(endpoint="search", reserve=reserve)


def test_cost_and_reserve_exclude_each_other_at_definition() -> None:
    with pytest.raises(TypeError, match="rate_limit: cost and reserve are both given"):
        rate_limit(endpoint="search", cost=5, reserve=400)


@pytest.mark.parametrize("refund", ["4xx", "", 500, True])
def test_an_invalid_refund_is_rejected_at_definition(refund: Any) -> None:
    with pytest.raises(TypeError, match=r"rate_limit: refund is .*: must be '5xx', or a callable"):
        rate_limit(endpoint="search", refund=refund)


@pytest.mark.parametrize("base", [View, APIView])
def test_a_method_is_rejected_when_its_class_is_created(base: type[Any]) -> None:
    """The first argument of a method is the view. Otherwise the error would only occur at the first request."""
    with pytest.raises((TypeError, RuntimeError)) as refused:

        class Shop(base):  # type: ignore[misc]
            @rate_limit(endpoint="search")
            def get(self, request: HttpRequest) -> HttpResponse:
                return HttpResponse("found")

    # Until 3.11, Python wraps exceptions of `__set_name__`.
    error = refused.value if isinstance(refused.value, TypeError) else refused.value.__cause__
    assert "Shop.get is a method" in str(error)
    assert "@method_decorator(rate_limit(…))" in str(error)


def test_a_method_is_limited_with_method_decorator() -> None:
    class Shop(View):
        @method_decorator(rate_limit(endpoint="search"))
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("found")

        @method_decorator(rate_limit(endpoint="orders"))
        async def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("ordered")

    assert [Shop().get(request_of()).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_name_docstring_and_attributes_of_a_view_are_preserved(settings: Settings) -> None:
    @csrf_exempt
    def orders(request: HttpRequest) -> HttpResponse:
        """Takes orders."""
        return HttpResponse()

    limited = rate_limit(endpoint="orders")(orders)
    assert (limited.__name__, limited.__doc__, limited.csrf_exempt) == ("orders", "Takes orders.", True)  # type: ignore[attr-defined]


def test_a_default_throttle_class_may_be_in_a_module_that_uses_the_decorator(tmp_path: Path) -> None:
    (tmp_path / "shop_limits.py").write_text(
        "from ratelimit_enforcer.decorators import rate_limit\n"
        "from ratelimit_enforcer.throttling import PolicyThrottle\n"
        "class ShopThrottle(PolicyThrottle):\n    pass\n"
    )
    script = (
        "import django; from django.conf import settings\n"
        "settings.configure(REST_FRAMEWORK={'DEFAULT_THROTTLE_CLASSES': ['shop_limits.ShopThrottle']})\n"
        "django.setup(); import rest_framework.views"
    )
    # A separate process that has not imported the framework.
    environment = outer_environment() | {"PYTHONPATH": f"{tmp_path}:{BASE_DIR}"}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
