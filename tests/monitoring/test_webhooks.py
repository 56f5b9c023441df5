"""Webhooks over real HTTP: signed, retried, and never sent to forbidden addresses."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook

from limits.models import Alert, Message
from limits.monitoring import checked_http, delivery
from limits.monitoring.checked_http import NotDelivered
from limits.monitoring.delivery import post
from limits.monitoring.messages import write_message
from ratelimit_enforcer.domain.enums import Channel, MessageKind
from ratelimit_platform.embedded.redis import free_port
from tests.models import rows
from tests.support.hooks import HookServer, hooks

__all__ = ["hooks"]

pytestmark = pytest.mark.django_db

SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
DOCS = Path(__file__).resolve().parents[2] / "docs" / "usage-and-alerts.md"


@pytest.fixture(autouse=True)
def configured(settings: Settings) -> None:
    allow(settings, "127.0.0.0/8")


def allow(settings: Settings, *networks: str) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_ALLOWED_NETWORKS": networks,
    }


@pytest.fixture
def alert() -> Alert:
    rule = rows.alert_rule("search-abuse", group_by="client")
    return Alert.objects.create(rule=rule, group="müller", opened_at=timezone.now(), value=60, highest=60)


def write(alert: Alert, url: str) -> Message:
    return write_message(Channel.WEBHOOK, url, alert, MessageKind.OPENED, timezone.now())


def send_due(now: datetime | None = None) -> int:
    return delivery.send_due(Channel.WEBHOOK, now)


def checked_by_the_docs(secret: str, headers: dict[str, str], body: bytes) -> Any:
    """Runs the example code of the documentation that verifies a signature."""
    code = DOCS.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["verified"](secret, headers, body)


def test_a_webhook_is_signed(alert: Alert, hooks: HookServer) -> None:
    message = write(alert, hooks.url + "?team=shop")
    assert send_due() == 1
    received = hooks.next()
    assert received.path == "/hook?team=shop"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{hooks.port}"
    body = checked_by_the_docs(SECRET, received.headers, received.body)
    assert body == json.loads(received.body)
    assert body == Webhook(SECRET).verify(received.body, received.headers)
    assert (body["type"], body["alerts"][0]["group"]) == ("alert.opened", "müller")
    assert body["id"] == received.headers["webhook-id"]
    message.refresh_from_db()
    assert message.sent_at


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret", "old"])
def test_the_documented_verification_rejects_changed_messages(alert: Alert, hooks: HookServer, change: str) -> None:
    write(alert, hooks.url)
    send_due()
    received = hooks.next()
    headers, body, secret = dict(received.headers), received.body, SECRET
    match change:
        case "body":
            body = body.replace(b"search-abuse", b"search-abusf")
        case "id":
            headers["webhook-id"] += "x"
        case "timestamp":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
        case "secret":
            secret = SECRET.replace("QUJD", "QUJE")
        case "old":
            old = timezone.now() - timedelta(minutes=6)
            headers |= delivery.signature(headers["webhook-id"], old, body)
    with pytest.raises(ValueError, match=r"signature|old"):
        checked_by_the_docs(secret, headers, body)


@pytest.mark.parametrize("status", [500, 404, 429, 301, 302, 307, 308])
def test_other_statuses_are_retried_with_the_same_id(alert: Alert, hooks: HookServer, status: int) -> None:
    message = write(alert, hooks.url)
    hooks.status, hooks.location = status, "http://127.0.0.1/elsewhere"
    now = timezone.now()
    assert send_due(now) == 0
    first = hooks.next()
    assert hooks.is_empty, "a redirect is not followed"
    message.refresh_from_db()
    assert f"The server responded with status {status}" in message.problem
    assert message.next_attempt_at == now + delivery.MIN_RETRY_DELAY
    hooks.status, hooks.location = 204, ""
    assert send_due(now + delivery.MIN_RETRY_DELAY) == 1
    assert hooks.next().headers["webhook-id"] == first.headers["webhook-id"]


def test_a_failing_destination_is_tried_once_per_run_and_does_not_block_others(alert: Alert, hooks: HookServer) -> None:
    bad = write(alert, f"http://127.0.0.1:{free_port()}/")
    same = write(alert, bad.destination)
    write(alert, hooks.url)
    assert send_due() == 1
    hooks.next()
    assert [Message.objects.get(pk=message.pk).attempts for message in (bad, same)] == [1, 0]


def test_channels_do_not_wait_for_each_other(alert: Alert, hooks: HookServer, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    write_message(Channel.MAIL, "ops@example.com", alert, MessageKind.OPENED, timezone.now())
    write(alert, hooks.url)
    assert delivery.send_due(Channel.MAIL) == 0
    assert send_due() == 1


def test_a_slow_response_is_aborted_after_the_total_time(alert: Alert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_http, "TOTAL_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        drip = threading.Thread(target=_drip, args=[server], daemon=True)
        drip.start()
        message = write(alert, f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert send_due() == 0
        drip.join(timeout=60)
        assert not drip.is_alive()
    message.refresh_from_db()
    assert "no complete response" in message.problem


def test_an_error_after_the_total_time_is_reported_as_no_complete_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may reset the connection that is closed at its other end."""
    monkeypatch.setattr(checked_http, "TOTAL_SECONDS", 0.01)
    near, far = socket.socketpair()

    def receive() -> None:
        with checked_http._total_timeout(near):
            near.recv(1)
            raise ConnectionResetError

    with near, far, pytest.raises(TimeoutError, match="no complete response"):
        receive()


def _drip(server: socket.socket) -> None:
    """Sends an endless header until the client disconnects."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)


# -- forbidden addresses


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "localhost"),
    ],
)
def test_loopback_link_local_and_private_addresses_are_rejected(
    host: str, settings: Settings, hooks: HookServer
) -> None:
    allow(settings)
    with pytest.raises(NotDelivered, match="neither public"):
        post(f"https://{host}:{hooks.port}/hook", {"id": "1"}, timezone.now())
    assert hooks.is_empty


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001"])
def test_addresses_in_other_notations_are_rejected(host: str, settings: Settings, hooks: HookServer) -> None:
    allow(settings)
    with pytest.raises(NotDelivered, match="must write an IPv4 address as four decimal numbers"):
        post(f"https://{host}:{hooks.port}/hook", {"id": "1"}, timezone.now())
    assert hooks.is_empty


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Makes name lookups return these answers in turn; returns the list of looked up names."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: Any, *arguments: Any, **options: Any) -> Any:
        if not host.endswith(".example"):
            return real(host, port, *arguments, **options)
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.0.0.1"], ["1.1.1.1", "127.0.0.1"]])
def test_a_name_that_resolves_to_such_an_address_is_rejected(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, hooks: HookServer, answer: list[str]
) -> None:
    allow(settings)
    names(monkeypatch, answer)
    with pytest.raises(NotDelivered, match="neither public"):
        post(f"https://hook.example:{hooks.port}/", {"id": "1"}, timezone.now())
    assert hooks.is_empty


def test_a_name_is_resolved_only_once(monkeypatch: pytest.MonkeyPatch, settings: Settings, hooks: HookServer) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    allow(settings, "127.0.0.1/32")
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    post(f"http://hook.example:{hooks.port}/", {"id": "1"}, timezone.now())
    assert hooks.next().headers["host"] == f"hook.example:{hooks.port}"
    assert asked == ["hook.example"]


def test_plain_http_is_rejected_outside_the_allowed_networks(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    allow(settings, "10.0.0.0/8")
    names(monkeypatch, ["1.1.1.1"])
    with pytest.raises(NotDelivered, match="must begin with https"):
        post("http://hook.example/", {"id": "1"}, timezone.now())


def test_a_name_that_cannot_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(NotDelivered, match="not found"):
        post("https://nowhere.example/", {"id": "1"}, timezone.now())


# -- TLS


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def tls_hooks(authority: trustme.CA) -> Iterator[HookServer]:
    """A server with a certificate for the name hook.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hook.example").configure_cert(context)
    server = HookServer(context)
    yield server
    server.stop()


def test_the_certificate_is_verified_against_the_name(monkeypatch: pytest.MonkeyPatch, tls_hooks: HookServer) -> None:
    names(monkeypatch, ["127.0.0.1"])
    post(f"https://hook.example:{tls_hooks.port}/", {"id": "1"}, timezone.now())
    assert tls_hooks.next().path == "/"
    with pytest.raises(NotDelivered, match=r"(?i)certificate|hostname"):
        post(f"https://other.example:{tls_hooks.port}/", {"id": "1"}, timezone.now())


def test_an_untrusted_certificate_is_rejected(monkeypatch: pytest.MonkeyPatch, tls_hooks: HookServer) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    names(monkeypatch, ["127.0.0.1"])
    with pytest.raises(NotDelivered, match=r"(?i)certificate"):
        post(f"https://hook.example:{tls_hooks.port}/", {"id": "1"}, timezone.now())


# -- the secret


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_QUJD", "QUJD" * 12, "whsec_" + "!" * 40, "whsec_" + "ü" * 40])
def test_an_invalid_secret_is_reported(secret: str, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": secret}
    with pytest.raises(ImproperlyConfigured, match="WEBHOOK_SECRET"):
        delivery.secret()


def test_without_a_secret_the_message_waits_with_the_reason(
    alert: Alert, hooks: HookServer, settings: Settings
) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": ""}
    message = write(alert, hooks.url)
    assert send_due() == 0
    message.refresh_from_db()
    assert "WEBHOOK_SECRET" in message.problem
    assert hooks.is_empty
