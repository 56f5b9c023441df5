"""Alert rules and what fired, in the admin."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from limits.domain.words import Channel
from limits.models import Alert, AlertRule, Message, PolicyDenial, Usage
from limits.monitoring.alerts import evaluate
from limits.monitoring.delivery import send_due
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

RULE = {
    "name": "search-abuse",
    "metric": "throttled",
    "threshold": "50",
    "window": "60",
    "group_by": "client",
    "cooldown": "600",
    "min_requests": "1",
    "emails": "ops@example.com\npm@example.com",
}


def test_a_rule_is_added_with_one_address_in_a_line(desk: Desk) -> None:
    page = desk.add(AlertRule, **RULE)
    assert page.status == 200
    rule = AlertRule.objects.get()
    assert rule.emails == ["ops@example.com", "pm@example.com"]
    text = desk.list(AlertRule).text
    assert "50 requests denied in 1 minute, for each client" in text
    assert "ops@example.com, pm@example.com" in text


def test_a_page_shows_the_addresses_as_they_were_typed(desk: Desk) -> None:
    rule = rows.alert_rule(emails=["a@example.com", "b@example.com"])
    desk.change(rule, threshold="60")
    rule.refresh_from_db()
    assert (rule.threshold, rule.emails) == (60, ["a@example.com", "b@example.com"])


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"emails": "nobody"}, "emails", "“nobody” is not a mail address."),
        ({"emails": ""}, "emails", "at least one address"),
        ({"threshold": "0"}, "threshold", "whole number of requests"),
        ({"threshold": "1.5"}, "threshold", "whole number of requests"),
        ({"window": "90"}, "window", "whole minutes"),
        ({"cooldown": "9999999"}, "cooldown", "between 0 and 2,592,000"),
        ({"metric": "usage_ratio", "threshold": "0.7"}, "threshold", "0.5, 0.8, 0.9 or 1"),
        ({"metric": "throttled_ratio", "threshold": "1.2"}, "threshold", "part of all requests"),
        ({"metric": "platform", "threshold": "1"}, "group_by", "ust be empty"),
        ({"webhooks": "https://127.0.0.1/hook"}, "webhooks", "not a public address"),
        ({"webhooks": "ftp://example.com/"}, "webhooks", "must begin with https://"),
        ({"min_requests": "0"}, "min_requests", "from 1 to"),
        ({"name": "a\tb"}, "name", "control characters"),
    ],
)
def test_a_wrong_rule_is_refused_at_its_field(desk: Desk, changes: dict[str, Any], field: str, message: str) -> None:
    page = desk.add(AlertRule, **RULE | changes)
    assert list(page.errors) == [field]
    assert message in page.errors[field][0]
    assert not AlertRule.objects.exists()


@pytest.fixture
def fired(shop: Platform) -> Alert:
    rows.alert_rule("search-abuse", group_by="client")
    minute = timezone.now().replace(second=0, microsecond=0)
    Usage.objects.create(client_key="", endpoint="", minute=minute, outcome="denied", requests=60_000, cost=60_000)
    assert evaluate() == 1
    return Alert.objects.get()


def test_the_list_of_alerts_says_who_and_how_many(desk: Desk, fired: Alert) -> None:
    text = desk.list(Alert).text
    assert [words for words in ("search-abuse", "(other)", "60,000 requests denied", "open") if words not in text] == []


def test_the_menu_shows_how_many_are_open(desk: Desk, fired: Alert) -> None:
    assert desk.list(Alert).response.context["sidebar_navigation"]
    Alert.objects.update(resolved_at=timezone.now())
    assert "resolved" in desk.list(Alert).text


def test_the_page_of_an_alert_says_what_became_of_its_mail(desk: Desk, fired: Alert) -> None:
    path = reverse("admin:limits_alert_change", args=[fired.pk])
    assert "waits for attempt 1" in desk.open(path).text
    send_due(Channel.MAIL)
    assert "sent 20" in desk.open(path).text
    Message.objects.update(sent_at=None, next_attempt_at=None, attempts=20, problem="SMTPServerDisconnected: gone")
    assert "given up after 20 attempts: SMTPServerDisconnected: gone" in desk.open(path).text


@pytest.mark.parametrize("model", [Alert, Usage, PolicyDenial], ids=lambda model: model.__name__)
def test_nobody_edits_what_was_counted(desk: Desk, fired: Alert, model: type[Alert]) -> None:
    name = model._meta.model_name
    assert desk.client.get(reverse(f"admin:limits_{name}_add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert desk.client.post(reverse(f"admin:limits_{name}_change", args=[row.pk]), {}).status_code == 403
        assert (
            desk.client.post(reverse(f"admin:limits_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        )


def test_the_list_of_usage_names_others_and_unknown_endpoints(desk: Desk, fired: Alert) -> None:
    text = desk.list(Usage).text
    assert [words for words in ("(other)", "(unknown)", "60000") if words not in text] == []
    Usage.objects.create(
        client_key="acme", endpoint="search", minute=timezone.now(), outcome="admitted", requests=1, cost=1
    )
    found = desk.list(Usage, q="acme").response.context["cl"].result_list
    assert [row.client_key for row in found] == ["acme"]
