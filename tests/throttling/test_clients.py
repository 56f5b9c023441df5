"""Identification of the client of a request."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from ratelimit_enforcer import client_identifier
from ratelimit_enforcer.client_identifier import client_of
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.throttling import AtomicAnonRateThrottle, PolicyThrottle

ANSWER: list[Any] = []


def identifier(request: Request) -> Any:
    return ANSWER[-1]


@pytest.fixture(autouse=True)
def no_identifier(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": ""}


def client_named(user: Any = None, **options: Any) -> str:
    """The client that the throttle identifies for a request of the framework."""
    request = Request(APIRequestFactory().get("/api/search", **options))
    request.user = user
    return PolicyThrottle().get_client(request, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "ip:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "ip:2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "ip:192.0.2.7"),
        # With a port, as some gateways write it.
        ("203.0.113.7:41", "ip:203.0.113.7"),
        ("203.0.113.7:65535", "ip:203.0.113.7"),
        ("203.0.113.7:", "ip:203.0.113.7"),
        ("[2001:db8:1:2::3]:443", "ip:2001:db8:1:2::/64"),
        ("[2001:db8:1:2::4]", "ip:2001:db8:1:2::/64"),
        ('"[2001:db8:1:2::5]:8080"', "ip:2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.7]:443", "ip:192.0.2.7"),
        # Other forms of the same address.
        ("2001:DB8:1:2:0:0:0:A", "ip:2001:db8:1:2::/64"),
        ("2001:0db8:0001:0002:0000:0000:0000:0001", "ip:2001:db8:1:2::/64"),
        ("::ffff:c000:207", "ip:192.0.2.7"),
        ("::FFFF:192.0.2.7", "ip:192.0.2.7"),
        ("fe80::1%eth0", "ip:fe80::/64"),
        ("fe80::2%7", "ip:fe80::/64"),
        ("[fe80::1%25eth0]:443", "ip:fe80::/64"),
        (" 192.0.2.7 ", "ip:192.0.2.7"),
        # No address: a UNIX socket, or a proxy that does not know it.
        ("unix:", "ip:unknown"),
        ("unknown", "ip:unknown"),
        ("Unknown", "ip:unknown"),
        ("", "ip:unknown"),
        # Not an address, so not changed.
        ("_hidden", "ip:_hidden"),
        ("203.0.113.7:41:1", "ip:203.0.113.7:41:1"),
        ("203.0.113.999", "ip:203.0.113.999"),
    ],
)
def test_anonymous_users_are_identified_by_address(address: str, client: str) -> None:
    assert client_named(AnonymousUser(), REMOTE_ADDR=address) == client


def test_requests_without_an_address_are_one_client() -> None:
    request = HttpRequest()
    assert client_of(request) == "ip:unknown"


def test_authenticated_users_are_identified_by_primary_key() -> None:
    assert client_named(User(pk=7)) == "user:7"


def test_a_plain_django_request_is_identified_in_the_same_way() -> None:
    request = APIRequestFactory().get("/", REMOTE_ADDR="2001:db8::1")
    assert client_of(request) == "ip:2001:db8::/64"
    request.user = User(pk=7)
    assert client_of(request) == "user:7"


def test_proxies_are_counted_as_by_the_framework(settings: Settings) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.1, 192.0.2.9"}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    assert client_named(headers=forwarded) == "ip:192.0.2.9"
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}
    assert client_named(headers=forwarded) == "ip:127.0.0.1"


@pytest.mark.parametrize("written", ["203.0.113.7:41", "203.0.113.7:412", "::ffff:203.0.113.7", "203.0.113.7"])
def test_ports_in_forwarded_addresses_are_ignored(settings: Settings, written: str) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    assert client_named(headers={"X-Forwarded-For": f"198.51.100.1, {written}"}) == "ip:203.0.113.7"
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": None}
    assert client_named(headers={"X-Forwarded-For": f"198.51.100.1, {written}"}) == "ip:198.51.100.1,203.0.113.7"


def test_missing_addresses_are_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        client_identifier, "_missing_addresses_log", RateLimitedLog(client_identifier._missing_addresses_log._logger)
    )
    assert {client_named(REMOTE_ADDR="") for _ in range(3)} == {"ip:unknown"}
    assert [message.partition(" of")[0] for message in caplog.messages] == ["The server provides no address"]


@pytest.mark.parametrize(
    ("written", "ident"),
    [
        ("203.0.113.7:41", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        # As the framework's own classes, the drop-in ones count each IPv6 address separately.
        ("[2001:DB8:0::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "unknown"),
    ],
)
def test_the_drop_in_classes_normalize_addresses(settings: Settings, written: str, ident: str) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    for headers, remote in (({"X-Forwarded-For": written}, "10.0.0.1"), ({}, written)):
        request = Request(APIRequestFactory().get("/", headers=headers, REMOTE_ADDR=remote))
        request.user = AnonymousUser()
        assert AtomicAnonRateThrottle().get_cache_key(request, None) == f"throttle_anon_{ident}"


def test_trusting_a_forgeable_header_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        client_identifier,
        "_forgeable_addresses_log",
        RateLimitedLog(client_identifier._forgeable_addresses_log._logger),
    )
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": None}
    assert client_named() == "ip:127.0.0.1"
    assert caplog.messages == []
    for _ in range(3):
        assert client_named(headers={"X-Forwarded-For": "198.51.100.1, 192.0.2.9"}) == "ip:198.51.100.1,192.0.2.9"
    assert [message.partition(" of")[0] for message in caplog.messages] == ["NUM_PROXIES"]


@pytest.mark.parametrize("answer", ["acme", "user:7", "日本", "x" * 256])
def test_a_project_can_define_its_own_identifier(settings: Settings, answer: str) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": f"{__name__}.identifier"}
    ANSWER.append(answer)
    assert client_named() == answer


@pytest.mark.parametrize("answer", ["x" * 257, "two\nlines", "\x00", "\ud800"])
def test_an_invalid_key_is_hashed_to_a_distinct_client(settings: Settings, answer: str) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": f"{__name__}.identifier"}
    ANSWER.extend([answer + "other", answer])
    key = client_named()
    ANSWER.pop()
    assert key.startswith("sha256:")
    assert client_named() != key


@pytest.mark.parametrize("answer", [None, ""])
def test_an_identifier_without_an_answer_uses_the_default(settings: Settings, answer: Any) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": f"{__name__}.identifier"}
    ANSWER.append(answer)
    assert client_named(User(pk=7)) == "user:7"


@pytest.mark.parametrize("answer", [7, b"acme", ["acme"]])
def test_an_identifier_that_returns_a_wrong_type_is_reported(settings: Settings, answer: Any) -> None:
    settings.RATELIMIT_PLATFORM = {"CLIENT_IDENTIFIER": f"{__name__}.identifier"}
    ANSWER.append(answer)
    with pytest.raises(ImproperlyConfigured, match="identifier returned"):
        client_named()
