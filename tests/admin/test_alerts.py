"""Alert rules and alerts in the admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from limits.models import Alert, AlertRule, Message, PolicyDenial, Usage
from limits.models.roles import create_roles
from limits.monitoring.alerts import evaluate
from limits.monitoring.delivery import send_due
from ratelimit_enforcer.domain.enums import Channel
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

RULE = {
    "name": "search-abuse",
    "metric": "throttled",
    "threshold": "50",
    "window_0": "1",
    "group_by": "client",
    "cooldown_0": "10",
    "min_requests": "1",
    "emails": "ops@example.com\npm@example.com",
}


def test_a_rule_is_added_with_one_address_per_line(desk: Desk) -> None:
    page = desk.add(AlertRule, **RULE)
    assert page.status == 200
    rule = AlertRule.objects.get()
    assert rule.emails == ["ops@example.com", "pm@example.com"]
    text = desk.list(AlertRule).text
    assert "50 requests denied in 1 minute, for each client" in text
    assert "ops@example.com, pm@example.com" in text


def test_commas_separate_email_addresses_but_not_webhooks(desk: Desk, settings: Any) -> None:
    settings.RATELIMIT_PLATFORM = {**settings.RATELIMIT_PLATFORM, "WEBHOOK_SECRET": f"whsec_{'a' * 32}"}
    webhooks = "https://example.com/hook?tags=a,b\r\n\r\n https://example.org/hook \r\n"
    page = desk.add(AlertRule, **RULE | {"webhooks": webhooks, "emails": "a@example.com, b@example.com"})
    rule = AlertRule.objects.get()
    assert rule.webhooks == ["https://example.com/hook?tags=a,b", "https://example.org/hook"], page.text
    assert rule.emails == ["a@example.com", "b@example.com"]
    desk.change(rule, threshold="60")
    rule.refresh_from_db()
    assert rule.webhooks == ["https://example.com/hook?tags=a,b", "https://example.org/hook"]


def test_a_filter_that_the_page_no_longer_offers_can_be_removed(desk: Desk) -> None:
    """With one rule there is no choice, so the list shows no filter."""
    rule = rows.alert_rule()
    page = desk.list(Alert, rule__id__exact=str(rule.pk))
    assert 'The list is filtered. <a href="?">Show all</a>' in page.text
    assert "The list is filtered" not in desk.list(Alert).text


def test_saved_addresses_are_shown_in_the_form(desk: Desk) -> None:
    rule = rows.alert_rule(emails=["a@example.com", "b@example.com"])
    desk.change(rule, threshold="60")
    rule.refresh_from_db()
    assert (rule.threshold, rule.emails) == (60, ["a@example.com", "b@example.com"])


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"emails": "nobody"}, "emails", "“nobody” is not a valid email address."),
        ({"emails": ""}, "emails", "at least one address"),
        ({"threshold": "0"}, "threshold", "whole number of requests"),
        ({"threshold": "1.5"}, "threshold", "whole number of requests"),
        ({"window_0": "1.5"}, "window", "multiple of 60 seconds"),
        ({"cooldown_0": "166666.65"}, "cooldown", "between 0 and 2,592,000"),
        ({"metric": "usage_ratio", "threshold": "0.7"}, "threshold", "0.5, 0.8, 0.9 or 1"),
        ({"metric": "throttled_ratio", "threshold": "1.2"}, "threshold", "ratio above 0"),
        ({"metric": "platform", "threshold": "1"}, "group_by", "ust be empty"),
        ({"metric": "overdrawn", "threshold": "0.5"}, "threshold", "whole number of units of cost"),
        ({"metric": "overdrawn", "group_by": "policy"}, "group_by", "not counted by policy"),
        ({"webhooks": "https://127.0.0.1/hook"}, "webhooks", "neither public"),
        ({"webhooks": "ftp://example.com/"}, "webhooks", "must begin with https://"),
        ({"min_requests": "0"}, "min_requests", "from 1 to"),
        ({"name": "a\tb"}, "name", "control characters"),
    ],
)
def test_an_invalid_rule_is_reported_at_its_field(
    desk: Desk, changes: dict[str, Any], field: str, message: str
) -> None:
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


def test_the_list_of_alerts_shows_rule_group_and_value(desk: Desk, fired: Alert) -> None:
    text = desk.list(Alert).text
    assert [words for words in ("search-abuse", "(other)", "60,000 requests denied", "open") if words not in text] == []


def test_the_menu_shows_the_number_of_open_alerts(desk: Desk, fired: Alert) -> None:
    assert desk.list(Alert).response.context["sidebar_navigation"]
    Alert.objects.update(resolved_at=timezone.now())
    assert "resolved" in desk.list(Alert).text


def test_the_page_of_an_alert_shows_the_state_of_its_messages(desk: Desk, fired: Alert) -> None:
    path = reverse("admin:limits_alert_change", args=[fired.pk])
    assert "waiting for attempt 1" in desk.open(path).text
    send_due(Channel.MAIL)
    assert "sent " in desk.open(path).text
    Message.objects.update(sent_at=None, next_attempt_at=None, attempts=20, problem="SMTPServerDisconnected: gone")
    assert "given up after 20 attempts: SMTPServerDisconnected: gone" in desk.open(path).text


@pytest.mark.parametrize("model", [Alert, Usage, PolicyDenial], ids=lambda model: model.__name__)
def test_alerts_and_usage_are_read_only(desk: Desk, fired: Alert, model: type[Alert]) -> None:
    name = model._meta.model_name
    assert desk.client.get(reverse(f"admin:limits_{name}_add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert desk.client.post(reverse(f"admin:limits_{name}_change", args=[row.pk]), {}).status_code == 403
        assert (
            desk.client.post(reverse(f"admin:limits_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        )


def test_the_list_of_usage_shows_other_clients_and_unknown_endpoints(desk: Desk, fired: Alert) -> None:
    text = desk.list(Usage).text
    assert [words for words in ("(other)", "(unknown)", "60000") if words not in text] == []
    Usage.objects.create(
        client_key="acme", endpoint="search", minute=timezone.now(), outcome="admitted", requests=1, cost=1
    )
    found = desk.list(Usage, q="acme").response.context["cl"].result_list
    assert [row.client_key for row in found] == ["acme"]


# -- acknowledging and silencing alerts


def handle(desk: Desk, alert: Alert, action: str) -> str:
    """Submits the action. Returns the text of the next page."""
    path = reverse("admin:limits_alert_handle", args=[alert.pk])
    assert "A silence applies to" in desk.open(path).text
    page = desk.client.post(path, {"action": action}, follow=True).content.decode()
    alert.refresh_from_db()
    return page


def test_an_alert_is_acknowledged_with_the_name_of_the_user(desk: Desk, fired: Alert) -> None:
    assert "acknowledged by" in handle(desk, fired, "acknowledge")
    assert (fired.state, bool(fired.acknowledged_by)) == (Alert.State.ACKNOWLEDGED, True)
    assert "Notifications resumed." in handle(desk, fired, "resume")
    assert fired.state == Alert.State.OPEN


def test_several_alerts_are_acknowledged_together(desk: Desk, fired: Alert) -> None:
    path = reverse("admin:limits_alert_changelist")
    data = {"action": "acknowledge_selected", "_selected_action": [str(fired.pk)]}
    answer = desk.client.post(path, data, follow=True)
    assert "Acknowledged 1 alert:" in answer.content.decode()
    fired.refresh_from_db()
    assert fired.acknowledged_at


def test_an_alert_is_silenced_until_tomorrow_morning(desk: Desk, fired: Alert) -> None:
    assert "silenced until" in handle(desk, fired, "tomorrow")
    assert fired.silenced_until
    assert (fired.silenced_until.hour, fired.silenced_until.minute) == (8, 0)
    assert fired.silenced_until.date() == timezone.now().date() + timedelta(days=1)


def test_acknowledging_a_resolved_alert_says_so(desk: Desk, fired: Alert) -> None:
    Alert.objects.update(resolved_at=timezone.now())
    assert "The alert was already acknowledged or resolved." in handle(desk, fired, "acknowledge")


@pytest.mark.parametrize("hours", [1, 8, 24, 168])
def test_an_alert_is_silenced_for_a_time(desk: Desk, fired: Alert, hours: int) -> None:
    assert "silenced until" in handle(desk, fired, str(hours))
    assert fired.state == Alert.State.SILENCED
    assert fired.silenced_until
    assert abs((fired.silenced_until - timezone.now()).total_seconds() - hours * 3_600) < 60


@pytest.mark.parametrize("action", ["9999", "", "delete"])
def test_an_invalid_action_is_rejected(desk: Desk, fired: Alert, action: str) -> None:
    assert ("Select a valid choice" if action else "required") in handle(desk, fired, action)
    assert fired.state == Alert.State.OPEN


def test_a_get_of_the_page_changes_nothing(desk: Desk, fired: Alert) -> None:
    desk.open(reverse("admin:limits_alert_handle", args=[fired.pk]) + "?action=acknowledge")
    fired.refresh_from_db()
    assert fired.state == Alert.State.OPEN


def test_users_who_may_only_view_alerts_cannot_acknowledge_them(client: Client, fired: Alert) -> None:
    user = User.objects.create_user("viewer", password="secret", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_alert"))
    client.force_login(user)
    create_roles(Group.objects, Permission.objects)
    path = reverse("admin:limits_alert_handle", args=[fired.pk])
    rejected = client.get(f"{path}?action=acknowledge")
    assert rejected.status_code == 403
    assert "Members of <strong>Operators</strong> or <strong>Support</strong> have this" in rejected.content.decode()
    assert client.post(path, {"action": "acknowledge"}).status_code == 403
    fired.refresh_from_db()
    assert fired.state == Alert.State.OPEN


def test_a_test_message_is_sent_to_all_recipients_and_marked_as_a_test(desk: Desk, shop: Platform) -> None:
    rule = rows.alert_rule("search-abuse", emails=["a@example.com"], webhooks=["https://example.com/hook"])
    path = reverse("admin:limits_alertrule_send_test", args=[rule.pk])
    assert "a@example.com, https://example.com/hook" in desk.open(path).text
    assert not Message.objects.exists()
    page = desk.client.post(path, follow=True).content.decode()
    assert "A test message to a@example.com, https://example.com/hook will be sent" in page
    messages = list(Message.objects.order_by("channel"))
    assert [(each.channel, each.kind, each.destination) for each in messages] == [
        ("mail", "test", "a@example.com"),
        ("webhook", "test", "https://example.com/hook"),
    ]
    assert messages[0].subject == "Test: search-abuse"
    assert "This is a test message" in messages[0].text
    assert messages[1].payload["type"] == "alert.test"
    assert send_due(Channel.MAIL) == 1
