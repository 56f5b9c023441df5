"""The usage of a client by month, from days, hours and minutes."""

from datetime import UTC, date, datetime, timedelta

import pytest

from limits.models import Progress, Usage, UsageDay, Work
from limits.monitoring.rollups import roll_up
from limits.reports.months import MonthOfUsage, monthly_usage
from tests.models import rows

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 20, 12, 30, 20, tzinfo=UTC)


def requests(at: datetime, client: str, amount: int, *, outcome: str = "admitted", cost: int = 0) -> None:
    Usage.objects.create(
        minute=at, client_key=client, endpoint="search", outcome=outcome, requests=amount, cost=cost or amount
    )


@pytest.mark.parametrize("rolled_up", [False, True])
def test_twelve_months_of_a_client_and_of_those_below_it(rolled_up: bool) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, datetime(2025, 7, 1, tzinfo=UTC))
    acme = rows.client("acme", plan=rows.plan("pro"))
    rows.client("acme-key", parent=acme)
    rows.client("globex")
    requests(datetime(2025, 6, 30, 23, 59, tzinfo=UTC), "acme", 1_000)
    requests(datetime(2025, 7, 1, tzinfo=UTC), "acme", 1)
    requests(datetime(2026, 5, 31, 23, 59, tzinfo=UTC), "acme", 2, cost=20)
    requests(datetime(2026, 6, 1, tzinfo=UTC), "acme-key", 4)
    requests(datetime(2026, 6, 20, 12, 30, tzinfo=UTC), "acme", 8)
    requests(datetime(2026, 6, 20, 12, 30, tzinfo=UTC), "acme", 16, outcome="denied")
    requests(datetime(2026, 6, 20, 12, 30, tzinfo=UTC), "globex", 1_000)
    if rolled_up:
        roll_up(NOW - timedelta(hours=3))
        assert UsageDay.objects.count() == 3
    found = monthly_usage("acme", NOW)
    assert len(found) == 12
    assert [month for month in found if month.requests] == [
        MonthOfUsage(date(2025, 7, 1), 1, 1, 0),
        MonthOfUsage(date(2026, 5, 1), 2, 20, 0),
        MonthOfUsage(date(2026, 6, 1), 28, 12, 16),
    ]
