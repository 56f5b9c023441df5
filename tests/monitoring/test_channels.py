"""Alerts at notification channels: an alert begins, is acknowledged, and ends."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from limits.models import Alert, Message, NotificationChannel
from limits.monitoring import delivery, handling
from limits.monitoring.alerts import notify
from ratelimit_enforcer.domain.enums import Channel
from tests.models import rows
from tests.support.hooks import HookServer
from tests.support.services import PAGERDUTY, SLACK, authority, service

__all__ = ["authority", "service"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def alert(service: HookServer) -> Alert:
    """An open alert of a rule with two channels, ops (Slack) and pager (PagerDuty), and no other recipients."""
    service.answer = b"ok"
    NotificationChannel.objects.create(slug="ops", url=SLACK)
    NotificationChannel.objects.create(slug="pager", url=PAGERDUTY)
    rule = rows.alert_rule("search-abuse", group_by="client", emails=[], channels=["ops", "pager"])
    return Alert.objects.create(rule=rule, group="acme", opened_at=timezone.now(), value=60, highest=60)


def arrived(server: HookServer) -> list[Any]:
    """Sends what is due. Returns the bodies that arrived, in the order of the channels."""
    count = delivery.send_due(Channel.SERVICE)
    received = sorted((server.next() for _ in range(count)), key=lambda each: each.headers["host"], reverse=True)
    assert server.is_empty
    return [json.loads(each.body) for each in received]


def test_an_alert_begins_is_acknowledged_and_ends(alert: Alert, service: HookServer) -> None:
    now = timezone.now()
    assert notify(now) == 2
    slack, pagerduty = arrived(service)
    page = f"/admin/limits/alert/{alert.pk}/change/"
    assert slack["attachments"][0]["title"] == "search-abuse: acme was denied 60 times in a minute"
    assert "Rule: 50 requests denied in 1 minute, for each client." in slack["attachments"][0]["text"]
    assert slack["attachments"][0]["text"].endswith(page)
    assert (pagerduty["event_action"], pagerduty["dedup_key"][-len(page) :]) == ("trigger", page)

    assert handling.acknowledge(Alert.objects.all(), "grace", now) == 1
    (slack,) = arrived(service)
    assert slack["attachments"][0]["title"].startswith("Acknowledged: search-abuse: acme")
    assert "By grace. No more notifications until the alert is resolved." in slack["attachments"][0]["text"]
    assert handling.acknowledge(Alert.objects.all(), "grace", now) == 0

    handling.silence(Alert.objects.all(), now + timedelta(hours=8), "grace")
    Alert.objects.update(resolved_at=now)
    assert (notify(now), notify(now)) == (1, 0), "the incident is resolved once, whatever the rule says"
    (resolved,) = arrived(service)
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", pagerduty["dedup_key"])
    assert not arrived(service)


def test_a_resolution_is_sent_once_to_each_channel(alert: Alert, service: HookServer) -> None:
    alert.rule.notify_resolved = True
    alert.rule.save()
    notify(timezone.now())
    arrived(service)
    Alert.objects.update(resolved_at=timezone.now())
    assert notify(timezone.now()) == 2
    slack, pagerduty = arrived(service)
    assert slack["attachments"][0]["title"].startswith("Resolved: search-abuse: acme")
    assert pagerduty["event_action"] == "resolve"


def test_a_failed_message_is_retried_and_its_problem_contains_no_secret(alert: Alert, service: HookServer) -> None:
    service.status, service.answer = 404, f"no_service {SLACK}".encode()
    begin = timezone.now()
    notify(begin)
    assert delivery.send_due(Channel.SERVICE, begin) == 0
    problem = Message.objects.get(destination="ops").problem
    assert "Slack responded with status 404: no_service https://hooks.slack.com/services/…" in problem
    assert "abcdef" not in problem
    for _ in range(2):
        service.next()
    service.status, service.answer = 200, b"ok"
    assert delivery.send_due(Channel.SERVICE, begin + delivery.MIN_RETRY_DELAY) == 2


def test_a_message_to_a_removed_channel_says_so(alert: Alert, service: HookServer) -> None:
    notify(timezone.now())
    NotificationChannel.objects.all().delete()
    assert delivery.send_due(Channel.SERVICE) == 0
    assert "There is no channel “ops”." in Message.objects.get(destination="ops").problem
    assert service.is_empty
