"""Notification channels in the admin: no page shows their URLs."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from limits.changes.messages import request_approval
from limits.models import AlertRule, ChangeSet, Message, NotificationChannel
from limits.models.channel_secrets import reference_to
from tests.admin.desk import Desk
from tests.admin.test_alerts import RULE
from tests.publishing.platforms import Platform
from tests.support.hooks import HookServer
from tests.support.services import SLACK, authority, service

__all__ = ["authority", "service"]

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = SLACK.rpartition("/")[2]


@pytest.fixture
def channel() -> NotificationChannel:
    return NotificationChannel.objects.create(slug="ops", url=SLACK)


def test_a_channel_is_added_and_changed_without_showing_its_url(desk: Desk) -> None:
    page = desk.add(NotificationChannel, slug="ops", url=SLACK)
    assert page.status == 200
    row = NotificationChannel.objects.get()
    assert (row.url, row.service_name) == (SLACK, "Slack")
    pages = [page, desk.list(NotificationChannel), desk.change(row, approvals="on")]
    row.refresh_from_db()
    assert (row.url, row.approvals) == (SLACK, True), "an empty field keeps the URL"
    pages += [
        desk.open(reverse(f"admin:limits_notificationchannel_{name}", args=[row.pk])) for name in ("change", "history")
    ]
    assert [reference_to(SLACK) in each.text for each in pages[1:]].count(True) >= 2, "the list and the page"
    assert not [each for each in pages if SECRET in each.text]
    assert SECRET not in json.dumps(list(LogEntry.objects.values_list("change_message", flat=True)))
    desk.change(row, url=SLACK + "9")
    row.refresh_from_db()
    assert row.url == SLACK + "9"


def test_a_url_of_another_host_is_rejected_at_its_field(desk: Desk) -> None:
    page = desk.add(NotificationChannel, slug="ops", url=f"json://10.0.0.1/{SECRET}")
    assert list(page.errors) == ["url"]
    assert "Is not a URL of a supported service." in page.errors["url"][0]
    assert SECRET not in page.text
    assert list(desk.add(NotificationChannel, slug="ops", url="").errors) == ["url"]


def test_a_rule_names_channels_which_are_then_kept(desk: Desk, channel: NotificationChannel) -> None:
    page = desk.add(AlertRule, **RULE | {"emails": "", "channels": ["ops"]})
    rule = AlertRule.objects.get()
    assert rule.channels == ["ops"], page.text
    assert "ops" in desk.list(AlertRule).text
    path = reverse("admin:limits_notificationchannel_delete", args=[channel.pk])
    deleted = desk.client.post(path, {"post": "yes", "reason": "x"}, follow=True).content.decode()
    assert "Remove the channel from these alert rules first: search-abuse." in deleted
    assert NotificationChannel.objects.exists()


def test_a_test_message_shows_the_answer_of_the_service(
    desk: Desk, channel: NotificationChannel, service: HookServer
) -> None:
    path = reverse("admin:limits_notificationchannel_send_test", args=[channel.pk])
    assert "This sends a message marked as a test to Slack" in desk.open(path).text
    assert not Message.objects.exists()
    service.answer = b"ok"
    text = desk.client.post(path, follow=True).content.decode()
    assert "Delivered. Slack responded with status 200: ok" in text
    assert b"Test: ops" in service.next().body
    assert Message.objects.get().sent_at
    service.status, service.answer = 403, f"invalid_token {SECRET}".encode()
    text = desk.client.post(path, follow=True).content.decode()
    assert "Not delivered. Slack responded with status 403: invalid_token …" in text
    assert SECRET not in text
    assert (Message.objects.filter(sent_at=None).get().next_attempt_at, SECRET in text) == (None, False)


def test_requests_for_approval_are_sent_to_the_channels_that_want_them(shop: Platform) -> None:
    NotificationChannel.objects.create(slug="sales", url=SLACK)
    NotificationChannel.objects.create(slug="ops", url=SLACK, approvals=True)
    change = ChangeSet.objects.create(name="Black Friday", author="ann", reason="The season.")
    request_approval(change, ["Policy all: 100 → 200."], [])
    message = Message.objects.get(channel="service")
    assert (message.destination, message.subject) == ("ops", "Approval requested: Black Friday")
    assert "- Policy all: 100 → 200." in message.text
    assert message.payload["url"].endswith(f"/changeset/{change.pk}/change/")
