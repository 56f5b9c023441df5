"""The outbox: messages are sent from here until they are delivered, or given up after half a day.

Each channel has a run of its own, and each destination in it: one that fails is left alone until the
next run, so that nobody waits behind it. Whoever is killed between sending a message and noting it
sends it again, under the same id.
"""

import smtplib
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from limits.domain.words import Channel
from limits.models import Message
from limits.monitoring.webhooks import NotDelivered, post

log = structlog.get_logger(__name__)

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
MAX_ATTEMPTS = 20
"""With these pauses, a message is tried for about half a day."""

RUN_SECONDS = 60.0
"""How long one run goes on at most; the next one takes over."""


def send_due(channel: Channel, now: datetime | None = None) -> int:
    """Sends what is due in a channel. Returns how many messages were sent. Two at once send
    different ones."""
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
        self._left_alone: set[str] = set()
        self.sent = 0

    @transaction.atomic
    def send_next(self) -> bool:
        """Tries one message. Returns whether there may be another."""
        due = Message.objects.filter(channel=self._channel.value, sent_at=None, next_attempt_at__lte=self._now)
        due = due.exclude(destination__in=self._left_alone).order_by(F("next_attempt_at"))
        message = due.select_for_update(skip_locked=True).first()
        if message is None:
            return False
        message.attempts += 1
        try:
            _SENDERS[self._channel](message)
        except (smtplib.SMTPException, OSError, ValueError, NotDelivered, ImproperlyConfigured) as error:
            # ValueError: an address or header that no mail can carry; the other mails must not wait for it.
            _note_problem(message, error, self._now)
            self._left_alone.add(message.destination)
            # A mail server that is away is away for all of its mails.
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


def _note_problem(message: Message, error: Exception, now: datetime) -> None:
    log.warning(
        "message_not_sent",
        message=message.pk,
        channel=message.channel,
        attempts=message.attempts,
        error=type(error).__name__,
    )
    pause = min(FIRST_PAUSE * 2 ** (message.attempts - 1), LONGEST_PAUSE)
    message.next_attempt_at = now + pause if message.attempts < MAX_ATTEMPTS else None
    message.problem = f"{type(error).__name__}: {error}"
    message.save()
