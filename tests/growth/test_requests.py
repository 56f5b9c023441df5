"""Twice the input of a caller causes at most 2.5 times the work in steps: bodies, queries, headers, routes, and log
lines."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from rest_framework.settings import api_settings

from api.problems import ProblemResponse
from api.rendering import accepts_json
from api.requests import MAX_CHECKS, parse_batch, parse_check, parse_client_query, parse_json, parse_query
from api.wsgi import TolerantRequest
from limits.configfile.reading import InvalidConfig
from limits.domain.client_csv import InvalidClientFile
from ratelimit_enforcer.client_identifier import default_client
from ratelimit_enforcer.domain.routes import Route, Router
from ratelimit_platform.logs import _id_of, mask_event
from tests.support.work import MOST, Call, Case, growth, words


def refused(call: Call) -> Call:
    """The same call, which must be rejected."""

    def tried() -> None:
        with pytest.raises((ProblemResponse, InvalidConfig, InvalidClientFile)):
            call()

    return tried


def batch(check: dict[str, Any]) -> Case:
    """A batch of ``size`` such checks, parsed from bytes."""

    def case(size: int) -> Call:
        data = json.dumps({"checks": [check] * size}).encode()

        def call() -> None:
            with suppress(ProblemResponse):
                parse_batch(parse_json(data))

        return call

    return case


def many_wrong_fields(size: int) -> Call:
    return refused(lambda: parse_batch({"checks": [dict.fromkeys(words("x", 10), 1)] * size}))


def wrong_fields_of_a_batch(size: int) -> Call:
    fields = dict.fromkeys(words("x", size), 1)
    return refused(lambda: parse_batch({"checks": [], **fields}))


def wrong_fields_of_a_check(size: int) -> Call:
    fields = dict.fromkeys(words("x", size), 1)
    return refused(lambda: parse_check(fields))


def long_names(size: int) -> Call:
    fields = dict.fromkeys(words("y" * 300, size), 1)
    return refused(lambda: parse_check(fields))


def nested_json(size: int) -> Call:
    data = b'{"a":' * size + b"1" + b"}" * size
    return lambda: parse_json(data)


def text_of_a_check(field: str, piece: str) -> Case:
    def case(size: int) -> Call:
        fields: dict[str, Any] = {"client": "a", "method": "GET", "path": "/"} | {field: f"/{piece * size}"}

        def call() -> None:
            with suppress(ProblemResponse):
                parse_check(fields)

        return call

    return case


def client_query(piece: str) -> Case:
    return lambda size: refused(lambda: parse_client_query(piece * size))


def query(piece: str) -> Case:
    def case(size: int) -> Call:
        text = "&".join(piece.format(at) for at in range(size))
        return refused(lambda: parse_query(text, {"status": "200"}))

    return case


def accept(piece: str) -> Case:
    return lambda size: lambda: accepts_json(f"{piece * size}text/x")


def accept_of_a_request(size: int) -> Call:
    """Django parses parameters in quadratic time, so only headers up to a maximum length are parsed."""
    environ = RequestFactory().get("/").environ | {"HTTP_ACCEPT": 'application/json; a="' + ";" * size}
    return lambda: accepts_json(TolerantRequest(dict(environ)).META.get("HTTP_ACCEPT", ""))


def content_type(size: int) -> Call:
    environ = RequestFactory().get("/").environ | {"CONTENT_TYPE": 'application/json; a="' + ";" * size}
    return lambda: TolerantRequest(dict(environ))


def forwarded(piece: str, proxies: int | None) -> Case:
    def case(size: int) -> Call:
        request = RequestFactory().get("/", headers={"X-Forwarded-For": piece * size})
        request.user = AnonymousUser()

        def call() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(api_settings, "NUM_PROXIES", proxies, raising=False)
                default_client(request)

        return call

    return case


def request_id(size: int) -> Call:
    def call() -> None:
        _id_of(RequestFactory().get("/", headers={"X-Request-ID": "a" * size}))

    return call


PROGRAMS: dict[str, tuple[Case, int]] = {
    "a batch": (batch({"client": "ann", "endpoint": "search", "cost": 1}), 400),
    "a batch of wrong clients": (batch({"client": "", "endpoint": 1, "cost": True}), 400),
    "a batch of other things": (lambda size: refused(lambda: parse_batch({"checks": [None] * size})), 400),
    "a batch of unknown fields": (many_wrong_fields, 400),
    "a batch with names twice": (batch({"client": "a", **{f"x{at}": 1 for at in range(30)}}), 100),
    "a batch that is too large": (batch({"client": "ann"}), 2 * MAX_CHECKS),
    "unknown fields of a batch": (wrong_fields_of_a_batch, 400),
    "unknown fields of a check": (wrong_fields_of_a_check, 400),
    "long names of fields": (long_names, 400),
    "nested JSON": (nested_json, 40),
    **{f"path {piece}": (text_of_a_check("path", piece), 1_000) for piece in ("a", "/a", "\x7f", "%2f")},
    **{f"{field} of a check": (text_of_a_check(field, "x\x01"), 1_000) for field in ("client", "endpoint", "method")},
    **{f"client query {piece}": (client_query(piece), 400) for piece in ("client=a&", "client=%20", "x&", "%ff", "+")},
    **{f"query {piece}": (query(piece), 400) for piece in ("a{}=1", "status=200", "=", "status=%ff{}")},
    **{f"accept {piece}": (accept(piece), 400) for piece in ("a/b;q=0.5,", "application/json;q=0.1,", "*/*,", '"')},
    "a long parameter of Accept": (accept_of_a_request, 1_000),
    "a long parameter of Content-Type": (content_type, 1_000),
    "X-Forwarded-For": (forwarded("192.0.2.7, ", None), 400),
    "X-Forwarded-For of a proxy": (forwarded("2001:db8::1, ", 1), 400),
    "X-Forwarded-For without commas": (forwarded("[", 1), 4_000),
    "a request id": (request_id, 4_000),
}


def router(pattern: str, path: str) -> Case:
    """``size`` routes, and as many requests to them."""

    def case(size: int) -> Call:
        known = [(Route.parse(f"GET {pattern.format(at)}"), f"e{at}") for at in range(size)]
        paths = [path.format(at) for at in range(size)]

        def call() -> None:
            found = Router(known)
            for each in paths:
                found.match("GET", each)

        return call

    return case


def one_long_path(piece: str, pattern: str) -> Case:
    def case(size: int) -> Call:
        found = Router([(Route.parse(f"GET {pattern}"), "e")])
        path = f"/a{piece * size}"
        return lambda: (found.match("GET", path), found.match("GET", path, decoded=True))

    return case


def deep_patterns(size: int) -> Call:
    pattern = Route("GET", "/{a}" * size)
    found = Router([(pattern, "e"), (Route("GET", "/{a}" * size + "/b"), "f")])
    return lambda: found.match("GET", "/a" * size + "/c")


def every_combination(size: int) -> Call:
    """Literals and parameters in every order, and a request that matches each of them except for its end."""
    depth = size.bit_length() - 1
    shapes = [["a" if at >> place & 1 else "{x}" for place in range(depth)] for at in range(size)]
    found = Router([(Route("GET", "/" + "/".join(shape) + "/end"), "e") for shape in shapes])
    return lambda: found.match("GET", "/a" * depth + "/other")


ROUTES: dict[str, tuple[Case, int]] = {
    "literals": (router("/api/x{}", "/api/x{}"), 200),
    "parameters": (router("/api/x{}/{{id}}", "/api/x{}/7"), 200),
    "everything below": (router("/api/x{}/*", "/api/x{}/a/b"), 200),
    "no such route": (router("/api/x{}", "/other/{}"), 200),
    **{f"long path {piece}": (one_long_path(piece, "/a/*"), 400) for piece in ("/b", "/../b", "//", "/.", "%2f", "%")},
    "long path without a match": (one_long_path("/b", "/{x}/{y}"), 400),
    "deep patterns": (deep_patterns, 100),
    "every combination": (every_combination, 256),
    "reading a long pattern": (lambda size: lambda: Route.parse("GET " + "/{a}/b" * size).shape, 100),
}


def logged(value: Callable[[int], Any]) -> Case:
    return lambda size: lambda: mask_event(None, "info", {"event": "e", "value": value(size)})


def nested(size: int) -> Any:
    value: Any = "a@example.com"
    for at in range(size):
        value = {"inner": value} if at % 2 else [value]
    return value


LOGS: dict[str, tuple[Case, int]] = {
    **{
        f"a text of {piece}": (logged(lambda size, piece=piece: piece * size), 1_000)  # type: ignore[misc]
        for piece in ("a", "@", "a@", "rl_", "bearer ", "://", "ip:1.", "Mozilla/5.0 (X11) ")
    },
    "a list": (logged(lambda size: ["rl_0123456789"] * size), 400),
    "a mapping": (logged(lambda size: {f"k{at}": ValueError("a@example.com") for at in range(size)}), 400),
    "nested values": (logged(nested), 100),
    "a traceback": (lambda size: lambda: mask_event(None, "error", {"exception": "File a@b.de\n" * size}), 1_000),
}


CASES = {
    **{f"program: {name}": case for name, case in PROGRAMS.items()},
    **{f"routes: {name}": case for name, case in ROUTES.items()},
    **{f"logs: {name}": case for name, case in LOGS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_twice_the_input_causes_about_twice_the_work(name: str) -> None:
    case, size = CASES[name]
    assert growth(case, size) <= MOST
