"""Reservations and settlements: from the counts in the store to rows by minute, hour and day, each exactly once."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from limits.models import (
    PolicyDenial,
    Progress,
    Settlement,
    SettlementDay,
    SettlementHour,
    SettlementTotal,
    Usage,
    Work,
)
from limits.monitoring import drain as module
from limits.monitoring import figures
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.monitoring.figures import ReservedCost
from limits.monitoring.retention import remove_expired
from limits.monitoring.rollups import roll_up
from limits.store.usage import UsageCounts
from tests.models import rows
from tests.monitoring.counting import (
    AT,
    MINUTE,
    Figures,
    count,
    count_settlements,
    denials,
    figures_of,
    settlements,
    usage,
)
from tests.monitoring.test_drain import Killed
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

HOUR = 60
DAY = 24 * HOUR
NOON = AT.replace(hour=12, minute=0)
NOON_MINUTE = MINUTE + round((NOON - AT).total_seconds()) // 60

ONE: Figures = (100, 2, 90, 30, 20, 5)
TWO: Figures = (200, 4, 180, 60, 40, 10)
THREE: Figures = (300, 6, 270, 90, 60, 15)


@pytest.fixture
def marks() -> None:
    """Everything before noon has been rolled up."""
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOON)


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def hours() -> dict[tuple[datetime, str], Figures]:
    return {(row.hour, row.client_key): figures_of(row) for row in SettlementHour.objects.all()}


def days() -> dict[str, Figures]:
    return {row.client_key: figures_of(row) for row in SettlementDay.objects.all()}


def totals() -> dict[str, Figures]:
    return {row.endpoint: figures_of(row) for row in SettlementTotal.objects.all()}


# -- the drain


def test_counts_of_settlements_become_one_row_with_a_column_for_each(platform: Platform) -> None:
    count_settlements(platform, "acme", (1_000, 3, 700, 400, 100, 40))
    drain()
    assert settlements() == {(AT, "acme", "search"): (1_000, 3, 700, 400, 100, 40)}
    assert platform.content() == {}


def test_a_settlement_does_not_change_the_cost_of_the_request(platform: Platform) -> None:
    """A reservation is counted as a request with the reserved cost."""
    count(platform, "acme", 1)
    count(platform, "acme", 499, kind="A")
    count_settlements(platform, "acme", (500, 0, 0, 0, 0, 0))
    drain()
    count_settlements(platform, "acme", (0, 1, 300, 200, 0, 0), minute=MINUTE + 1)
    drain()
    assert usage() == {("acme", "search", "admitted"): (1, 500)}
    assert Usage.objects.count() == 1
    assert settlements() == {
        (AT, "acme", "search"): (500, 0, 0, 0, 0, 0),
        (AT + timedelta(minutes=1), "acme", "search"): (0, 1, 300, 200, 0, 0),
    }


def test_settlements_without_requests_are_neither_requests_nor_denials(platform: Platform) -> None:
    count_settlements(platform, "acme", ONE)
    drain()
    assert not Usage.objects.exists()
    assert not PolicyDenial.objects.exists()


def test_requests_denials_and_settlements_of_one_minute(platform: Platform) -> None:
    count(platform, "acme", 2, kind="d")
    count(platform, "acme", 2, kind="d", policy="tight")
    count(platform, "acme", 3, kind="s", policy="trial")
    count_settlements(platform, "acme", ONE)
    count_settlements(platform, "acme", TWO, endpoint="")
    count_settlements(platform, "", THREE)
    drain()
    assert usage() == {("acme", "search", "denied"): (2, 2)}
    assert denials() == {("acme", "tight", "enforce"): 2, ("acme", "trial", "shadow"): 3}
    assert settlements() == {(AT, "acme", "search"): ONE, (AT, "acme", ""): TWO, (AT, "", "search"): THREE}
    assert {(row.client_name, row.endpoint_name) for row in Settlement.objects.all()} == {
        ("acme", "search"),
        ("acme", "(unknown)"),
        ("(other)", "search"),
    }


def test_later_counts_are_added_to_the_row_of_their_minute(platform: Platform) -> None:
    for each in (ONE, TWO):
        count_settlements(platform, "acme", each)
        drain()
    assert settlements() == {(AT, "acme", "search"): THREE}


def test_a_cost_of_0_is_a_valid_count(platform: Platform) -> None:
    """A reservation settled at cost 0."""
    for kind, amount in (("n", 1), ("t", 0), ("r", 50), ("x", 0), ("o", 0)):
        count(platform, "acme", amount, kind=kind)
    drain()
    assert settlements() == {(AT, "acme", "search"): (0, 1, 0, 50, 0, 0)}
    assert UsageCounts(platform.redis, platform.keys).damage_found() is None


@pytest.mark.parametrize(("kind", "amount", "policy"), [("t", -1, ""), ("o", 5, "tight"), ("T", 5, ""), ("V", -5, "")])
def test_counts_that_no_script_writes_are_omitted(platform: Platform, kind: str, amount: int, policy: str) -> None:
    count_settlements(platform, "acme", ONE)
    count(platform, "acme", amount, kind=kind, policy=policy, endpoint="orders")
    drain()
    assert settlements() == {(AT, "acme", "search"): ONE}
    found = UsageCounts(platform.redis, platform.keys).damage_found()
    assert found is not None
    assert sum(found.kinds.values()) == 1


@pytest.mark.parametrize("step", ["set_aside", "read", "finish"])
def test_a_drain_killed_after_any_step_counts_each_settlement_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    count_settlements(platform, "acme", ONE)
    original = getattr(UsageCounts, step)

    def step_and_die(*arguments: object) -> None:
        original(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(UsageCounts, step, step_and_die)
        with pytest.raises(Killed):
            drain()
    count_settlements(platform, "acme", TWO)
    drain()
    drain()
    assert settlements() == {(AT, "acme", "search"): THREE}
    assert totals() == {"search": THREE}


def test_a_failed_transaction_writes_nothing_and_loses_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(platform, "acme", 5)
    count_settlements(platform, "acme", ONE)
    with monkeypatch.context() as patch:
        patch.setitem(module._SQL.by_name, "add_settlement_totals", "SELECT 1 / 0")
        with pytest.raises(Exception, match="division by zero"), transaction.atomic():
            drain()
    assert (usage(), settlements(), totals()) == ({}, {}, {})
    drain()
    assert usage() == {("acme", "search", "admitted"): (5, 5)}
    assert settlements() == {(AT, "acme", "search"): ONE}
    assert totals() == {"search": ONE}


def test_totals_are_by_endpoint_over_all_clients_and_minutes(platform: Platform) -> None:
    count_settlements(platform, "acme", ONE)
    count_settlements(platform, "globex", ONE, minute=MINUTE + 1)
    count_settlements(platform, "acme", TWO, endpoint="orders")
    drain()
    count_settlements(platform, "globex", ONE)
    drain()
    assert totals() == {"search": THREE, "orders": TWO}


# -- rollups


@pytest.mark.usefixtures("marks")
def test_minutes_are_rolled_up_into_hours_and_days(platform: Platform) -> None:
    rows.default_plan("free")
    rows.client("acme")
    for client in ("acme", "stranger"):
        count_settlements(platform, client, ONE, minute=NOON_MINUTE)
        count_settlements(platform, client, TWO, minute=NOON_MINUTE + 59)
        count_settlements(platform, client, ONE, minute=NOON_MINUTE + HOUR)
    drain()
    roll_up(later(61))
    assert hours() == {(NOON, "acme"): THREE, (NOON, "stranger"): THREE}
    roll_up(later(4 * HOUR))
    assert hours()[later(60), "acme"] == ONE
    assert days() == {"acme": (400, 8, 360, 120, 80, 20), "": (400, 8, 360, 120, 80, 20)}
    assert {row.day for row in SettlementDay.objects.all()} == {NOON.replace(hour=0)}
    before = hours(), days()
    assert roll_up(later(9 * HOUR)) == 0
    assert (hours(), days()) == before


@pytest.mark.usefixtures("marks")
def test_late_counts_are_added_once_to_hours_and_days(platform: Platform) -> None:
    count_settlements(platform, "acme", ONE, minute=NOON_MINUTE)
    drain()
    roll_up(later(4 * HOUR))
    count_settlements(platform, "acme", TWO, minute=NOON_MINUTE)
    count_settlements(platform, "acme", ONE, minute=NOON_MINUTE + HOUR)
    drain()
    roll_up(later(9 * HOUR))
    assert hours() == {(NOON, "acme"): THREE, (later(60), "acme"): ONE}
    assert days() == {"": (400, 8, 360, 120, 80, 20)}


# -- retention and erasure


def create_rows(*ages: float) -> None:
    """Creates a row of every resolution for each age in days."""
    fields = dict(zip(("reserved", "settlements", "settled", "refunded", "debited", "overdrawn"), ONE, strict=True))
    for age in ages:
        moment = AT - timedelta(days=age)
        Settlement.objects.create(minute=moment, client_key="acme", endpoint="search", **fields)
        SettlementHour.objects.create(hour=moment, client_key="acme", endpoint="search", **fields)
        SettlementDay.objects.create(day=moment, client_key="acme", endpoint="search", **fields)


def test_rows_are_deleted_like_usage_of_their_resolution() -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT)
    create_rows(13.9, 14.1, 401, 731)
    assert remove_expired(AT) == 3 + 2 + 1
    assert [model.objects.count() for model in (Settlement, SettlementHour, SettlementDay)] == [1, 2, 3]


def test_rows_that_are_not_rolled_up_are_kept() -> None:
    create_rows(20, 70)
    Progress.note(Work.HOURS, AT - timedelta(days=21))
    Progress.note(Work.DAYS, AT - timedelta(days=80))
    remove_expired(AT)
    assert [model.objects.count() for model in (Settlement, SettlementHour, SettlementDay)] == [1, 2, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("marks")
def test_settlements_of_an_erased_client_stay_in_the_totals(platform: Platform) -> None:
    rows.default_plan("free")
    rows.client("acme")
    count_settlements(platform, "acme", ONE, minute=NOON_MINUTE)
    count_settlements(platform, "", TWO, minute=NOON_MINUTE)
    count_settlements(platform, "globex", ONE, minute=NOON_MINUTE)
    drain()
    roll_up(later(4 * HOUR))
    assert days() == {"acme": ONE, "": THREE}
    assert erase("acme").rows == 3
    assert settlements() == {(NOON, "", "search"): THREE, (NOON, "globex", "search"): ONE}
    assert hours() == {(NOON, ""): THREE, (NOON, "globex"): ONE}
    assert days() == {"": (400, 8, 360, 120, 80, 20)}


# -- figures for people


@pytest.mark.parametrize("added_up", [False, True])
def test_the_cost_of_reservations_from_hours_and_minutes(platform: Platform, added_up: bool) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOON - timedelta(days=3))
    rows.client("child", parent=rows.client("acme"))
    count_settlements(platform, "acme", ONE, minute=NOON_MINUTE + 30)
    count_settlements(platform, "child", ONE, minute=NOON_MINUTE - 20 * HOUR, endpoint="")
    count_settlements(platform, "globex", TWO, minute=NOON_MINUTE - 23 * HOUR)
    count_settlements(platform, "globex", THREE, minute=NOON_MINUTE - 23 * HOUR - 1)
    drain()
    now = later(30.5)
    if added_up:
        roll_up(now)
        assert SettlementHour.objects.exists()
    assert figures.reserved_cost(now) == ReservedCost(400, 8, 360, 120, 80, 20)
    assert figures.client_reserved_cost("acme", now) == ReservedCost(*TWO)
    assert figures.client_reserved_cost("acme", now, hours=20) == ReservedCost(*ONE)
    assert figures.client_reserved_cost("child", now, hours=20) is None
    assert figures.reserved_cost(later(-40 * HOUR)) is None
