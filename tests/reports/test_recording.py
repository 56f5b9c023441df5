"""Triggers record plan, tags and tree of each client by the hour, and the default plan."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from limits.models import Client, LateCount, Plan, RecordedClient, RecordedDefaultPlan
from limits.monitoring.drain import drain
from limits.monitoring.rollups import hour_of
from tests.models import rows
from tests.monitoring.counting import MINUTE, count, count_settlements
from tests.publishing.platforms import Platform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def this_hour() -> datetime:
    """The hour of the transaction, in which all of a test happens."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return hour_of(cursor.fetchone()[0])


def recorded(key: str) -> list[tuple[int, int | None, str, bool, list[str], str]]:
    """The rows of a client, with hours relative to the present one."""
    now = this_hour()
    return [
        (
            (row.from_hour - now) // HOUR,
            (row.until_hour - now) // HOUR if row.until_hour else None,
            row.plan,
            row.on_default,
            row.tags,
            row.root,
        )
        for row in RecordedClient.objects.filter(client_key=key)
    ]


def earlier(hours: int = 5) -> None:
    """Everything that is recorded began some hours earlier."""
    RecordedClient.objects.update(from_hour=this_hour() - hours * HOUR)


def test_an_hour_counts_with_the_state_at_its_beginning() -> None:
    free, pro = rows.plan("free"), rows.plan("pro")
    acme = rows.client("acme", plan=free, tags=["eu"])
    assert recorded("acme") == [(0, None, "free", False, ["eu"], "acme")]
    earlier()
    Client.objects.filter(pk=acme.pk).update(plan=pro)
    Client.objects.filter(pk=acme.pk).update(tags=["eu", "vip"], name="Acme")
    assert recorded("acme") == [
        (-5, 1, "free", False, ["eu"], "acme"),
        (1, None, "pro", False, ["eu", "vip"], "acme"),
    ]
    Client.objects.filter(pk=acme.pk).delete()
    assert recorded("acme") == [(-5, 1, "free", False, ["eu"], "acme")]
    rows.client("acme")
    assert recorded("acme")[1:] == [(1, None, "", True, [], "acme")]


def test_a_moved_client_takes_those_below_it_to_another_root() -> None:
    old, new = Client.objects.bulk_create([Client(key="old"), Client(key="new")])
    team = rows.client("team", parent=old)
    rows.client("key", parent=team)
    assert recorded("key") == [(0, None, "", False, [], "old")]
    earlier()
    team.parent = new
    team.save()
    assert recorded("key") == [(-5, 1, "", False, [], "old"), (1, None, "", False, [], "new")]
    assert recorded("team")[1:] == [(1, None, "", False, [], "new")]
    assert len(recorded("new")) == 1


def test_the_default_plan_is_recorded() -> None:
    rows.default_plan("free")
    RecordedDefaultPlan.objects.update(from_hour=this_hour() - HOUR)
    Plan.objects.update(is_default=False)
    rows.default_plan("pro")
    found = RecordedDefaultPlan.objects.values_list("plan", "from_hour", "until_hour")
    now = this_hour()
    assert list(found) == [("free", now - HOUR, now + HOUR), ("pro", now + HOUR, None)]


def test_counts_that_arrive_a_day_late_are_recorded_besides(platform: Platform) -> None:
    for minute in (MINUTE, MINUTE + 1):
        count(platform, "acme", 3, minute=minute)
        count(platform, "acme", 2, kind="d", policy="all", minute=minute)
    count_settlements(platform, "acme", (5, 1, 4, 1, 0, 0))
    drain()
    drain()
    found = LateCount.objects.values_list("outcome", "policy", "mode", "requests", "cost", "reserved", "refunded")
    assert sorted(found) == [
        ("", "", "", 0, 0, 5, 1),
        ("", "all", "enforce", 4, 0, 0, 0),
        ("admitted", "", "", 6, 6, 0, 0),
    ]
    assert {row.arrived for row in LateCount.objects.all()} <= {this_hour(), this_hour() + HOUR}
