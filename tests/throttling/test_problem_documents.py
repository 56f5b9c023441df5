"""The exception handler that makes a denial a problem document."""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.exceptions import NotFound
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ratelimit_enforcer.throttling import PolicyThrottle, problem_fields
from tests.throttling.views import request_of

pytestmark = pytest.mark.usefixtures("keyed_shop")


@pytest.fixture(autouse=True)
def handler(settings: Settings) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {
        "EXCEPTION_HANDLER": "ratelimit_enforcer.exception_handler.exception_handler"
    }


class Search(APIView):
    throttle_classes: tuple[type[BaseThrottle], ...] = (PolicyThrottle,)
    renderer_classes: tuple[Any, ...] = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        raise NotFound


class Never(BaseThrottle):
    def allow_request(self, request: Request, view: APIView) -> bool:
        return False


def test_a_denial_has_the_fields_of_a_problem_and_of_the_framework() -> None:
    answer = [Search.as_view()(request_of()).render() for _ in range(4)][3]
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert 3_590 <= int(answer["Retry-After"]) <= 3_600
    assert answer.data.pop("detail").startswith("Request was throttled. Expected available in 3")
    assert answer.data == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "violated-policies": ["free-search:3600s"],
    }


def test_every_other_error_response_is_the_frameworks() -> None:
    missing = Search.as_view()(request_of()).render()
    assert (missing.status_code, list(missing.data), missing["Content-Type"]) == (404, ["detail"], "application/json")
    other = Search.as_view(throttle_classes=(Never,))(request_of("bob")).render()
    assert (other.status_code, list(other.data), other["Content-Type"]) == (429, ["detail"], "application/json")


def test_a_denial_is_not_sent_as_json_to_a_browser() -> None:
    view = Search.as_view(throttle_classes=(PolicyThrottle,), renderer_classes=(BrowsableAPIRenderer,))
    answer = [view(request_of()) for _ in range(4)][3]
    assert answer.content_type is None
    assert answer.data["status"] == 429


def test_a_project_with_its_own_handler_can_get_the_fields() -> None:
    request = request_of()
    assert problem_fields(request) == {}
    for _ in range(3):
        Search.as_view()(request_of())
    Search.as_view()(request)
    assert problem_fields(request)["violated-policies"] == ["free-search:3600s"]
