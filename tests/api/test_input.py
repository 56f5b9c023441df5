"""Bad input over HTTP: a clear 4xx, and nothing is consumed."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import request as django_request
from django.test import RequestFactory
from django.utils.http import parse_header_parameters

from api.rendering import accepts_json
from api.requests import MAX_BODY_BYTES
from api.wsgi import TolerantRequest
from tests.api.conftest import Caller

pytestmark = pytest.mark.usefixtures("shop")

GOOD = b'{"client": "ann", "endpoint": "search"}'


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 400, "malformed-body"),
        (b"{", 400, "malformed-body"),
        (b"[" * 60_000, 400, "malformed-body"),
        (b'{"client": "ann", "endpoint": "search", "cost": NaN}', 400, "malformed-body"),
        (b'{"client": "ann", "endpoint": "search", "client": "bob"}', 400, "malformed-body"),
        (b'{"client": "ann", "endpoint": "search", "cost": true}', 400, "invalid-request"),
        (b'{"client": "ann", "endpoint": "search", "cost": 1.0}', 400, "invalid-request"),
        (b'{"client": "ann", "endpoint": "search", "dry_run": 1}', 400, "invalid-request"),
        (b'{"client": "ann", "endpoint": "search", "\\ud800": 1}', 400, "invalid-request"),
        (b'{"client": "ann\\u0000", "endpoint": "search"}', 400, "invalid-request"),
        (b"[]", 400, "invalid-request"),
        (GOOD.ljust(MAX_BODY_BYTES + 1), 413, "body-too-large"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/check", "/v1/check?status=200", "/v1/peek"])
def test_bad_bodies(caller: Caller, path: str, body: bytes, status: int, name: str) -> None:
    response = caller.send(path, body)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{name}", status)
    assert ("errors" in problem) == (status == 400)
    assert caller.remaining("ann") == 3


def test_a_body_of_exactly_the_greatest_size_is_read(caller: Caller) -> None:
    assert caller.send("/v1/check", GOOD.ljust(MAX_BODY_BYTES)).status_code == 200


def test_a_body_without_its_length_is_refused(caller: Caller) -> None:
    response = caller.send("/v1/check", b"", transfer_encoding="chunked")

    assert (response.status_code, response.json()["type"]) == (411, "/problems/length-required")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_json_by_any_spelling(caller: Caller, content_type: str) -> None:
    assert caller.send("/v1/check", GOOD, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", ""]
)
def test_other_media_types_are_refused(caller: Caller, content_type: str) -> None:
    response = caller.send("/v1/check", GOOD, content_type=content_type)

    assert (response.status_code, response.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert response["Accept"] == "application/json"


@pytest.fixture
def no_old_connections() -> Iterator[None]:
    """As Django's test client does: a connection that an earlier test left open is not looked at."""
    request_started.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)


@pytest.mark.parametrize("parameter", ["charset=utf-16", "charset=hex", "charset=none", "charset*=none'en'x"])
def test_no_parameter_of_the_content_type_breaks_the_server(parameter: str, no_old_connections: None) -> None:
    """By the WSGI handler itself: Django's test client makes its requests in another way."""
    handler = WSGIHandler()
    handler.request_class = TolerantRequest
    headers = {"HTTP_AUTHORIZATION": "Bearer checker", "CONTENT_TYPE": f"application/json; {parameter}"}
    request = RequestFactory().generic("POST", "/v1/check?status=200", GOOD)
    started = Mock()

    handler(request.environ | headers, started)

    assert started.call_args.args[0] == "200 OK"


def test_only_headers_of_a_sensible_length_are_taken_apart(
    monkeypatch: pytest.MonkeyPatch, no_old_connections: None
) -> None:
    """Anybody can send them; in 64 KiB they took seconds."""
    read: list[int] = []

    def parse(line: str) -> Any:
        read.append(len(line))
        return parse_header_parameters(line)

    monkeypatch.setattr(django_request, "parse_header_parameters", parse)
    handler = WSGIHandler()
    handler.request_class = TolerantRequest
    hostile = {
        "CONTENT_TYPE": 'application/json; a="' + ";" * 60_000,
        "HTTP_ACCEPT": 'application/json; a="' + ";" * 60_000,
    }
    for path in ("/v1/check", "/healthz", "/api/schema/", "/admin/login/"):
        started = Mock()
        handler(RequestFactory().generic("POST", path, GOOD).environ | hostile, started)
        assert int(started.call_args.args[0][:3]) < 500
    assert max(read) <= 1_000


def test_a_caller_that_takes_no_json_is_refused_before_anything_is_consumed(caller: Caller) -> None:
    response = caller.send("/v1/check", GOOD, accept="text/html")

    assert (response.status_code, response.json()["type"]) == (406, "/problems/not-acceptable")
    assert caller.remaining("ann") == 3


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("", True),
        ("*/*", True),
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("text/html, application/*;q=0.1", True),
        ("text/html, */*;q=0.1", True),
        ("*/*;q=0, application/json", True),
        ("application/problem+json, Application/JSON", True),
        ("application/json;q=0, */*", False),
        ("application/json;q=0.0", False),
        ("text/html", False),
        ("application/problem+json", False),
        ("application", False),
        (",", False),
        ("application/json; q*=nonsense'en'1", False),
    ],
)
def test_accept(accept: str, accepted: bool) -> None:
    assert accepts_json(accept) is accepted


@pytest.mark.parametrize("query", ["status=429", "status=abc", "dry_run=1", "status=200&status=200"])
def test_a_query_that_means_nothing(caller: Caller, query: str) -> None:
    response = caller.send(f"/v1/check?{query}", GOOD)

    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")
    assert list(response.json()["errors"]) == [query.partition("=")[0]]
    assert caller.remaining("ann") == 3


def test_a_peek_has_no_query(caller: Caller) -> None:
    assert caller.send("/v1/peek?status=200", GOOD).status_code == 400
