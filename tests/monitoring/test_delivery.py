"""Mails leave the outbox over real SMTP, are tried again, and are never lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from limits.domain.words import Channel, MessageKind
from limits.models import Alert, Message
from limits.monitoring import delivery
from limits.monitoring.delivery import FIRST_PAUSE, MAX_ATTEMPTS
from limits.monitoring.messages import write_message
from ratelimit_platform.embedded.redis import free_port
from tests.models import rows
from tests.support.smtp import Mailbox, mailbox

__all__ = ["mailbox"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def smtp(settings: Settings, mailbox: Mailbox) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    settings.DEFAULT_FROM_EMAIL = "Rate limits <limits@shop.example>"


@pytest.fixture
def alert() -> Alert:
    rule = rows.alert_rule("search-abuse", group_by="client", emails=["ops@example.com", "pm@example.com"])
    return Alert.objects.create(rule=rule, group="müller", opened_at=timezone.now(), value=60, highest=60)


def write(alert: Alert, destination: str = "ops@example.com") -> Message:
    return write_message(Channel.MAIL, destination, alert, MessageKind.OPENED, timezone.now())


def send_due(now: datetime | None = None) -> int:
    return delivery.send_due(Channel.MAIL, now)


def test_a_mail_arrives_whole(alert: Alert, mailbox: Mailbox) -> None:
    mail = write(alert)
    assert send_due() == 1
    received = mailbox.next()
    assert received["Subject"].strip() == "search-abuse: müller was denied 60 times in a minute"
    assert received["From"] == "Rate limits <limits@shop.example>"
    assert received["To"] == "ops@example.com"
    assert received["Message-ID"] == mail.message_id
    assert mail.message_id.endswith("@shop.example>")
    assert received["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type() for part in received.walk()}
    assert {"text/plain", "text/html"} <= parts
    mail.refresh_from_db()
    assert (mail.attempts, mail.problem, mail.next_attempt_at) == (1, "", None)
    assert mail.sent_at


def test_a_mail_is_sent_once(alert: Alert, mailbox: Mailbox) -> None:
    write(alert)
    assert (send_due(), send_due()) == (1, 0)
    mailbox.next()
    assert mailbox.is_empty


def test_a_refused_mail_is_tried_again_later_under_the_same_id(alert: Alert, mailbox: Mailbox) -> None:
    mail = write(alert)
    mailbox.answer = "451 Try again later"
    now = timezone.now()
    assert send_due(now) == 0
    mail.refresh_from_db()
    assert mail.next_attempt_at == now + FIRST_PAUSE
    assert "451" in mail.problem
    mailbox.answer = "250 OK"
    assert send_due(now) == 0
    assert send_due(now + FIRST_PAUSE) == 1
    assert mailbox.next()["Message-ID"] == mail.message_id


def test_pauses_grow_to_an_hour_and_end_after_about_half_a_day(
    alert: Alert, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_PORT = free_port()
    mail = write(alert)
    begin = now = timezone.now()
    pauses = []
    while True:
        assert send_due(now) == 0
        mail.refresh_from_db()
        if mail.next_attempt_at is None:
            break
        pauses.append(mail.next_attempt_at - now)
        now = mail.next_attempt_at
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 40)]
    assert pauses[-1] == timedelta(hours=1)
    assert mail.attempts == MAX_ATTEMPTS
    assert timedelta(hours=8) < now - begin < timedelta(hours=16)
    assert "ConnectionRefusedError" in mail.problem


def test_one_mail_that_fails_does_not_keep_the_others(alert: Alert, settings: Settings, mailbox: Mailbox) -> None:
    bad, good = write(alert), write(alert)
    Message.objects.filter(pk=bad.pk).update(
        destination="nobody@" + "x" * 300 + ".example", next_attempt_at=F("next_attempt_at") - timedelta(seconds=1)
    )
    send_due()
    assert mailbox.next()["Message-ID"] == good.message_id


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_somebody_is_sending_is_left_to_them(alert: Alert, mailbox: Mailbox) -> None:
    write(alert)
    with transaction.atomic():
        assert Message.objects.select_for_update().count() == 1
        list(Message.objects.select_for_update())
        assert in_another_session() == 0
    assert in_another_session() == 1
    mailbox.next()
    assert mailbox.is_empty


def in_another_session() -> int:
    """Sends what is due from another thread, and so over a connection of its own."""

    def run() -> int:
        try:
            return send_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
