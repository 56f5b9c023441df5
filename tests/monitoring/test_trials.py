"""The clients in the share of a trial, compared with all others."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from limits.models import Progress, Usage, UsageHour, Work
from limits.monitoring.rollups import roll_up
from limits.monitoring.trials import Comparison, GroupOfClients, compare, compare_by_hour
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.variants import Share
from tests.models import rows
from tests.monitoring.counting import AT

pytestmark = pytest.mark.django_db

NOON = AT.replace(hour=12, minute=0)
NOW = NOON + timedelta(minutes=30, seconds=20)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TAGGED = Share("Pilot", "salt", tag="beta")


@pytest.fixture(autouse=True)
def marks() -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOON - 10 * DAY)


def requests(
    client: str, amount: int, outcome: str = "admitted", *, ago: timedelta = MINUTE, on: str = "search"
) -> None:
    minute = (NOW - ago).replace(second=0)
    Usage.objects.create(minute=minute, client_key=client, endpoint=on, outcome=outcome, requests=amount, cost=amount)


def compared(share: Share, since: timedelta = 5 * HOUR, within: timedelta = 7 * DAY) -> Comparison:
    found = compare(share, NOW - since, within, NOW)
    assert found is not None
    return found


def figures(group: GroupOfClients) -> tuple[int, int, int, int]:
    return group.requests, group.denied, group.clients, group.clients_denied


def test_both_groups_with_their_requests_denials_and_clients() -> None:
    rows.client("a", tags=["beta"])
    rows.client("b", tags=["beta"])
    rows.client("c", tags=["other"])
    requests("a", 7)
    requests("a", 3, "denied")
    requests("b", 10, on="orders")
    requests("c", 4, "denied")
    requests("unregistered", 6)
    found = compared(TAGGED)
    assert figures(found.shared) == (20, 3, 2, 1)
    assert figures(found.others) == (10, 4, 2, 1)
    assert (found.shared.denial_rate, found.others.denial_rate) == (0.15, 0.4)


def test_descendants_belong_to_the_group_of_their_root() -> None:
    root = rows.client("root", tags=["beta"])
    unit = rows.client("unit", parent=root)
    team = rows.client("team", parent=unit)
    rows.client("key", parent=team)
    rows.client("stranger", tags=["beta"], parent=rows.client("other"))
    requests("key", 5)
    requests("stranger", 7)
    found = compared(TAGGED)
    assert (found.shared.requests, found.others.requests) == (5, 7)


def test_requests_of_unnamed_callers_belong_to_no_group() -> None:
    requests("", 9)
    requests("acme", 1)
    found = compared(TAGGED)
    assert (found.shared.requests, found.others.requests, found.nameless) == (0, 1, 9)


def test_requests_that_no_rules_decide_are_left_out() -> None:
    requests("acme", 9, "blocked")
    requests("globex", 9, "exempt")
    assert figures(compared(TAGGED).others) == (0, 0, 0, 0)


def test_the_period_begins_with_the_first_whole_minute_of_the_share() -> None:
    requests("early", 1, ago=10 * MINUTE)
    requests("late", 1, ago=9 * MINUTE)
    found = compared(TAGGED, since=10 * MINUTE)
    assert found.begin == NOON + 21 * MINUTE
    assert found.others.requests == 1
    assert compare(TAGGED, NOW, now=NOW) is None
    requests("old", 1, ago=8 * DAY)
    assert compared(TAGGED, since=9 * DAY).others.requests == 2


def test_hours_of_both_groups() -> None:
    rows.client("a", tags=["beta"])
    requests("a", 5, ago=2 * HOUR)
    requests("a", 5, "denied", ago=2 * HOUR + 59 * MINUTE)
    requests("b", 1)
    requests("", 5)
    shared, others = compare_by_hour(TAGGED, NOW - 3 * HOUR, DAY, NOW)
    hours = [NOON - hours * HOUR for hours in (3, 2, 1, 0)]
    assert shared == list(zip(hours, (5, 5, 0, 0), (5, 0, 0, 0), strict=True))
    assert others == list(zip(hours, (0, 0, 0, 1), (0, 0, 0, 0), strict=True))


@pytest.mark.parametrize("added_up", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_random_usage_is_counted_once_whether_or_not_it_is_added_up(seed: int, added_up: bool) -> None:
    chance = random.Random(seed)
    share = Share("Pilot", str(seed), percent=chance.randint(1, 99))
    sent: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    denied: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for number in range(150):
        client, amount = f"client-{chance.randrange(40)}", chance.randint(1, 9)
        outcome, ago = chance.choice(["admitted", "denied"]), chance.randrange(6 * 60)
        requests(client, amount, outcome, ago=ago * MINUTE, on=f"endpoint-{number}")
        if ago < 5 * 60:
            group = share.includes(ClientRecord(client))
            sent[group][client] += amount
            denied[group][client] += amount if outcome == "denied" else 0
    if added_up:
        roll_up(NOW)
        assert UsageHour.objects.exists()
    found, by_hour = compared(share), compare_by_hour(share, NOW - 5 * HOUR, DAY, NOW)
    for group, result, hours in zip((True, False), (found.shared, found.others), by_hour, strict=True):
        expected = (sent[group].total(), denied[group].total(), len(sent[group]), len(+denied[group]))
        assert figures(result) == expected
        assert (sum(hour[1] for hour in hours), sum(hour[2] for hour in hours)) == expected[:2]
