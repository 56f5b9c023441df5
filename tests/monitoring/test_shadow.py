"""What a policy in shadow mode would have denied: by day and by client, from days, hours and minutes."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from limits.models import PolicyDenial, PolicyDenialDay, PolicyDenialHour, Progress, Usage, Work
from limits.monitoring import shadow
from limits.monitoring.retention import remove_expired
from limits.monitoring.rollups import roll_up
from limits.monitoring.shadow import Between, Day, Report
from tests.models import rows

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 21, 14, 30, 20, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
REPORT = Report("search", "search", TODAY - 6 * DAY, TODAY + DAY)


def would_deny(
    moment: datetime,
    client: str = "acme",
    requests: int = 1,
    *,
    policy: str = "search",
    endpoint: str = "search",
    mode: str = "shadow",
) -> None:
    counted = {"minute": moment.replace(second=0), "client_key": client, "endpoint": endpoint, "requests": requests}
    PolicyDenial.objects.create(**counted, policy=policy, mode=mode)


def request(moment: datetime, client: str = "acme", requests: int = 1, endpoint: str = "search") -> None:
    counted = {"minute": moment.replace(second=0), "client_key": client, "endpoint": endpoint, "requests": requests}
    Usage.objects.create(**counted, outcome="admitted", cost=requests)


@pytest.fixture(autouse=True)
def kept(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_MINUTES": 2, "KEEP_HOURS": 60}


@pytest.fixture(autouse=True)
def nothing_is_added_up(db: None) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, TODAY - 400 * DAY)


@pytest.fixture(params=["nothing is added up", "all that is settled is", "only the newest minutes are kept"])
def add_up(request: pytest.FixtureRequest, kept: None, settings: Settings) -> Callable[[], None]:
    """A function that brings the rows into hours and days, and removes old ones."""

    def add_up() -> None:
        if request.param != "nothing is added up":
            roll_up(NOW)
            assert PolicyDenialHour.objects.exists()
        if request.param == "only the newest minutes are kept":
            settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_HOURS": 4}
            assert remove_expired(NOW)

    return add_up


def test_days_without_requests_are_included(add_up: Callable[[], None]) -> None:
    rows.client("acme")
    would_deny(TODAY - 6 * DAY, requests=3)
    would_deny(TODAY - 2 * DAY + HOUR, requests=4)
    would_deny(TODAY - 2 * DAY + 9 * HOUR, requests=5)
    would_deny(TODAY - 2 * DAY, "globex")
    would_deny(NOW, "globex", 7)
    for other in ({"policy": "orders"}, {"mode": "enforce"}):
        would_deny(TODAY - DAY, **other)
    would_deny(TODAY - 7 * DAY, requests=100)
    add_up()
    found = {day.begin: day for day in shadow.by_day(REPORT, NOW)}
    assert list(found) == [TODAY - days * DAY for days in range(6, -1, -1)]
    assert [day for day in found.values() if day.requests] == [
        Day(TODAY - 6 * DAY, requests=3),
        Day(TODAY - 2 * DAY, requests=10),
        Day(TODAY, requests=7),
    ]


def test_clients_are_sorted_by_requests_and_counted(add_up: Callable[[], None]) -> None:
    for key in ("acme", "globex"):
        rows.client(key)
    for moment, client, amount in (
        (TODAY - 6 * DAY, "acme", 2),
        (NOW, "acme", 1),
        (TODAY - 3 * DAY, "globex", 9),
        (NOW, "", 3),
    ):
        would_deny(moment, client, amount)
        request(moment, client, 10 * amount)
        request(moment, client, 1_000, endpoint="orders")
    request(TODAY - 7 * DAY, requests=5_000)
    add_up()
    found = shadow.clients(REPORT, now=NOW)
    assert found.total == 3
    counted = [(each.client_name, each.would_deny, each.requests) for each in found.rows]
    assert counted == [("globex", 9, 90), ("(other)", 3, 30), ("acme", 3, 30)]
    second = shadow.clients(REPORT, count=1, skipped=1, now=NOW)
    assert ([each.client for each in second.rows], second.total) == ([""], 3)
    beginning = shadow.clients(REPORT, "ac", now=NOW)
    assert ([each.client for each in beginning.rows], beginning.total) == (["acme"], 1)
    assert list(shadow.every_client(REPORT, now=NOW)) == found.rows
    assert list(shadow.every_client(REPORT, "glob", now=NOW)) == [found.rows[0]]
    everywhere = Report("search", "", REPORT.begin, REPORT.end)
    assert [each.requests for each in shadow.clients(everywhere, now=NOW).rows] == [1_090, 1_030, 2_030]


def test_requests_on_an_endpoint_that_the_policy_had_before_are_included() -> None:
    would_deny(NOW, requests=2, endpoint="old")
    request(NOW, requests=5, endpoint="old")
    request(NOW, requests=3)
    request(NOW, requests=100, endpoint="orders")
    assert [each.requests for each in shadow.clients(REPORT, now=NOW).rows] == [8]


def times(moment: datetime, client: str = "acme") -> tuple[Between, Between]:
    """Between which times the first and the last request of the client was made, if one was at ``moment``."""
    would_deny(moment, client)
    roll_up(NOW)
    remove_expired(NOW)
    report = Report("search", "search", TODAY - 100 * DAY, TODAY + DAY)
    (found,) = shadow.clients(report, now=NOW).rows
    return found.first, found.last


@pytest.mark.parametrize(
    ("moment", "begin", "length"),
    [
        (NOW, NOW.replace(second=0), MINUTE),
        (NOW - DAY, NOW.replace(second=0) - DAY, MINUTE),
        (NOW - 3 * DAY, NOW.replace(minute=0, second=0) - 3 * DAY, HOUR),
        (NOW - 70 * DAY, TODAY - 70 * DAY, DAY),
    ],
)
def test_times_are_as_precise_as_the_rows_that_are_kept(moment: datetime, begin: datetime, length: timedelta) -> None:
    rows.client("acme")
    assert times(moment) == (Between(begin, begin + length), Between(begin, begin + length))


def test_counts_of_the_first_minute_of_an_hour_may_be_of_the_whole_hour() -> None:
    """While no drain is running, a shard with many counts counts by the hour."""
    hour = NOW.replace(minute=0, second=0)
    assert times(hour) == (Between(hour, hour + HOUR), Between(hour, hour + HOUR))


def test_a_later_minute_bounds_the_first_request_of_a_whole_hour() -> None:
    hour = NOW.replace(minute=0, second=0) - 5 * HOUR
    would_deny(hour + 20 * MINUTE)
    assert times(hour) == (Between(hour, hour + 21 * MINUTE), Between(hour + 20 * MINUTE, hour + HOUR))


def test_sums_and_times_are_right_at_any_progress_of_the_rollup() -> None:
    """Every count is in the report once, and the times contain the true ones."""
    chance = random.Random(7)
    moments: dict[str, list[datetime]] = {f"client-{number}": [] for number in range(5)}
    wanted: Counter[str] = Counter()
    for ago in chance.sample(range(6 * 24 * 60), 300):
        client = chance.choice(list(moments))
        moments[client].append(NOW.replace(second=0) - ago * MINUTE)
        wanted[client] += ago
        would_deny(moments[client][-1], client, ago)
    for client in moments:
        rows.client(client)
    for ago in sorted(chance.sample(range(6 * 24 * 60), 6), reverse=True):
        roll_up(NOW - ago * MINUTE)
        found = {each.client: each for each in shadow.clients(REPORT, now=NOW).rows}
        assert {client: each.would_deny for client, each in found.items()} == wanted
        assert sum(day.requests for day in shadow.by_day(REPORT, NOW)) == wanted.total()
        for client, each in found.items():
            assert each.first.begin <= min(moments[client]) < each.first.end
            assert each.last.begin <= max(moments[client]) < each.last.end
    assert PolicyDenialDay.objects.exists()
