"""The outbox: messages are sent from here until they are delivered, or given up after half a day.

Each channel has a separate run. Within a run, a destination that fails is skipped until the next run, so that
no other destination has to wait for it. A worker that is killed between sending a message and recording this
sends it again, under the same id.

Webhooks are signed POST requests, sent only to an address that was checked. The signature is that of Standard
Webhooks (https://www.standardwebhooks.com), for which there are libraries in most languages;
``docs/usage-and-alerts.md`` verifies it in a few lines.
"""

import base64
import hmac
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson
import structlog
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from limits.domain.webhook_addresses import Address, address_problem, scheme_problem, url_problem
from limits.models import Message
from ratelimit_enforcer.conf import networks, setting
from ratelimit_enforcer.domain.enums import Channel

CONNECT_SECONDS, ANSWER_SECONDS, TOTAL_SECONDS = 3.0, 5.0, 10.0
MIN_SECRET_BYTES = 24
"""Minimum length of the secret in bytes."""


class NotDelivered(Exception):
    """A webhook was not delivered; the message gives the reason."""


def post(url: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Sends one message; any status from 200 to 299 means “received”. Raises :class:`NotDelivered`."""
    if message := url_problem(url, networks("WEBHOOK_ALLOWED_NETWORKS")):
        raise NotDelivered(f"The URL {message}")
    parts = urlsplit(url)
    body = orjson.dumps(payload)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "ratelimit-platform",
        **signature(str(payload["id"]), now, body),
    }
    _post(parts, _checked_address(parts), body, headers)


def signature(message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Returns the headers that prove that a message is authentic and recent. Raises ``ImproperlyConfigured``."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(secret(), signed, sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def secret() -> bytes:
    """Returns the signing key. Raises ``ImproperlyConfigured`` if the setting contains none."""
    prefix, _, text = str(setting("WEBHOOK_SECRET")).partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or len(key) < MIN_SECRET_BYTES:
        raise ImproperlyConfigured(f"WEBHOOK_SECRET must be “whsec_” and at least {MIN_SECRET_BYTES} bytes in base64.")
    return key


def _checked_address(parts: SplitResult) -> Address:
    """Returns the address to connect to. Every address of a name has to be allowed, because the owner of the
    name decides which of them a later lookup would return."""
    allowed = networks("WEBHOOK_ALLOWED_NETWORKS")
    addresses = _addresses_of(parts.hostname or "")
    for address in addresses:
        if message := address_problem(address, allowed) or scheme_problem(parts.scheme, address, allowed):
            raise NotDelivered(f"The URL {message}")
    return addresses[0]


def _addresses_of(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"Host name {host} not found: {error}") from error
    # IPv6 addresses may carry a zone.
    return [ip_address(str(place[4][0]).partition("%")[0]) for place in found]


def _post(parts: SplitResult, address: Address, body: bytes, headers: Mapping[str, str]) -> None:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with _connection(parts, address) as connection, _total_timeout(connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            status = _status(connection, parts, target, body, headers)
    except (OSError, HTTPException) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        redirect = " (redirects are not followed)" if 300 <= status < 400 else ""
        raise NotDelivered(f"The server responded with status {status}{redirect}.")


def _connection(parts: SplitResult, address: Address) -> socket.socket:
    """Connects to the address itself, without resolving the name again; TLS is verified against the name."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = socket.create_connection((str(address), port), CONNECT_SECONDS)
    plain.settimeout(ANSWER_SECONDS)
    if parts.scheme == "http":
        return plain
    context = ssl.create_default_context()
    return context.wrap_socket(plain, server_hostname=parts.hostname, do_handshake_on_connect=False)


@contextmanager
def _total_timeout(connection: socket.socket) -> Iterator[None]:
    """Closes the connection after a while: the timeout of a socket restarts with every byte, and a server
    that sends one byte now and then would delay all other messages. Raises ``TimeoutError`` then."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_SECONDS, end)
    timer.start()
    too_late = TimeoutError(f"no complete response within {TOTAL_SECONDS:g} s")
    try:
        yield
    except (OSError, HTTPException) as error:
        if is_over.is_set():
            raise too_late from error
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise too_late


def _status(connection: socket.socket, parts: SplitResult, target: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Sends the request and returns the status of the response; the rest of the response is ignored."""
    client = HTTPConnection(parts.hostname or "", parts.port)
    client.sock = connection
    client.request("POST", target, body, dict(headers))
    return client.getresponse().status


log = structlog.get_logger(__name__)

MIN_RETRY_DELAY = timedelta(seconds=5)
MAX_RETRY_DELAY = timedelta(hours=1)
MAX_ATTEMPTS = 20
"""With these pauses, delivery is attempted for about half a day."""

RUN_SECONDS = 60.0
"""Maximum duration of one run in seconds; the next run continues."""


def send_due(channel: Channel, now: datetime | None = None) -> int:
    """Sends the messages of a channel that are due. Returns the number of messages sent. Concurrent calls
    send different messages."""
    now = now or timezone.now()
    end = time.monotonic() + RUN_SECONDS
    run = _Run(channel, now)
    while time.monotonic() < end and run.send_next():
        pass
    return run.sent


class _Run:
    """One run over the due messages of a channel."""

    def __init__(self, channel: Channel, now: datetime) -> None:
        self._channel = channel
        self._now = now
        self._skipped_destinations: set[str] = set()
        self.sent = 0

    @transaction.atomic
    def send_next(self) -> bool:
        """Attempts to send one message. Returns whether there may be another."""
        due = Message.objects.filter(channel=self._channel.value, sent_at=None, next_attempt_at__lte=self._now)
        due = due.exclude(destination__in=self._skipped_destinations).order_by(F("next_attempt_at"))
        message = due.select_for_update(skip_locked=True).first()
        if message is None:
            return False
        message.attempts += 1
        try:
            _SENDERS[self._channel](message)
        except (smtplib.SMTPException, OSError, ValueError, NotDelivered, ImproperlyConfigured) as error:
            # ValueError: an address or header that no email can contain; other emails must not wait for it.
            _record_failure(message, error, self._now)
            self._skipped_destinations.add(message.destination)
            # An unavailable mail server is unavailable for all of its emails.
            return self._channel is Channel.WEBHOOK or isinstance(error, smtplib.SMTPRecipientsRefused | ValueError)
        message.sent_at, message.next_attempt_at, message.problem = timezone.now(), None, ""
        message.save()
        log.info("message_sent", message=message.pk, channel=message.channel, kind=message.kind)
        self.sent += 1
        return True


def _mail(message: Message) -> None:
    headers = {"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"}
    mail = EmailMultiAlternatives(message.subject, message.text, to=[message.destination], headers=headers)
    mail.attach_alternative(message.html, "text/html")
    mail.send()


def _webhook(message: Message) -> None:
    post(message.destination, message.payload, timezone.now())


_SENDERS: dict[Channel, Callable[[Message], None]] = {Channel.MAIL: _mail, Channel.WEBHOOK: _webhook}


def _record_failure(message: Message, error: Exception, now: datetime) -> None:
    log.warning(
        "message_not_sent",
        message=message.pk,
        channel=message.channel,
        attempts=message.attempts,
        error=type(error).__name__,
    )
    pause = min(MIN_RETRY_DELAY * 2 ** (message.attempts - 1), MAX_RETRY_DELAY)
    message.next_attempt_at = now + pause if message.attempts < MAX_ATTEMPTS else None
    message.problem = f"{type(error).__name__}: {error}"
    message.save()
