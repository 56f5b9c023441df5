"""Mails about alerts: written into an outbox with the alert, sent from there until delivered."""

import smtplib
import uuid
from datetime import datetime, timedelta
from email.utils import parseaddr
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from limits.conf import setting
from limits.domain.words import GroupBy
from limits.models import Alert, AlertMail
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from limits.monitoring.metrics import Figure, largest

log = structlog.get_logger(__name__)

FIGURES = 10
"""Lines of figures in a mail."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
MAX_ATTEMPTS = 20
"""With these pauses, a mail is tried for about half a day."""


def write_mail(alert: Alert, value: int, last_minute: datetime, now: datetime) -> AlertMail:
    """Puts a mail about an alert into the outbox. ``value`` is the metric over the rule's window,
    which ends with ``last_minute``."""
    context = _context(alert, value, last_minute)
    return AlertMail.objects.create(
        alert=alert,
        message_id=f"<{uuid.uuid4()}@{_domain()}>",
        recipients=alert.rule.emails,
        subject=_subject(alert, value),
        text=render_to_string("limits/mail/alert.txt", context),
        html=render_to_string("limits/mail/alert.html", context),
        created_at=now,
        next_attempt_at=now,
    )


def send_due(now: datetime | None = None) -> int:
    """Sends what is due. Returns how many mails were sent. Two at once send different ones."""
    now = now or timezone.now()
    sent = 0
    while (outcome := _send_next(now)) is not None:
        sent += outcome
    return sent


@transaction.atomic
def _send_next(now: datetime) -> bool | None:
    """Tries one mail. Returns whether it was sent; None: none is due. Whoever is killed between
    sending and noting it sends it again, under the same Message-ID."""
    due = AlertMail.objects.filter(sent_at=None, next_attempt_at__lte=now)
    mail = due.order_by(F("next_attempt_at")).select_for_update(skip_locked=True).first()
    if mail is None:
        return None
    mail.attempts += 1
    try:
        _message(mail).send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        # ValueError: an address or header that no mail can carry; the other mails must not wait for it.
        _note_problem(mail, error, now)
        return False
    mail.sent_at, mail.next_attempt_at, mail.problem = timezone.now(), None, ""
    mail.save()
    return True


def _message(mail: AlertMail) -> EmailMultiAlternatives:
    headers = {"Message-ID": mail.message_id, "Auto-Submitted": "auto-generated"}
    message = EmailMultiAlternatives(mail.subject, mail.text, to=mail.recipients, headers=headers)
    message.attach_alternative(mail.html, "text/html")
    return message


def _note_problem(mail: AlertMail, error: Exception, now: datetime) -> None:
    log.warning("mail_not_sent", mail=mail.pk, attempts=mail.attempts, error=type(error).__name__)
    pause = min(FIRST_PAUSE * 2 ** (mail.attempts - 1), LONGEST_PAUSE)
    mail.next_attempt_at = now + pause if mail.attempts < MAX_ATTEMPTS else None
    mail.problem = f"{type(error).__name__}: {error}"
    mail.save()


def _subject(alert: Alert, value: int) -> str:
    whom = {
        GroupBy.CLIENT: f"{alert.group_name} was denied",
        GroupBy.ENDPOINT: f"{alert.group_name} denied",
        GroupBy.POLICY: f"policy {alert.group_name} denied",
    }.get(alert.rule.group_by, "clients were denied")  # type: ignore[call-overload]
    return f"{alert.rule.name}: {whom} {value:,} {_times(alert)} in {_span(alert)}"[:200]


def _times(alert: Alert) -> str:
    return "requests" if alert.rule.group_by in (GroupBy.ENDPOINT, GroupBy.POLICY) else "times"


def _span(alert: Alert) -> str:
    minutes = alert.rule.window // 60
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _context(alert: Alert, value: int, last_minute: datetime) -> dict[str, object]:
    figures = largest(alert.rule, alert.group, last_minute, FIGURES)
    return {
        "alert": alert,
        "rule": alert.rule,
        "value": value,
        "subject": _subject(alert, value),
        "begin": last_minute - timedelta(seconds=alert.rule.window - 60),
        "end": last_minute + timedelta(minutes=1),
        "figures": [_named(figure) for figure in figures],
        "shown": sum(figure.requests for figure in figures),
        "alert_url": _url("admin:limits_alert_change", alert.pk),
        "client_url": _client_url(alert),
    }


def _named(figure: Figure) -> Figure:
    return Figure(figure.client or OTHER, figure.endpoint or UNKNOWN_ENDPOINT, figure.requests)


def _client_url(alert: Alert) -> str:
    if alert.rule.group_by != GroupBy.CLIENT or not alert.group:
        return ""
    return f"{_url('admin:limits_client_changelist')}?{urlencode({'q': alert.group})}"


def _url(name: str, *arguments: object) -> str:
    return setting("PUBLIC_URL").rstrip("/") + reverse(name, args=arguments)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
