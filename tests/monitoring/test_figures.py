"""Figures for people, from minutes that have been rolled up into hours and from those that have not."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from limits.models import Alert, Progress, QuotaThreshold, Usage, UsageHour, Work
from limits.monitoring import figures
from limits.monitoring.figures import HourOfRequests, Throttled
from limits.monitoring.rollups import TimeRange, roll_up
from limits.monitoring.statements import Statements
from tests.models import rows
from tests.monitoring.counting import AT
from tests.support.locks import somebody_waits
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

NOON = AT.replace(hour=12, minute=0)
NOW = NOON + timedelta(minutes=30, seconds=20)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def requests(
    ago: timedelta, client: str = "acme", amount: int = 1, *, outcome: str = "admitted", endpoint: str = "search"
) -> None:
    moment = (NOW - ago).replace(second=0)
    Usage.objects.create(
        minute=moment, client_key=client, endpoint=endpoint, outcome=outcome, requests=amount, cost=amount
    )


@pytest.fixture(params=["nothing is added up", "all that is settled is"])
def added_up(request: pytest.FixtureRequest) -> bool:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOON - timedelta(days=3))
    return str(request.param).startswith("all")


def add_up(added_up: bool) -> None:
    if added_up:
        roll_up(NOW)
        assert UsageHour.objects.exists()


def test_requests_by_hour_include_hours_without_requests(added_up: bool) -> None:
    requests(timedelta(0), amount=3)
    requests(5 * HOUR, amount=7, outcome="denied")
    requests(5 * HOUR + 10 * MINUTE, amount=2, outcome="exempt")
    requests(23 * HOUR + 30 * MINUTE, "globex", amount=1, outcome="blocked")
    requests(23 * HOUR + 31 * MINUTE, amount=100)
    add_up(added_up)
    found = figures.requests_by_hour(NOW)
    assert [each.hour for each in found] == [NOON - hours * HOUR for hours in range(23, -1, -1)]
    assert {each.hour: each for each in found if each.requests} == {
        NOON: HourOfRequests(NOON, admitted=3),
        NOON - 5 * HOUR: HourOfRequests(NOON - 5 * HOUR, denied=7, exempt=2),
        NOON - 23 * HOUR: HourOfRequests(NOON - 23 * HOUR, blocked=1),
    }
    assert [each.requests for each in figures.client_by_hour("globex", NOW) if each.requests] == [1]


def test_most_denied_clients_and_endpoints(added_up: bool) -> None:
    requests(HOUR, "acme", 9, outcome="denied")
    requests(2 * HOUR, "acme", 1)
    requests(HOUR, "globex", 4, outcome="denied", endpoint="orders")
    requests(MINUTE, "globex", 6, outcome="denied", endpoint="orders")
    requests(HOUR, "", 1, outcome="denied", endpoint="")
    requests(HOUR, "good", 500)
    requests(30 * HOUR, "old", 500, outcome="denied")
    add_up(added_up)
    assert figures.most_throttled_clients(NOW) == [
        Throttled("globex", 10, 10),
        Throttled("acme", 9, 10),
        Throttled("(other)", 1, 1),
    ]
    assert figures.most_throttled_clients(NOW)[1].ratio == 0.9
    assert figures.most_throttled_clients(NOW, count=1) == [Throttled("globex", 10, 10)]
    assert figures.most_throttled_endpoints(NOW) == [
        Throttled("orders", 10, 10),
        Throttled("search", 9, 510),
        Throttled("(unknown)", 1, 1),
    ]


def test_unknown_endpoints_and_callers_counted_together(added_up: bool) -> None:
    requests(HOUR, "acme", 3, endpoint="")
    requests(MINUTE, "acme", 1, endpoint="")
    requests(HOUR, "", 5, endpoint="")
    requests(HOUR, "", 7)
    requests(HOUR, "globex", 50)
    add_up(added_up)
    unknown = figures.unknown_endpoints(NOW)
    assert (unknown.requests, unknown.clients) == (9, [("(other)", 5), ("acme", 4)])
    assert figures.requests_without_client(NOW) == 12


def test_without_rows_the_figures_are_zero() -> None:
    assert sum(each.requests for each in figures.requests_by_hour(NOW)) == 0
    assert figures.most_throttled_clients(NOW) == []
    assert figures.unknown_endpoints(NOW).requests == figures.requests_without_client(NOW) == 0


def test_clients_close_to_a_limit() -> None:
    for client, policy, mark, ago in (
        ("acme", "tight", 80, 5),
        ("acme", "tight", 90, 9),
        ("acme", "wide", 50, 1),
        ("globex", "tight", 100, 59),
        ("old", "tight", 100, 61),
    ):
        QuotaThreshold.objects.create(
            minute=(NOW - ago * MINUTE), client_key=client, endpoint="", policy=policy, mark=mark, requests=2
        )
    found = [(each.client, each.policy, each.mark) for each in figures.close_to_a_limit(NOW)]
    assert found == [("globex", "tight", 100), ("acme", "tight", 90), ("acme", "wide", 50)]
    assert figures.close_to_a_limit(NOW)[1].last == NOW - 5 * MINUTE


def test_open_alerts_and_the_time_of_the_last_drain() -> None:
    rule = rows.alert_rule(group_by="client")
    for group, resolved in (("acme", None), ("globex", NOW)):
        Alert.objects.create(rule=rule, group=group, opened_at=NOW, resolved_at=resolved, highest=60)
    assert [alert.group for alert in figures.open_alerts()] == ["acme"]
    Progress.note(Work.DRAIN, NOW)
    assert figures.counted_until() == NOW


def test_a_time_range_contains_each_minute_once_at_any_progress_of_the_rollup() -> None:
    chance = random.Random(3)
    begin = NOON - 6 * HOUR
    for number in range(6 * 60):
        requests(NOW - (begin + number * MINUTE), amount=number + 1)
    Progress.note(Work.HOURS, begin)
    for mark in [begin + chance.randrange(7 * 60) * MINUTE for _ in range(12)]:
        roll_up(mark + MINUTE)
        for _ in range(8):
            first, last = sorted(chance.randrange(7 * 60) for _ in range(2))
            assert total(begin + first * MINUTE, begin + last * MINUTE) == wanted(first, last)


@pytest.mark.django_db(transaction=True)
def test_a_rollup_between_reading_mark_and_rows_causes_no_double_count() -> None:
    """The hour in progress is read from the hours table up to the mark, and the rest of it from minutes."""
    Progress.note(Work.HOURS, NOON)
    requests(25 * MINUTE, amount=1)
    roll_up(NOON + 10 * MINUTE)
    requests(15 * MINUTE, amount=5)

    def roll_up_and_close() -> int:
        try:
            return roll_up(NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as executor:
        with transaction.atomic():
            period = TimeRange.between(NOON, NOON + HOUR)
            rolling_up = executor.submit(roll_up_and_close)
            wait_until(lambda: rolling_up.done() or somebody_waits())
            assert sum_of(period) == 6
        assert rolling_up.result() > 0
    assert total(NOON, NOON + HOUR) == 6


@pytest.mark.django_db(transaction=True)
def test_a_time_range_requires_a_transaction() -> None:
    with pytest.raises(TransactionManagementError, match="in one transaction"):
        TimeRange.between(NOON, NOON + HOUR)


@transaction.atomic
def total(begin: datetime, end: datetime) -> int:
    return sum_of(TimeRange.between(begin, end))


def sum_of(period: TimeRange) -> int:
    return sum(requests for *_, requests in Statements("figures").rows("requests_by_hour", **period.parameters()))


def wanted(first: int, last: int) -> int:
    counts = Counter({number: number + 1 for number in range(6 * 60)})
    return sum(counts[number] for number in range(first, last))
