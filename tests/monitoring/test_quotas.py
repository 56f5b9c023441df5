"""Readings of how much of each quota the registered clients use: from the counters of the engine to rows."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from limits.models import Client, Policy, Progress, QuotaPeak, QuotaReading, QuotaThreshold, Work
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.monitoring.quotas import MAX_AGE, read_quotas
from limits.monitoring.retention import remove_expired
from limits.publishing import clients, rules
from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.engine import get_engine
from tests.models import rows
from tests.publishing.conftest import shop
from tests.publishing.platforms import Platform

__all__ = ["shop"]

pytestmark = pytest.mark.django_db


def use(client: str, cost: int) -> None:
    """The client makes a request, which is counted in the database."""
    assert get_engine().check(CheckRequest(client, cost=cost)).allowed
    drain()


def readings() -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """(client, limit) → used, capacity, percent, peak percent."""
    return {
        (row.client_key, row.limit): (row.used, row.capacity, row.percent, row.peak_percent)
        for row in QuotaReading.objects.all()
    }


def test_the_limits_of_active_clients_are_read(shop: Platform) -> None:
    rows.client("idle")
    assert clients.deliver().live
    use("acme", 37)
    use("unregistered", 90)
    assert read_quotas() == 1
    assert readings() == {("acme", "all:60s"): (37, 100, 37, 37)}


def test_a_reading_is_zero_once_the_limit_is_unused_and_the_peak_stays_for_the_month(shop: Platform) -> None:
    use("acme", 50)
    read_quotas()
    later = timezone.now() + timedelta(minutes=10)
    Progress.note(Work.QUOTAS, later)
    assert read_quotas(later) == 0
    assert readings() == {("acme", "all:60s"): (0, 100, 0, 50)}
    next_month = later + timedelta(days=31)
    Progress.note(Work.QUOTAS, next_month)
    QuotaReading.objects.update(read_at=next_month)
    assert read_quotas(next_month) == 0
    row = QuotaReading.objects.get()
    assert (row.peak_percent, row.peak_at) == (0, next_month)
    assert QuotaPeak.objects.get().percent == 50


def test_thresholds_that_requests_reached_raise_the_peak(shop: Platform) -> None:
    """Between two readings, usage can rise and fall."""
    use("acme", 10)
    minute = timezone.now().replace(second=0, microsecond=0)
    QuotaThreshold.objects.create(minute=minute, client_key="acme", endpoint="", policy="all", mark=90, requests=1)
    read_quotas()
    assert readings() == {("acme", "all:60s"): (10, 100, 10, 90)}
    peak = QuotaPeak.objects.get()
    assert (peak.used, peak.percent, peak.month) == (90, 90, minute.astimezone(UTC).date().replace(day=1))


def test_requests_below_a_parent_count_for_the_parent(shop: Platform) -> None:
    acme = Client.objects.get(key="acme")
    acme.plan = rows.plan("pro")
    acme.save()
    rows.policy("pro", plan=acme.plan, quota=200)
    rows.client("mobile", parent=acme)
    rules.record("test")
    assert rules.deliver().live
    assert clients.deliver().live
    use("mobile", 20)
    assert read_quotas() == 2
    assert readings() == {
        ("acme", "all:60s"): (0, 100, 0, 0),
        ("acme", "pro:60s"): (20, 200, 10, 10),
        ("mobile", "all:60s"): (20, 100, 20, 20),
    }


def test_old_readings_are_repeated_and_those_of_removed_clients_and_limits_go(shop: Platform) -> None:
    rows.client("globex")
    assert clients.deliver().live
    for key in ("acme", "globex"):
        use(key, 5)
    read_quotas()
    Client.objects.get(key="globex").delete()
    assert clients.deliver().live
    policy = Policy.objects.get()
    policy.limits.update(window=3_600)
    rules.record("test")
    assert rules.deliver().live
    assert set(readings()) == {("acme", "all:60s"), ("globex", "all:60s")}
    read_quotas(timezone.now() + MAX_AGE + timedelta(minutes=10))
    assert readings() == {("acme", "all:3600s"): (0, 100, 0, 0)}


def test_erasing_a_client_removes_readings_and_peaks(shop: Platform) -> None:
    use("acme", 5)
    read_quotas()
    erase("acme", keep_registration=True)
    assert not QuotaReading.objects.exists()
    assert not QuotaPeak.objects.exists()


def test_peaks_are_kept_as_long_as_days(shop: Platform) -> None:
    for month in (date(2020, 1, 1), timezone.now().date().replace(day=1)):
        at = datetime(month.year, month.month, 1, tzinfo=UTC)
        QuotaPeak.objects.create(client_key="acme", limit="all:60s", used=1, capacity=2, percent=50, month=month, at=at)
    assert remove_expired() == 1
    assert QuotaPeak.objects.get().month.year > 2020
