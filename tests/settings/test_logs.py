"""Log lines: structured, searchable, and without secrets."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.module_loading import import_string
from pytest_django import Settings

from limits.monitoring import prometheus
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store import observers
from ratelimit_platform.logs import RequestIdMiddleware, logging_config, mask, shorten
from tests.api.conftest import Caller, caller, http, interface, serve, shop, store

__all__ = ["caller", "http", "interface", "serve", "shop", "store"]


class Lines:
    """The written log lines as JSON."""

    def __init__(self) -> None:
        config = logging_config("json")
        formatter: dict[str, Any] = config["formatters"]["lines"]
        self._stream = StringIO()
        self._handler = logging.StreamHandler(self._stream)
        self._handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=formatter["processors"], foreign_pre_chain=formatter["foreign_pre_chain"]
            )
        )
        for name in config["handlers"]["stderr"].get("filters", ()):
            self._handler.addFilter(import_string(config["filters"][name]["()"])())
        self._root = logging.getLogger()
        self._level = self._root.level
        self._root.setLevel(logging.INFO)
        self._root.addHandler(self._handler)

    def close(self) -> None:
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._level)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    yield lines
    lines.close()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", "&".join(f"f{at}=" for at in range(1_001))),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "--x\r\nno header"),
    ],
)
def test_a_request_rejected_by_django_is_one_line_without_a_traceback(
    lines: Lines, client: Client, content_type: str, body: str
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["csrftoken"] = "a" * 32
    for _ in range(5):
        assert strict.post("/admin/login/", body, content_type=content_type).status_code in (400, 403)

    assert "Traceback" not in lines.text
    assert len([line for line in lines.all() if line["logger"].startswith("django.security.TooMany")]) <= 1


@pytest.mark.usefixtures("shop")
def test_admitted_and_denied_checks_are_not_logged(lines: Lines, caller: Caller) -> None:
    get_engine().check(CheckRequest("ann", "search"))
    before = lines.text
    answers = [caller.search("ann").status_code for _ in range(6)]
    assert 200 in answers
    assert 429 in answers
    assert lines.text == before


@pytest.mark.usefixtures("shop")
def test_loading_a_ruleset_is_logged(lines: Lines) -> None:
    before = observers.observer
    prometheus.start_collecting()
    try:
        get_engine().check(CheckRequest("ann", "search"))
    finally:
        observers.install(before)
    (line,) = [line for line in lines.all() if line["event"] == "ruleset_loaded"]
    assert (line["version"], line["level"]) == (1, "info")
    assert line["logger"].startswith("limits.")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])


def answering(*, status: int = 200) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        structlog.get_logger("test").info("inside")
        structlog.get_logger("test").info("inside")
        return HttpResponse(status=status)

    return answer


@pytest.mark.parametrize("given", ["abc-123", "0af7651916cd43dd8448eb211c80319c", "a" * 64])
def test_log_lines_of_a_request_have_the_callers_request_id(lines: Lines, given: str) -> None:
    request = RequestFactory().get("/", headers={"x-request-id": given})
    RequestIdMiddleware(answering())(request)
    structlog.get_logger("test").info("outside")
    first, second, outside = lines.all()
    assert first["request_id"] == second["request_id"] == given
    assert "request_id" not in outside


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a\nb", 'x"}', "ü"])
def test_an_invalid_request_id_is_replaced(lines: Lines, given: str) -> None:
    request = RequestFactory().get("/", HTTP_X_REQUEST_ID=given)
    RequestIdMiddleware(answering())(request)
    first, second = lines.all()
    assert first["request_id"] == second["request_id"]
    assert re.fullmatch("[0-9a-f]{16}", first["request_id"])


def test_only_responses_with_server_errors_contain_the_request_id(lines: Lines) -> None:
    request = RequestFactory().get("/")
    response = RequestIdMiddleware(answering(status=500))(request)
    assert response["X-Request-ID"] == lines.all()[0]["request_id"]
    assert "X-Request-ID" not in RequestIdMiddleware(answering())(RequestFactory().get("/"))


def test_the_middleware_is_installed_first(settings: Settings) -> None:
    assert settings.MIDDLEWARE[0] == "ratelimit_platform.logs.RequestIdMiddleware"
    assert "X-Request-ID" not in Client().get("/healthz")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token rl_abcDEF123_-xyz was refused", "token rl_… was refused"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer …"),
        ("whsec_QUJDREVGR0hJSktM=", "whsec_…"),
        ("redis://user:secret@redis:6379/0 is away", "redis://…@redis:6379/0 is away"),
        ("smtp+tls://mail%40shop.example:pw@host:587", "smtp+tls://…@host:587"),
        ("550 anna.smith@shop.example: nobody", "550 a…@shop.example: nobody"),
        ("client ip:192.0.2.77 on search", "client ip:192.0… on search"),
        ("client ip:2001:db8:1:2::/64", "client ip:2001:db8…"),
        ("Error 111 connecting to 127.0.0.1:6379", "Error 111 connecting to 127.0.0.1:6379"),
        ("policy rl-shop, 12:30:45", "policy rl-shop, 12:30:45"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_a_long_text_is_masked_before_it_is_truncated(lines: Lines) -> None:
    """Otherwise a truncated secret would match no pattern."""
    secret = "rl_" + "s" * 100
    text = "a" * 1_990 + " " + secret + " " + "b" * 60_000
    structlog.get_logger("test").info("event", host=text)
    (line,) = lines.all()
    assert len(line["host"]) < 4_100
    assert "sss" not in lines.text
    assert "characters] …bbb" in line["host"]
    assert shorten("x" * 4_000) == "x" * 4_000


def test_secrets_are_masked_in_all_parts_of_a_line(lines: Lines) -> None:
    secret = "rl_0123456789abcdef"
    structlog.get_logger("test").info("event", token=secret, nested={"a": [secret, 7]}, error=ValueError(secret))
    logging.getLogger("other").warning("It was %s", secret)
    try:
        raise ValueError(f"{secret} for anna.smith@shop.example")
    except ValueError:
        logging.getLogger("other").exception("failed")
    assert secret not in lines.text
    assert "anna.smith" not in lines.text
    assert lines.all()[0]["nested"] == {"a": ["rl_…", 7]}
    assert "Traceback" in lines.all()[2]["exception"]


def test_log_messages_of_the_data_plane_become_events_with_fields() -> None:
    formatter = dict(logging_config("json")["formatters"]["lines"])
    make = formatter.pop("()")
    record = logging.makeLogRecord(
        {
            "name": "ratelimit_enforcer.store",
            "levelname": "WARNING",
            "levelno": 30,
            "msg": "store_unavailable: %s",
            "args": ("refused",),
        }
        | {"event": "store_unavailable", "error": "refused"}
    )
    line = json.loads(make(**formatter).format(record))
    del line["timestamp"]
    assert line == {
        "event": "store_unavailable",
        "error": "refused",
        "level": "warning",
        "logger": "ratelimit_enforcer.store",
    }
