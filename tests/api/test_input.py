"""Invalid input over HTTP: a 4xx with a reason, and nothing is consumed."""

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
def test_invalid_bodies(caller: Caller, path: str, body: bytes, status: int, name: str) -> None:
    response = caller.send(path, body)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{name}", status)
    assert ("errors" in problem) == (status == 400)
    assert caller.remaining("ann") == 3


def test_a_body_of_the_maximum_size_is_accepted(caller: Caller) -> None:
    assert caller.send("/v1/check", GOOD.ljust(MAX_BODY_BYTES)).status_code == 200


def test_a_body_without_content_length_is_rejected(caller: Caller) -> None:
    response = caller.send("/v1/check", b"", transfer_encoding="chunked")

    assert (response.status_code, response.json()["type"]) == (411, "/problems/length-required")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_media_types_of_json_are_accepted(caller: Caller, content_type: str) -> None:
    assert caller.send("/v1/check", GOOD, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", ""]
)
def test_other_media_types_are_rejected(caller: Caller, content_type: str) -> None:
    response = caller.send("/v1/check", GOOD, content_type=content_type)

    assert (response.status_code, response.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert response["Accept"] == "application/json"


@pytest.fixture
def no_old_connections() -> Iterator[None]:
    """As in Django's test client: database connections of an earlier test are not closed when a request starts."""
    request_started.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)


@pytest.mark.parametrize("parameter", ["charset=utf-16", "charset=hex", "charset=none", "charset*=none'en'x"])
def test_no_parameter_of_the_content_type_causes_a_server_error(parameter: str, no_old_connections: None) -> None:
    """With the WSGI handler itself, because Django's test client creates its requests differently."""
    handler = WSGIHandler()
    handler.request_class = TolerantRequest
    headers = {"HTTP_AUTHORIZATION": "Bearer checker", "CONTENT_TYPE": f"application/json; {parameter}"}
    request = RequestFactory().generic("POST", "/v1/check?status=200", GOOD)
    started = Mock()

    handler(request.environ | headers, started)

    assert started.call_args.args[0] == "200 OK"


def test_only_headers_of_limited_length_are_parsed(monkeypatch: pytest.MonkeyPatch, no_old_connections: None) -> None:
    """Anyone can send such headers, and parsing 64 KiB took seconds."""
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


def test_a_caller_that_does_not_accept_json_is_rejected_before_consuming(caller: Caller) -> None:
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
def test_an_invalid_query(caller: Caller, query: str) -> None:
    response = caller.send(f"/v1/check?{query}", GOOD)

    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")
    assert list(response.json()["errors"]) == [query.partition("=")[0]]
    assert caller.remaining("ann") == 3


def test_a_peek_accepts_no_query(caller: Caller) -> None:
    assert caller.send("/v1/peek?status=200", GOOD).status_code == 400
