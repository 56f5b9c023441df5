"""Recipients and frequency of messages: nobody gets a hundred of them."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from limits.models import Alert, Message, Usage
from limits.monitoring.alerts import evaluate
from tests.models import rows
from tests.monitoring.counting import AT

pytestmark = pytest.mark.django_db

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NOW = AT + 30 * SECOND


def denied(client: str = "acme", amount: int = 50, *, minute: datetime = AT) -> None:
    Usage.objects.create(
        client_key=client, endpoint="search", minute=minute, outcome="denied", requests=amount, cost=amount
    )


def deny_many(count: int, *, first: int = 0) -> None:
    Usage.objects.bulk_create(
        Usage(client_key=f"client {n}", endpoint="search", minute=AT, outcome="denied", requests=50 + n, cost=1)
        for n in range(first, first + count)
    )


def told() -> list[tuple[str, str]]:
    """(kind, subject), oldest first."""
    return list(Message.objects.order_by("pk").values_list("kind", "subject"))


# -- floods


def test_alerts_of_500_clients_in_one_minute_are_one_digest() -> None:
    rows.alert_rule("search-abuse", group_by="client")
    deny_many(500)
    assert evaluate(NOW) == 0
    assert evaluate(NOW + 25 * SECOND) == 0
    assert evaluate(NOW + 60 * SECOND) == 1
    assert told() == [("digest", "search-abuse: 500 alerts opened")]
    digest = Message.objects.get()
    assert digest.alerts.count() == 500
    assert "search-abuse: 500 (50 requests denied in 1 minute, for each client)" in digest.text
    assert "- client 499 was denied 549 times in a minute" in digest.text
    assert "and 450 more" in digest.text
    assert evaluate(NOW + 65 * SECOND) == 0


def test_alerts_that_open_over_a_minute_are_one_digest() -> None:
    rows.alert_rule(group_by="client")
    for second in range(10):
        deny_many(50, first=50 * second)
        assert evaluate(AT + 5 * second * SECOND) == 0
    assert evaluate(AT + 60 * SECOND) == 1
    assert [kind for kind, _ in told()] == ["digest"]
    assert Message.objects.get().alerts.count() == 500


def test_twenty_alerts_are_sent_individually() -> None:
    rows.alert_rule(group_by="client")
    deny_many(20)
    assert evaluate(NOW) == 20
    assert {kind for kind, _ in told()} == {"opened"}


def test_each_address_gets_its_own_digest_or_few_individual_messages() -> None:
    rows.alert_rule("clients", group_by="client", emails=["ops@example.com", "pm@example.com"])
    rows.alert_rule("all", emails=["boss@example.com"])
    deny_many(30)
    evaluate(NOW)
    evaluate(NOW + 60 * SECOND)
    by_destination = {message.destination: message.kind for message in Message.objects.all()}
    assert by_destination == {"ops@example.com": "digest", "pm@example.com": "digest", "boss@example.com": "opened"}


def test_platform_problems_are_sent_immediately_during_a_flood() -> None:
    rows.alert_rule("clients", group_by="client")
    rows.alert_rule("platform", metric="platform", threshold=1)
    deny_many(30)
    Usage.objects.create(client_key="acme", endpoint="", minute=AT, outcome="admitted", requests=1, cost=1)
    evaluate(NOW)
    assert ("opened", "platform: unknown endpoints") in told()
    assert "clients" not in str(told())


def test_after_a_digest_the_next_message_is_sent_after_the_cooldown() -> None:
    rows.alert_rule(group_by="client", cooldown=300)
    deny_many(30)
    evaluate(NOW)
    evaluate(NOW + 60 * SECOND)
    Usage.objects.update(minute=AT + 5 * MINUTE)
    assert evaluate(NOW + 5 * MINUTE) == 0
    Usage.objects.update(minute=AT + 6 * MINUTE)
    assert evaluate(NOW + 6 * MINUTE) == 1
    assert told()[-1] == ("digest", "abuse: 30 alerts still open")


# -- one alert


def test_reminders_are_sent_only_while_the_alert_fires() -> None:
    rows.alert_rule(cooldown=120, window=300)
    denied()
    evaluate(NOW)
    evaluate(NOW + 3 * MINUTE)
    assert told() == [
        ("opened", "abuse: clients were denied 50 times in 5 minutes"),
        ("reminder", "Reminder: abuse: clients were denied 50 times in 5 minutes"),
    ]
    evaluate(NOW + 9 * MINUTE)
    assert len(told()) == 2


def test_a_cooldown_of_zero_is_at_most_one_message_per_minute() -> None:
    rows.alert_rule(cooldown=0, window=300)
    denied()
    assert [evaluate(NOW + after * SECOND) for after in (0, 5, 59, 60, 65, 121)] == [1, 0, 0, 1, 0, 1]


def test_an_alert_is_resolved_after_one_window_below_the_threshold() -> None:
    rows.alert_rule(window=120)
    denied()
    evaluate(NOW)
    evaluate(NOW + 2 * MINUTE)
    assert Alert.objects.get().last_fired_at == NOW + 2 * MINUTE
    evaluate(NOW + 3 * MINUTE + 59 * SECOND)
    assert Alert.objects.get().resolved_at is None
    evaluate(NOW + 4 * MINUTE)
    assert Alert.objects.get().resolved_at == NOW + 4 * MINUTE


def test_the_resolution_is_sent_once_if_requested() -> None:
    rows.alert_rule("loud", notify_resolved=True)
    rows.alert_rule("quiet")
    denied(amount=77)
    evaluate(NOW)
    for minute in (3, 4):
        evaluate(NOW + minute * MINUTE)
    assert [subject for kind, subject in told() if kind == "resolved"] == [
        "Resolved: loud: clients were denied 77 times in a minute"
    ]
    text = Message.objects.get(kind="resolved").text
    assert "Open from" in text
    assert "Highest value: 77 requests denied" in text


def test_values_are_kept_up_to_date() -> None:
    rows.alert_rule()
    denied(amount=80)
    evaluate(NOW)
    Usage.objects.all().delete()
    denied(amount=60, minute=AT + 2 * MINUTE)
    evaluate(NOW + 2 * MINUTE)
    alert = Alert.objects.get()
    assert (alert.value, alert.highest) == (60, 80)


# -- acknowledgement and silence


def test_an_acknowledged_alert_sends_no_messages_until_a_new_one_opens() -> None:
    rows.alert_rule(cooldown=60, window=60)
    denied()
    evaluate(NOW)
    Alert.objects.update(acknowledged_at=NOW, acknowledged_by="ann")
    assert Alert.objects.get().state == Alert.State.ACKNOWLEDGED
    for minute in range(1, 4):
        denied(minute=AT + minute * MINUTE)
        assert evaluate(NOW + minute * MINUTE) == 0
    evaluate(NOW + 6 * MINUTE)
    denied(minute=AT + 8 * MINUTE)
    assert evaluate(NOW + 8 * MINUTE) == 1


def test_a_silence_also_applies_to_a_new_alert_of_the_same_group() -> None:
    rows.alert_rule(cooldown=60)
    denied()
    evaluate(NOW)
    Alert.objects.update(silenced_until=NOW + 10 * MINUTE)
    evaluate(NOW + 4 * MINUTE)
    denied(minute=AT + 5 * MINUTE)
    assert evaluate(NOW + 5 * MINUTE) == 0
    assert Alert.objects.filter(resolved_at=None).get().silenced_until == NOW + 10 * MINUTE
    denied(minute=AT + 10 * MINUTE)
    assert evaluate(NOW + 10 * MINUTE) == 1


def test_silenced_is_a_state_until_the_silence_ends() -> None:
    rows.alert_rule()
    denied()
    evaluate(NOW)
    Alert.objects.update(silenced_until=timezone.now() + MINUTE)
    assert Alert.objects.get().state == Alert.State.SILENCED
    Alert.objects.update(silenced_until=timezone.now() - MINUTE)
    assert Alert.objects.get().state == Alert.State.OPEN


# -- channels


def test_each_address_and_webhook_has_a_separate_message(settings: Settings) -> None:
    rows.alert_rule("both", emails=["a@example.com", "b@example.com"], webhooks=["https://example.com/hook"])
    denied()
    assert evaluate(NOW) == 3
    hook = Message.objects.get(channel="webhook")
    assert (hook.destination, hook.text) == ("https://example.com/hook", "")
    assert hook.payload["type"] == "alert.opened"
    (alert,) = hook.payload["alerts"]
    assert (alert["rule"], alert["value"], alert["threshold"]) == ("both", 50, 50)
    assert hook.payload["figures"] == [{"amount": "50", "client": "acme", "endpoint": "search"}]
    assert len(set(Message.objects.values_list("message_id", flat=True))) == 3
