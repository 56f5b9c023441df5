"""Rollup of minutes into hours and hours into days: each count once, even if late or after a failure."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection

from limits.models import (
    PolicyDenialDay,
    PolicyDenialHour,
    Progress,
    QuotaThreshold,
    Usage,
    UsageDay,
    UsageHour,
    Work,
)
from limits.monitoring import rollups
from limits.monitoring.drain import drain
from limits.monitoring.rollups import roll_up
from tests.models import rows
from tests.monitoring.counting import AT, MINUTE, count
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

HOUR = 60
DAY = 24 * HOUR
NOON = AT.replace(hour=12, minute=0)
NOON_MINUTE = MINUTE + round((NOON - AT).total_seconds()) // 60


@pytest.fixture(autouse=True)
def marks() -> None:
    """Everything before noon has been rolled up."""
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOON)


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def hours() -> dict[tuple[datetime, str, str], tuple[int, int]]:
    return {(row.hour, row.client_key, row.outcome): (row.requests, row.cost) for row in UsageHour.objects.all()}


def days() -> dict[tuple[str, str], tuple[int, int]]:
    return {(row.client_key, row.outcome): (row.requests, row.cost) for row in UsageDay.objects.all()}


def test_minutes_are_rolled_up_into_hours(platform: Platform) -> None:
    for minute in (0, 1, 59, 60):
        count(platform, "acme", 2, minute=NOON_MINUTE + minute)
        count(platform, "acme", 3, kind="A", minute=NOON_MINUTE + minute)
    count(platform, "acme", 4, kind="d", policy="tight", minute=NOON_MINUTE)
    drain()
    roll_up(later(61.9))
    assert hours() == {(NOON, "acme", "admitted"): (6, 15)}
    assert [(row.hour, row.requests) for row in PolicyDenialHour.objects.all()] == [(NOON, 4)]
    roll_up(later(62))
    assert hours()[later(60), "acme", "admitted"] == (2, 5)


def test_hours_are_rolled_up_into_days_with_unregistered_clients_combined(platform: Platform) -> None:
    rows.default_plan("free")
    rows.client("acme")
    for client in ("acme", "stranger 1", "stranger 2"):
        count(platform, client, 5, minute=NOON_MINUTE)
        count(platform, client, 5, minute=NOON_MINUTE + HOUR)
        count(platform, client, 2, kind="d", policy="tight", minute=NOON_MINUTE)
    drain()
    roll_up(later(4 * HOUR))
    assert days() == {("acme", "admitted"): (10, 10), ("", "admitted"): (20, 20)}
    assert {(row.client_key, row.requests) for row in PolicyDenialDay.objects.all()} == {("acme", 2), ("", 4)}
    assert {row.day for row in UsageDay.objects.all()} == {NOON.replace(hour=0)}


def test_a_repeated_rollup_adds_nothing(platform: Platform) -> None:
    count(platform, "acme", 5, minute=NOON_MINUTE)
    drain()
    assert roll_up(later(4 * HOUR)) == 2
    before = hours(), days()
    assert roll_up(later(4 * HOUR)) == 0
    assert (hours(), days()) == before


def test_late_counts_are_added_once_to_hours_and_days(platform: Platform) -> None:
    count(platform, "acme", 5, minute=NOON_MINUTE)
    drain()
    roll_up(later(4 * HOUR))
    count(platform, "acme", 7, minute=NOON_MINUTE)
    count(platform, "acme", 2, kind="d", policy="tight", minute=NOON_MINUTE + 1)
    drain()
    assert hours() == {(NOON, "acme", "admitted"): (12, 12)}
    assert days() == {("", "admitted"): (12, 12)}
    roll_up(later(9 * HOUR))
    assert hours() == {(NOON, "acme", "admitted"): (12, 12)}
    assert PolicyDenialHour.objects.get().requests == PolicyDenialDay.objects.get().requests == 2


def test_long_times_without_requests_are_skipped(platform: Platform) -> None:
    count(platform, "acme", minute=NOON_MINUTE + 300 * DAY)
    drain()
    assert roll_up(later(301 * DAY)) == 2
    assert sum(requests for requests, _ in hours().values()) == 1


def test_a_failed_step_does_not_move_its_mark(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    count(platform, "acme", 5, minute=NOON_MINUTE)
    drain()
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "note", classmethod(lambda *_: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            roll_up(later(5))
    roll_up(later(5))
    assert hours() == {(NOON, "acme", "admitted"): (5, 5)}


@pytest.mark.django_db(transaction=True)
def test_concurrent_drains_and_rollups_count_each_request_once(platform: Platform) -> None:
    chance = random.Random(7)
    wanted: Counter[str] = Counter()

    def drain_often(number: int) -> None:
        try:
            for _ in range(6):
                for client in ("ann", "bob"):
                    amount, minute = chance.randint(1, 9), chance.randint(0, 10)
                    wanted[client] += amount
                    count(platform, client, amount, minute=NOON_MINUTE + minute)
                drain()
        finally:
            connection.close()

    def step_often(number: int) -> None:
        try:
            for minute in range(12):
                roll_up(later(minute))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [*pool.map(drain_often, range(2)), *pool.map(step_often, range(2))]:
            assert done is None
    drain()
    roll_up(later(3 * HOUR))
    by_minute: Counter[str] = Counter()
    for row in Usage.objects.all():
        by_minute[row.client_key] += row.requests
    assert by_minute == wanted
    assert {client: requests for (_, client, _), (requests, _) in hours().items()} == wanted
    assert days() == {("", "admitted"): (sum(wanted.values()), sum(wanted.values()))}


def test_quota_thresholds_become_rows_without_client_for_global_policies(platform: Platform) -> None:
    rows.policy("tight")
    rows.policy("everybody", partition="global")
    for policy in ("tight", "everybody"):
        count(platform, "acme", 2, kind="80", policy=policy)
        count(platform, "globex", 1, kind="80", policy=policy)
    count(platform, "acme", 1, kind="100", policy="tight")
    drain()
    found = {(row.policy, row.client_key, row.mark): row.requests for row in QuotaThreshold.objects.all()}
    assert found == {
        ("tight", "acme", 80): 2,
        ("tight", "globex", 80): 1,
        ("tight", "acme", 100): 1,
        ("everybody", "", 80): 3,
    }
    assert not Usage.objects.exists()


def test_each_resolution_has_a_rollup() -> None:
    assert {resolution.work for resolution in rollups.RESOLUTIONS} == {Work.HOURS, Work.DAYS}
