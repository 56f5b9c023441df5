"""Units beyond quotas: from the counts in the store to rows, rollups, alerts, retention and erasure."""

from datetime import timedelta
from typing import Any

import pytest

from limits.models import PolicyUsage, PolicyUsageDay, PolicyUsageHour, Progress, Work
from limits.monitoring.alerts import evaluate
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.monitoring.metrics import largest_contributions
from limits.monitoring.retention import remove_expired
from limits.monitoring.rollups import roll_up
from tests.models import rows
from tests.monitoring.counting import AT, MINUTE, count
from tests.monitoring.test_alert_metrics import fired
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

NOW = AT + timedelta(seconds=30)
HOUR, DAY = 60, 1_440


def units(model: Any = PolicyUsage) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(client, endpoint, policy) → granted units and units over quota."""
    found = model._default_manager.all()
    return {(row.client_key, row.endpoint, row.policy): (row.granted, row.over_quota) for row in found}


def test_returned_units_are_subtracted(platform: Platform) -> None:
    count(platform, "acme", 50, kind="q", policy="monthly")
    count(platform, "acme", 20, kind="Q", policy="monthly")
    count(platform, "acme", 9, kind="g7", policy="monthly")
    count(platform, "acme", 8, kind="g8", policy="monthly")
    count(platform, "acme", 3, kind="G7", policy="monthly")
    count(platform, "globex", 5, kind="Q", policy="monthly", endpoint="")
    drain()
    assert units() == {("acme", "search", "monthly"): (14, 30), ("globex", "", "monthly"): (0, -5)}
    count(platform, "acme", 1, kind="q", policy="monthly")
    drain()
    assert units()["acme", "search", "monthly"] == (14, 31)


def test_a_policy_that_counts_all_clients_together_names_none(platform: Platform) -> None:
    rows.policy("everyone", partition="global")
    count(platform, "acme", 50, kind="q", policy="everyone")
    count(platform, "globex", 20, kind="q", policy="everyone")
    drain()
    assert units() == {("", "search", "everyone"): (0, 70)}


def test_minutes_are_rolled_up_into_hours_and_days_also_if_they_are_late(platform: Platform) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT - timedelta(days=3))
    rows.client("acme")
    for minute, kind, amount in ((MINUTE, "q", 7), (MINUTE - HOUR, "q", 5), (MINUTE - 2 * DAY, "g7", 3)):
        count(platform, "acme", amount, kind=kind, policy="monthly", minute=minute)
    drain()
    while roll_up(NOW + timedelta(days=2)):
        pass
    count(platform, "acme", 2, kind="Q", policy="monthly")
    drain()
    hours = {row.hour: (row.granted, row.over_quota) for row in PolicyUsageHour.objects.all()}
    hour = AT.replace(minute=0)
    assert hours == {hour: (0, 5), hour - timedelta(hours=1): (0, 5), hour - timedelta(days=2): (3, 0)}
    days = PolicyUsageDay.objects.all()
    assert (sum(row.granted for row in days), sum(row.over_quota for row in days)) == (3, 10)


def test_an_alert_names_the_policy(platform: Platform) -> None:
    rule = rows.alert_rule("overage", metric="over_quota", threshold=100, group_by="policy")
    rows.alert_rule("of others", metric="over_quota", threshold=1, client_key="initech")
    count(platform, "acme", 90, kind="q", policy="monthly")
    count(platform, "globex", 40, kind="q", policy="monthly")
    count(platform, "globex", 20, kind="Q", policy="monthly")
    count(platform, "acme", 99, kind="q", policy="daily")
    drain()
    evaluate(NOW)
    assert fired() == {"monthly": 110}
    figures = [(each.amount, each.client, each.place) for each in largest_contributions(rule, "monthly", AT, 5)]
    assert figures == [("90", "acme", "monthly"), ("20", "globex", "monthly")]
    assert rule.sentence == "100 units of cost over quota in 1 minute, for each policy"


def test_old_rows_are_removed_and_an_erased_client_is_counted_without_its_name(platform: Platform) -> None:
    rows.client("acme")
    for model, time in ((PolicyUsage, "minute"), (PolicyUsageHour, "hour"), (PolicyUsageDay, "day")):
        for days in (0, 10_000):
            moment = {time: AT.replace(hour=0, minute=0) - timedelta(days=days)}
            model.objects.create(client_key="acme", policy="monthly", granted=2, over_quota=3, **moment)
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT + timedelta(days=1))
    assert remove_expired(AT + timedelta(days=1)) == 3
    erase("acme", keep_registration=True)
    for model in (PolicyUsage, PolicyUsageHour, PolicyUsageDay):
        assert units(model) == {("", "", "monthly"): (2, 3)}
