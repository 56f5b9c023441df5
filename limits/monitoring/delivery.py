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
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import structlog
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from limits.models import Message, NotificationChannel
from limits.monitoring import services
from limits.monitoring.checked_http import NotDelivered, check_status, exchange
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Channel

MIN_SECRET_BYTES = 24
"""Minimum length of the secret in bytes."""


def post(url: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Sends one message; any status from 200 to 299 means “received”. Raises :class:`NotDelivered`."""
    body = orjson.dumps(payload)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ratelimit-platform",
        **signature(str(payload["id"]), now, body),
    }
    check_status(exchange("POST", url, body, headers).status)


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
            return self._channel is not Channel.MAIL or isinstance(error, smtplib.SMTPRecipientsRefused | ValueError)
        _record_success(message)
        self.sent += 1
        return True


def send_once(message: Message) -> str:
    """Sends a message to a notification channel now, with a single attempt, and records the result. Returns the answer
    of the service. Raises :class:`NotDelivered`."""
    message.attempts += 1
    try:
        answer = _service(message)
    except NotDelivered as error:
        message.next_attempt_at, message.problem = None, str(error)
        message.save()
        raise
    _record_success(message)
    return answer


def _record_success(message: Message) -> None:
    message.sent_at, message.next_attempt_at, message.problem = timezone.now(), None, ""
    message.save()
    log.info("message_sent", message=message.pk, channel=message.channel, kind=message.kind)


def _mail(message: Message) -> None:
    headers = {"Message-ID": message.message_id, "Auto-Submitted": "auto-generated"}
    mail = EmailMultiAlternatives(message.subject, message.text, to=[message.destination], headers=headers)
    mail.attach_alternative(message.html, "text/html")
    mail.send()


def _webhook(message: Message) -> None:
    post(message.destination, message.payload, timezone.now())


def _service(message: Message) -> str:
    channel = NotificationChannel.objects.filter(slug=message.destination).first()
    if channel is None:
        raise NotDelivered(f"There is no channel “{message.destination}”.")
    return services.send(channel.url, message.subject, message.text, services.Event(**message.payload))


_SENDERS: dict[Channel, Callable[[Message], object]] = {
    Channel.MAIL: _mail,
    Channel.WEBHOOK: _webhook,
    Channel.SERVICE: _service,
}


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
