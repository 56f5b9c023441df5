"""Every error is a problem document, whatever code raises it."""

from collections.abc import Callable

import pytest
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from api import errors
from api.problems import PROBLEM_TYPES, ProblemType
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_platform import middleware
from tests.api.conftest import Caller


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/check/", "/v1/nothing", "/v1/check/nothing", "/nothing", "/v2/check"]
)
def test_unknown_addresses(caller: Caller, method: str, path: str) -> None:
    response = caller.client.generic(method, path)

    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["type"] == "/problems/not-found"
    assert response.json()["detail"] == f"There is nothing at {path}."


@pytest.mark.parametrize(("path", "allowed"), [("/v1/check", "POST"), ("/v1/peek", "POST"), ("/healthz", "GET, HEAD")])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "INITIAL"])
def test_methods_that_are_not_allowed(caller: Caller, method: str, path: str, allowed: str) -> None:
    response = caller.client.generic(method, path)

    assert (response.status_code, response["Allow"]) == (405, allowed)
    assert response.json()["type"] == "/problems/method-not-allowed"


def test_a_wrong_method_is_reported_before_a_missing_token(caller: Caller) -> None:
    assert caller.client.get("/v1/check").status_code == 405


HOSTS = ["elsewhere.example", "10.1.2.3:8420", "a b", "x" * 300, "ratelimit.example:port", "[::1", ""]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("https", [False, True])
def test_probes_may_send_any_host_name(
    caller: Caller, settings: Settings, host: str, https: bool, caplog: pytest.LogCaptureFixture
) -> None:
    get_engine().refresh()
    settings.ALLOWED_HOSTS = ["ratelimit.example"]
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = https

    statuses = [caller.client.get(path, headers={"host": host}).status_code for path in ("/healthz", "/readyz")]

    assert statuses == [200, 200]
    assert caplog.messages == []


@pytest.mark.parametrize("path", ["/v1/check", "/metrics", "/admin/login/", "/nothing", "/api/schema/"])
def test_an_unknown_host_name_is_rejected(
    caller: Caller,
    settings: Settings,
    path: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.ALLOWED_HOSTS = ["ratelimit.example"]
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    monkeypatch.setattr(middleware, "_rejected", RateLimitedLog(middleware._rejected._logger))

    for host in HOSTS[:-1]:
        response = caller.client.get(path, headers={"host": host})
        assert (response.status_code, response.json()["type"]) == (400, "/problems/host-not-allowed")
        assert host[:100] in response.json()["detail"]

    [record] = caplog.records
    assert record.exc_info is None
    assert len(record.getMessage()) < 200


def test_an_unexpected_exception_is_a_500_and_is_logged(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("api.views.get_engine", broken)

    response = caller.client.get("/readyz")

    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert response.json()["type"] == "/problems/internal-error"
    assert "a mistake of ours" not in response.content.decode()
    [record] = [record for record in caplog.records if record.name == "django.request"]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.usefixtures("shop")
def test_denials_and_invalid_requests_are_not_logged(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    for status, cost in ((200, 3), (429, 1), (400, 0)):
        assert caller.search("ann", cost=cost).status_code == status

    assert caplog.records == []


HANDLERS: list[tuple[int, Callable[[HttpRequest], HttpResponse]]] = [
    (400, lambda request: errors.bad_request(request, SuspiciousOperation())),
    (404, lambda request: errors.not_found(request, Http404())),
    (500, errors.server_error),
]


@pytest.mark.parametrize(("status", "handler"), HANDLERS)
def test_errors_in_the_admin_are_html_pages(
    rf: RequestFactory, status: int, handler: Callable[[HttpRequest], HttpResponse]
) -> None:
    for path, media_type in (("/admin/limits/", "text/html; charset=utf-8"), ("/else", "application/problem+json")):
        response = handler(rf.get(path))
        assert (response.status_code, response["Content-Type"]) == (status, media_type)


LOCAL = [kind for kind in PROBLEM_TYPES if kind.uri.startswith("/")]


@pytest.mark.parametrize("kind", LOCAL, ids=lambda kind: kind.uri)
def test_every_problem_type_has_a_page(caller: Caller, kind: ProblemType) -> None:
    response = caller.client.get(kind.uri)

    assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert kind.title in response.content.decode()


def test_types_and_titles_of_problems_are_unique() -> None:
    assert (
        len({kind.uri for kind in PROBLEM_TYPES}) == len({kind.title for kind in PROBLEM_TYPES}) == len(PROBLEM_TYPES)
    )


def test_an_unknown_problem_type_is_a_404(caller: Caller) -> None:
    assert caller.client.get("/problems/nothing").json()["type"] == "/problems/not-found"
