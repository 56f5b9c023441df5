"""Alert rules on overdrawn cost: from the counts in the store to emails and webhooks."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from limits.models import Alert, Message, Progress, Settlement, Work
from limits.monitoring.alerts import evaluate
from limits.monitoring.drain import drain
from limits.monitoring.metrics import firing_values, largest_contributions
from limits.monitoring.rollups import roll_up
from tests.models import rows
from tests.monitoring.counting import AT, count, count_settlements
from tests.monitoring.test_alert_metrics import BY_PLAN, fired
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

NOW = AT + timedelta(seconds=30)


def overdraw(cost: int, client: str = "acme", *, endpoint: str = "search", minute: datetime = AT) -> None:
    figures = {"reserved": 0, "settlements": 1, "settled": cost, "refunded": 0, "debited": cost}
    Settlement.objects.create(client_key=client, endpoint=endpoint, minute=minute, overdrawn=cost, **figures)


def rule(name: str = "debt", **fields: Any) -> Any:
    return rows.alert_rule(name, **{"metric": "overdrawn", "threshold": 500} | fields)


@pytest.mark.parametrize(("cost", "fires"), [(299, False), (300, True), (301, True)])
def test_a_rule_fires_at_its_threshold_of_overdrawn_cost(cost: int, fires: bool) -> None:
    rule()
    overdraw(cost)
    overdraw(200, "globex", endpoint="orders")
    evaluate(NOW)
    assert fired() == ({"": cost + 200} if fires else {})


def test_only_overdrawn_cost_counts(platform: Platform) -> None:
    rule(threshold=1)
    count(platform, "acme", 900, kind="d")
    count_settlements(platform, "acme", (5_000, 9, 5_000, 700, 700, 0))
    drain()
    evaluate(NOW)
    assert fired() == {}


def test_groups_and_filters() -> None:
    pro = rows.plan("pro")
    rows.client("acme", plan=pro)
    search = rows.endpoint("search")
    rule("by client", group_by="client")
    rule("by endpoint", group_by="endpoint")
    rule("on search", endpoint=search)
    rule("of globex", client_key="globex")
    rule("of pro", plan=pro)
    overdraw(600)
    overdraw(700, "globex")
    overdraw(800, "globex", endpoint="")
    overdraw(499, "quiet", endpoint="orders")
    evaluate(NOW)
    assert {(alert.rule.name, alert.group): alert.value for alert in Alert.objects.all()} == {
        ("by client", "acme"): 600,
        ("by client", "globex"): 1_500,
        ("by endpoint", "search"): 1_300,
        ("by endpoint", ""): 800,
        ("on search", ""): 1_300,
        ("of globex", ""): 1_500,
        ("of pro", ""): 600,
    }


@pytest.mark.parametrize("plan", BY_PLAN)
def test_a_client_below_a_parent_is_on_the_plans_of_its_ancestors(plan: str) -> None:
    plans = {"free": rows.default_plan("free"), "pro": rows.plan("pro"), "other": rows.plan("other")}
    team = rows.client("team", plan=plans["pro"], parent=rows.client("org", plan=plans["other"]))
    rows.client("key", parent=rows.client("group", parent=team))
    rows.client("own", plan=plans["free"], parent=team)
    rows.client("below-default", parent=rows.client("root-without-plan"))
    for client in ("org", "team", "group", "key", "own", "root-without-plan", "below-default", "stranger"):
        overdraw(2, client)
    rule(group_by="client", plan=plans[plan], threshold=1)
    evaluate(NOW)
    assert set(fired()) == BY_PLAN[plan]


@pytest.mark.parametrize("added_up", [False, True])
def test_a_window_of_a_day_gives_the_same_from_hours_and_minutes(added_up: bool) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT - timedelta(days=3))
    by_client = rule(window=86_400, threshold=6, group_by="client")
    day_ago = AT - timedelta(days=1)
    for minute in (day_ago + timedelta(minutes=1), AT - timedelta(hours=7), AT - timedelta(hours=2), AT):
        overdraw(2, minute=minute)
    overdraw(100, minute=day_ago)
    overdraw(5, "globex")
    if added_up:
        roll_up(NOW)
    evaluate(NOW)
    assert fired() == {"acme": 8}
    figures = [
        (figure.amount, figure.client, figure.place) for figure in largest_contributions(by_client, "acme", AT, 5)
    ]
    assert figures == [("8", "acme", "search")]


def test_rows_without_overdrawn_cost_are_not_read() -> None:
    figures = {"reserved": 9, "settlements": 1, "settled": 9, "refunded": 0, "debited": 0, "overdrawn": 0}
    Settlement.objects.bulk_create(
        Settlement(client_key=f"client {n}", endpoint="search", minute=AT, **figures) for n in range(20_000)
    )
    overdraw(600)
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "limits_settlement" in sql:
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", parameters)
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute(sql, parameters, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE limits_settlement")
    of_clients = rule(group_by="client")
    with connection.execute_wrapper(explain):
        assert firing_values(of_clients, AT) == {"acme": 600}
    assert ["settlement_overdrawn" in plan for plan in plans] == [True]


def test_an_email_about_overdrawn_cost(platform: Platform) -> None:
    """From the counts in the store to the email."""
    rule(group_by="client", threshold=1_000, window=300)
    count_settlements(platform, "acme", (1_000, 1, 3_500, 0, 2_500, 1_500))
    count_settlements(platform, "acme", (0, 0, 0, 0, 20, 20), endpoint="")
    drain()
    assert (evaluate(NOW), evaluate(NOW + timedelta(seconds=5))) == (1, 0)
    mail = Message.objects.get()
    assert mail.subject == "debt: acme: 1,520 units of cost overdrawn in 5 minutes"
    assert "Rule: 1,000 units of cost overdrawn in 5 minutes, for each client." in mail.text
    assert "overdrawn  client, endpoint\n  1,500  acme, search\n     20  acme, (unknown)" in mail.text


@pytest.mark.parametrize(
    ("group_by", "subject"),
    [
        ("", "debt: 1 unit of cost overdrawn in a minute"),
        ("endpoint", "debt: search: 1 unit of cost overdrawn in a minute"),
    ],
)
def test_the_subject_names_the_group(group_by: str, subject: str) -> None:
    rule(group_by=group_by, threshold=1)
    overdraw(1)
    evaluate(NOW)
    assert Message.objects.get().subject == subject


def test_a_webhook_about_overdrawn_cost(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}
    rule(group_by="client", emails=[], webhooks=["https://example.com/hook"])
    overdraw(600)
    evaluate(NOW)
    payload = Message.objects.get().payload
    (alert,) = payload["alerts"]
    assert payload["figures"] == [{"amount": "600", "client": "acme", "endpoint": "search"}]
    assert {name: alert[name] for name in ("metric", "threshold", "group", "value")} == {
        "metric": "overdrawn",
        "threshold": 500,
        "group": "acme",
        "value": 600,
    }
