"""The links in an email about an alert, from a real SMTP server to a real browser."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from limits.models import Alert
from limits.models.roles import SUPPORT
from limits.monitoring.delivery import send_due
from limits.monitoring.messages import write_message
from ratelimit_enforcer.domain.enums import Channel, MessageKind
from tests.end_to_end.browser import log_in_as, picture, switch_to
from tests.end_to_end.shop import policy, publish
from tests.models import rows
from tests.support.smtp import Mailbox, mailbox

__all__ = ["mailbox"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alert() -> Alert:
    policy("all", (100, 60))
    publish()
    rule = rows.alert_rule("search-abuse", group_by="client")
    return Alert.objects.create(rule=rule, group="acme", opened_at=timezone.now(), value=60, highest=60)


def links_of_the_email(alert: Alert, mailbox: Mailbox, settings: Settings) -> dict[str, str]:
    """Sends an email about the alert. Returns label → path and query of its links."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    write_message(Channel.MAIL, "ops@example.com", alert, MessageKind.OPENED, timezone.now())
    assert send_due(Channel.MAIL) == 1
    text = mailbox.next().get_body(("plain",))
    assert text
    found = re.findall(r"^(.+): (http\S+)\s*$", text.get_content(), re.MULTILINE)
    return {label: urlsplit(url)._replace(scheme="", netloc="").geturl() for label, url in found}


def test_an_alert_is_silenced_by_the_link_of_an_email(
    page: Page, alert: Alert, mailbox: Mailbox, settings: Settings
) -> None:
    links = links_of_the_email(alert, mailbox, settings)
    assert list(links)[-4:] == [
        "Acknowledge",
        "Silence for 1 hour",
        "Silence for 8 hours",
        "Silence until tomorrow, 08:00 UTC",
    ]
    log_in_as(page, SUPPORT, "grace")
    page.goto(links["Silence for 8 hours"])
    expect(page.get_by_label("Action")).to_have_value("8")
    picture(page, "silence-by-email")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "silence-by-email-390")
    page.set_viewport_size({"width": 1400, "height": 1000})
    switch_to(page, "dark")
    alert.refresh_from_db()
    assert alert.state == Alert.State.OPEN, "opening the page changes nothing"
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("even if the alert resolves and reopens")).to_be_visible()
    alert.refresh_from_db()
    assert alert.silenced_until
    assert abs(alert.silenced_until - timezone.now() - timedelta(hours=8)) < timedelta(minutes=1)
    page.goto(links["Acknowledge"])
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Acknowledged: no more notifications until the alert resolves.")).to_be_visible()
    alert.refresh_from_db()
    assert alert.acknowledged_by == "grace"
    assert page.url.endswith(reverse("admin:limits_alert_change", args=[alert.pk]))
