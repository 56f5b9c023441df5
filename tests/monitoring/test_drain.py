"""Each count is written to the database exactly once, whenever a drain is killed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from limits.models import Usage, UsageParcel
from limits.monitoring import drain as module
from limits.monitoring.drain import drain
from limits.monitoring.figures import counted_until
from limits.store.usage import Parcel, UsageCounts
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import shard_of
from tests.monitoring.counting import AT, MINUTE, count, denials, usage
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Stands for kill -9."""


def test_counts_become_rows(platform: Platform) -> None:
    count(platform, "acme", 7)
    count(platform, "acme", 30, kind="A")
    count(platform, "acme", 2, kind="d")
    count(platform, "acme", 2, kind="d", policy="tight")
    count(platform, "acme", 3, kind="s", policy="trial")
    count(platform, "globex", 4, kind="b", endpoint="")
    count(platform, "vip", 5, kind="e")
    assert drain() == len({shard_of(client) for client in ("acme", "globex", "vip")})
    assert usage() == {
        ("acme", "search", "admitted"): (7, 37),
        ("acme", "search", "denied"): (2, 2),
        ("globex", "", "blocked"): (4, 4),
        ("vip", "search", "exempt"): (5, 5),
    }
    assert denials() == {("acme", "tight", "enforce"): 2, ("acme", "trial", "shadow"): 3}
    assert {row.minute for row in Usage.objects.all()} == {AT}


def test_later_counts_are_added_to_the_row_of_their_minute(platform: Platform) -> None:
    for amount in (1, 2):
        count(platform, "acme", amount)
        count(platform, "acme", amount, kind="d", policy="tight")
        drain()
    count(platform, "acme", minute=MINUTE + 1)
    drain()
    assert usage() == {("acme", "search", "admitted"): (4, 4)}
    assert denials() == {("acme", "tight", "enforce"): 3}
    assert Usage.objects.count() == 2


def test_requests_counted_during_the_drain_are_not_reported_as_drained(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are complete up to the time at which the counts were set aside."""
    count(platform, "acme")
    moments: list[datetime] = []
    set_aside = UsageCounts.set_aside

    def and_note(counts: UsageCounts) -> list[Parcel]:
        parcels = set_aside(counts)
        moments.append(timezone.now())
        return parcels

    monkeypatch.setattr(UsageCounts, "set_aside", and_note)
    drain()
    assert (counted_until() or timezone.now()) <= moments[0]


def test_the_drain_leaves_no_counts_in_the_store(platform: Platform) -> None:
    count(platform, "acme")
    drain()
    assert platform.content() == {}
    assert drain() == 0


def test_callers_counted_together_are_shown_as_other(platform: Platform) -> None:
    platform.redis.hincrby(platform.keys.usage[3], f"{MINUTE}\na\nsearch\n\n", 9)
    platform.redis.hincrby(platform.keys.usage[4], f"{MINUTE}\na\n\n\n", 1)
    drain()
    names = {(row.client_name, row.endpoint_name, row.requests) for row in Usage.objects.all()}
    assert names == {("(other)", "search", 9), ("(other)", "(unknown)", 1)}


@pytest.mark.parametrize("where", ["set_aside", "read", "finish"])
def test_a_drain_killed_after_any_step_is_repeated_without_double_counting(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    count(platform, "acme", 5)
    step = getattr(UsageCounts, where)

    def step_and_die(*arguments: object) -> None:
        step(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(UsageCounts, where, step_and_die)
        with pytest.raises(Killed):
            drain()
    count(platform, "acme", 2)
    drain()
    drain()
    assert usage() == {("acme", "search", "admitted"): (7, 7)}
    assert platform.content() == {}


def test_a_drain_killed_between_its_transaction_and_the_removal(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(platform, "acme", 5)

    def die(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(UsageCounts, "finish", die)
        with pytest.raises(Killed):
            drain()
    assert usage() == {("acme", "search", "admitted"): (5, 5)}
    count(platform, "acme", 2)
    assert drain() == 0
    assert drain() == 1
    assert usage() == {("acme", "search", "admitted"): (7, 7)}


def test_a_failed_transaction_writes_nothing_and_loses_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(platform, "acme", 5)
    count(platform, "acme", 5, kind="d", policy="tight")
    with monkeypatch.context() as patch:
        patch.setitem(module._SQL.by_name, "add_denials", "SELECT 1 / 0")
        with pytest.raises(Exception, match="division by zero"), transaction.atomic():
            drain()
    assert usage() == {}
    assert UsageParcel.objects.count() == 0
    drain()
    assert usage() == {("acme", "search", "admitted"): (5, 5)}
    assert denials() == {("acme", "tight", "enforce"): 5}


def test_without_the_store_the_drain_raises_an_error(platform: Platform) -> None:
    count(platform, "acme")
    platform.make_store_unavailable()
    with pytest.raises(StoreUnavailable):
        drain()
    platform.make_store_available()
    assert drain() == 1


def test_ids_are_deleted_a_week_after_the_drain_finished(platform: Platform) -> None:
    count(platform, "acme")
    drain()
    (parcel,) = UsageParcel.objects.all()
    assert parcel.finished_at
    UsageParcel.objects.create(id="unfinished")
    UsageParcel.objects.update(written_at=timezone.now() - timedelta(days=8))
    UsageParcel.objects.filter(id=parcel.id).update(finished_at=timezone.now() - timedelta(days=8))
    drain()
    assert [each.id for each in UsageParcel.objects.all()] == ["unfinished"]


@pytest.mark.django_db(transaction=True)
def test_concurrent_drains_count_once(platform: Platform) -> None:
    for client in range(2_000):
        count(platform, f"client {client}", 3)

    def run(number: int) -> None:
        try:
            drain()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    drain()
    assert set(usage().values()) == {(3, 3)}
    assert Usage.objects.count() == 2_000
