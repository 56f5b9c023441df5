"""Emails are sent over real SMTP, retried, and never lost."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import trustme
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from limits.models import Alert, Message, Usage
from limits.monitoring import delivery
from limits.monitoring.delivery import MAX_ATTEMPTS, MIN_RETRY_DELAY
from limits.monitoring.messages import write_message
from ratelimit_enforcer.domain.enums import Channel, MessageKind
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


def test_an_email_arrives_complete(alert: Alert, mailbox: Mailbox) -> None:
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


def test_an_email_is_sent_once(alert: Alert, mailbox: Mailbox) -> None:
    write(alert)
    assert (send_due(), send_due()) == (1, 0)
    mailbox.next()
    assert mailbox.is_empty


def test_a_rejected_email_is_retried_with_the_same_id(alert: Alert, mailbox: Mailbox) -> None:
    mail = write(alert)
    mailbox.answer = "451 Try again later"
    now = timezone.now()
    assert send_due(now) == 0
    mail.refresh_from_db()
    assert mail.next_attempt_at == now + MIN_RETRY_DELAY
    assert "451" in mail.problem
    mailbox.answer = "250 OK"
    assert send_due(now) == 0
    assert send_due(now + MIN_RETRY_DELAY) == 1
    assert mailbox.next()["Message-ID"] == mail.message_id


def test_retry_delays_grow_to_an_hour_and_retries_end_after_about_half_a_day(
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


def test_a_failing_email_does_not_block_the_others(alert: Alert, settings: Settings, mailbox: Mailbox) -> None:
    bad, good = write(alert), write(alert)
    Message.objects.filter(pk=bad.pk).update(
        destination="two@@ats.example", next_attempt_at=F("next_attempt_at") - timedelta(seconds=1)
    )
    send_due()
    assert mailbox.next()["Message-ID"] == good.message_id


@pytest.mark.django_db(transaction=True)
def test_an_email_locked_by_another_worker_is_skipped(alert: Alert, mailbox: Mailbox) -> None:
    write(alert)
    with transaction.atomic():
        assert Message.objects.select_for_update().count() == 1
        list(Message.objects.select_for_update())
        assert in_another_session() == 0
    assert in_another_session() == 1
    mailbox.next()
    assert mailbox.is_empty


def in_another_session() -> int:
    """Sends due messages in another thread, which has a separate database connection."""

    def run() -> int:
        try:
            return send_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


# -- over TLS


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def tls_mailbox(authority: trustme.CA, settings: Settings) -> Iterator[Mailbox]:
    """A server that accepts emails only after STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    mailbox = Mailbox(tls=context).start()
    settings.EMAIL_PORT, settings.EMAIL_USE_TLS = mailbox.port, True
    yield mailbox
    mailbox.stop()


def test_an_email_is_sent_over_starttls(alert: Alert, tls_mailbox: Mailbox) -> None:
    mail = write(alert)
    assert send_due() == 1
    assert tls_mailbox.next()["Message-ID"] == mail.message_id


def test_without_tls_the_server_rejects_and_the_email_waits(
    alert: Alert, tls_mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = False
    mail = write(alert)
    assert send_due() == 0
    mail.refresh_from_db()
    assert "STARTTLS" in mail.problem


def test_a_server_with_an_untrusted_certificate_gets_no_email(
    alert: Alert, tls_mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    mail = write(alert)
    assert send_due() == 0
    mail.refresh_from_db()
    assert "CERTIFICATE_VERIFY_FAILED" in mail.problem
    assert tls_mailbox.is_empty


# -- outages and kills


def test_after_a_minute_of_outage_the_email_is_delivered_once(alert: Alert, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()
    mail = write(alert)
    begin = timezone.now()
    for second in range(0, 60, 5):
        assert send_due(begin + timedelta(seconds=second)) == 0
    back = Mailbox(port=settings.EMAIL_PORT).start()
    try:
        sent = [send_due(begin + timedelta(seconds=second)) for second in range(60, 180, 5)]
        assert sum(sent) == 1
        assert sent.index(1) * 5 < 30, "the pauses are still short by then"
        assert back.next()["Message-ID"] == mail.message_id
        assert back.is_empty
    finally:
        back.stop()


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.django_db(transaction=True)
def test_an_email_of_a_worker_killed_after_sending_is_resent_with_the_same_id(
    alert: Alert, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(alert)

    def die(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Message, "save", die)
        with pytest.raises(Killed):
            send_due()
    assert send_due() == 1
    first, second = mailbox.next(), mailbox.next()
    assert first["Message-ID"] == second["Message-ID"]
    assert mailbox.is_empty


def test_an_unavailable_server_is_tried_once_per_run(alert: Alert, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()
    mails = [write(alert, f"{name}@example.com") for name in ("a", "b", "c")]
    send_due()
    attempts = [Message.objects.get(pk=mail.pk).attempts for mail in mails]
    assert sorted(attempts) == [0, 0, 1]


def test_a_rejected_address_does_not_block_the_others(alert: Alert, mailbox: Mailbox) -> None:
    mailbox.refused = "gone@example.com"
    bad, good = write(alert, "gone@example.com"), write(alert, "here@example.com")
    assert send_due() == 1
    assert mailbox.next()["To"] == good.destination
    bad.refresh_from_db()
    assert "550" in bad.problem


# -- both forms have the same content


class Words(HTMLParser):
    """The text of a page, and the targets of its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attributes if name == "href"]


def test_text_and_html_have_the_same_content(alert: Alert, mailbox: Mailbox) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    Usage.objects.create(
        client_key="müller", endpoint="search", minute=minute, outcome="denied", requests=1_060, cost=1
    )
    Alert.objects.update(last_minute=minute, group="müller")
    alert.refresh_from_db()
    write(alert)
    send_due()
    received = mailbox.next()
    plain, page = received.get_body(("plain",)), received.get_body(("html",))
    assert plain
    assert page
    text, words = plain.get_content(), Words(page.get_content())
    for fact in ("müller was denied 60 times in a minute", "50 requests denied in 1 minute, for each client", "1,060"):
        assert fact in text
        assert fact in words.text
    assert all(link in text for link in words.links)
    assert len(words.links) == 6
