"""Alerts open, stay open and are resolved; one email is written per cooldown."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from limits.models import Alert, AlertRule, Message, PolicyDenial, Usage
from limits.monitoring.alerts import evaluate
from tests.models import rows
from tests.monitoring.counting import AT

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOW = AT + timedelta(seconds=30)


def denied(client: str, requests: int, *, endpoint: str = "search", minute: datetime = AT) -> None:
    Usage.objects.create(
        client_key=client, endpoint=endpoint, minute=minute, outcome="denied", requests=requests, cost=requests
    )


def denied_by(policy: str, client: str, requests: int, mode: str = "enforce") -> None:
    PolicyDenial.objects.create(
        client_key=client, endpoint="search", policy=policy, minute=AT, mode=mode, requests=requests
    )


def open_groups() -> set[str]:
    return set(Alert.objects.filter(resolved_at=None).values_list("group", flat=True))


@pytest.mark.parametrize(("requests", "fires"), [(49, False), (50, True), (51, True)])
def test_a_rule_fires_at_its_threshold(requests: int, fires: bool) -> None:
    rows.alert_rule()
    denied("acme", requests)
    assert evaluate(NOW) == int(fires)
    assert Alert.objects.exists() == fires


def test_each_group_is_counted_separately() -> None:
    rows.alert_rule(group_by="client")
    denied("acme", 30)
    denied("acme", 30, endpoint="orders")
    denied("globex", 49)
    evaluate(NOW)
    assert open_groups() == {"acme"}
    assert Alert.objects.get().highest == 60


def test_without_groups_all_requests_are_counted_together() -> None:
    rows.alert_rule()
    denied("acme", 30)
    denied("globex", 20)
    evaluate(NOW)
    assert open_groups() == {""}
    assert Alert.objects.get().group_name == "all requests"


def test_groups_of_endpoints_and_of_policies() -> None:
    rows.alert_rule("by endpoint", group_by="endpoint")
    rows.alert_rule("by policy", group_by="policy")
    denied("acme", 30, endpoint="orders")
    denied("globex", 30, endpoint="orders")
    denied_by("tight", "acme", 70)
    denied_by("trial", "acme", 90, mode="shadow")
    evaluate(NOW)
    assert {(alert.rule.name, alert.group) for alert in Alert.objects.all()} == {
        ("by endpoint", "orders"),
        ("by policy", "tight"),
    }


def filters() -> list[dict[str, Any]]:
    return [{"client_key": "acme"}, {"endpoint": "orders"}, {"policy": "tight"}, {"plan": "pro"}, {"plan": "free"}]


@pytest.mark.parametrize("chosen", filters(), ids=lambda chosen: "-".join(*chosen.items()))
def test_filters_restrict_the_counted_requests(chosen: dict[str, Any]) -> None:
    plans = {"free": rows.default_plan("free"), "pro": rows.plan("pro")}
    endpoints = {"orders": rows.endpoint("orders")}
    policies = {"tight": rows.policy("tight")}
    rows.client("acme", plan=plans["pro"])
    rows.client("default")
    for client, endpoint, requests in (("acme", "orders", 50), ("default", "cart", 60), ("stranger", "cart", 70)):
        denied(client, requests, endpoint=endpoint)
    denied_by("tight", "acme", 55)
    known = {"plan": plans, "endpoint": endpoints, "policy": policies}
    rows.alert_rule(**{name: known[name][value] if name in known else value for name, value in chosen.items()})
    evaluate(NOW)
    expected = {"client_key": 50, "endpoint": 50, "policy": 55, "plan": 50 if chosen.get("plan") == "pro" else 130}
    assert Alert.objects.get().highest == expected[next(iter(chosen))]


def test_only_denials_count() -> None:
    rows.alert_rule()
    for outcome in ("admitted", "blocked", "exempt"):
        Usage.objects.create(client_key="acme", endpoint="search", minute=AT, outcome=outcome, requests=99, cost=99)
    assert evaluate(NOW) == 0


@pytest.mark.parametrize(("window", "fires"), [(60, False), (120, True), (180, True)])
def test_a_window_is_whole_minutes_including_the_present_one(window: int, fires: bool) -> None:
    rows.alert_rule(window=window)
    denied("acme", 30, minute=AT - MINUTE)
    denied("acme", 30)
    evaluate(NOW)
    assert Alert.objects.exists() == fires


@pytest.mark.parametrize(("minutes", "fires"), [(-1, True), (0, True), (1, True), (2, False), (-2, False)])
def test_counts_that_are_late_or_slightly_ahead_are_included(minutes: int, fires: bool) -> None:
    rows.alert_rule()
    denied("acme", 50, minute=AT + minutes * MINUTE)
    evaluate(NOW)
    assert Alert.objects.exists() == fires


def test_an_alert_is_resolved_and_a_later_one_is_new() -> None:
    rows.alert_rule(cooldown=600)
    denied("acme", 50)
    evaluate(NOW)
    evaluate(NOW + MINUTE)
    assert open_groups() == {""}
    evaluate(NOW + 3 * MINUTE)
    assert Alert.objects.get().resolved_at == NOW + 3 * MINUTE
    denied("acme", 80, minute=AT + 5 * MINUTE)
    evaluate(NOW + 5 * MINUTE)
    assert Alert.objects.count() == 2
    assert Message.objects.count() == 1


def test_only_alerts_with_changed_values_are_updated_individually() -> None:
    """The other alerts get the time of the evaluation in one statement."""
    rows.alert_rule(group_by="client")
    denied("acme", 60)
    denied("globex", 60)
    evaluate(NOW)
    with CaptureQueriesContext(connection) as queries:
        evaluate(NOW + timedelta(seconds=5))
    assert not [query["sql"] for query in queries if "CASE WHEN" in query["sql"]]
    denied("acme", 10, endpoint="orders")
    later = NOW + timedelta(seconds=10)
    evaluate(later)
    alerts = Alert.objects.order_by("group").values_list("group", "value", "highest", "last_fired_at")
    assert list(alerts) == [("acme", 70, 70, later), ("globex", 60, 60, later)]


def test_one_email_per_cooldown() -> None:
    rows.alert_rule(cooldown=120)
    for minute in range(5):
        denied("acme", 50 + minute, minute=AT + minute * MINUTE)
        evaluate(NOW + minute * MINUTE)
        evaluate(NOW + minute * MINUTE + timedelta(seconds=5))
    assert Alert.objects.count() == 1
    assert Alert.objects.get().highest == 54
    created = Message.objects.order_by("created_at").values_list("created_at", flat=True)
    assert [moment - NOW for moment in created] == [timedelta(0), 2 * MINUTE, 4 * MINUTE]


def test_each_group_has_its_own_cooldown() -> None:
    rows.alert_rule(group_by="client")
    denied("acme", 50)
    assert evaluate(NOW) == 1
    denied("globex", 50)
    assert evaluate(NOW) == 1


def test_the_email_names_client_endpoints_and_numbers() -> None:
    rows.alert_rule("search-abuse", group_by="client", emails=["ops@example.com", "pm@example.com"])
    denied("acme & sons", 60)
    denied("acme & sons", 7, endpoint="orders")
    evaluate(NOW)
    mail = Message.objects.get(destination="pm@example.com")
    assert mail.subject == "search-abuse: acme & sons was denied 67 times in a minute"
    assert {message.destination for message in Message.objects.all()} == {"ops@example.com", "pm@example.com"}
    assert "     60  acme & sons, search\n      7  acme & sons, orders\n" in mail.text
    assert "50 requests denied in 1 minute, for each client" in mail.text
    assert f"http://127.0.0.1:8000/admin/limits/alert/{mail.alerts.get().pk}/change/" in mail.text
    assert "http://127.0.0.1:8000/admin/limits/client/?q=acme+%26+sons" in mail.text
    assert '<td style="padding: 4px 12px 4px 0">acme &amp; sons</td>' in mail.html


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({}, "abuse: clients were denied 50 times in a minute"),
        ({"group_by": "endpoint", "window": 300}, "abuse: search denied 50 requests in 5 minutes"),
        ({"group_by": "client"}, "abuse: (other) was denied 50 times in a minute"),
    ],
)
def test_subjects(fields: dict[str, Any], subject: str) -> None:
    rows.alert_rule(**fields)
    denied("", 50)
    evaluate(NOW)
    assert Message.objects.get().subject == subject


def test_a_single_denial_is_in_the_singular() -> None:
    rows.alert_rule(threshold=1, group_by="client")
    denied("acme", 1)
    evaluate(NOW)
    assert Message.objects.get().subject == "abuse: acme was denied 1 time in a minute"
    assert Alert.objects.get().rule.sentence.startswith("1 request denied in 1 minute")


def test_a_flood_of_one_client_is_one_alert_and_one_email() -> None:
    rows.alert_rule(group_by="client")
    denied("acme", 100_000)
    for second in range(0, 60, 5):
        evaluate(AT + timedelta(seconds=second))
    assert (Alert.objects.count(), Message.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_concurrent_evaluations_open_one_alert_and_write_one_email() -> None:
    rows.alert_rule(group_by="client")
    denied("acme", 50)

    def run(number: int) -> None:
        try:
            evaluate(NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))
    assert (Alert.objects.count(), Message.objects.count()) == (1, 1)


def test_deleting_a_rule_deletes_its_alerts() -> None:
    rule = rows.alert_rule()
    denied("acme", 50)
    evaluate(NOW)
    AlertRule.objects.filter(pk=rule.pk).delete()
    assert evaluate(NOW) == 0
    assert not Alert.objects.exists()
