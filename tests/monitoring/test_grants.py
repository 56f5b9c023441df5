"""The ledger of grants: each counted unit is written exactly once, and the store never falls behind the ledger."""

from datetime import UTC, datetime

import pytest

from limits.models import Client, Grant, GrantTotal, GrantUse
from limits.monitoring import drain as module
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.publishing import clients
from ratelimit_enforcer.store.keys import shard_of
from tests.models import rows
from tests.monitoring.counting import MINUTE, count
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

HOUR = datetime.fromtimestamp(MINUTE * 60, UTC).replace(minute=0)


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture
def grant(platform: Platform) -> Grant:
    row = rows.grant(rows.client(), rows.monthly_policy(), 10_000)
    clients.deliver()
    return row


def consume(platform: Platform, row: Grant, units: int, *, returned: bool = False, minute: int = MINUTE) -> None:
    """Consumes or returns units as the script of a check does: in the client's hash, and in the counts."""
    platform.redis.hincrby(platform.keys.grants(shard_of("acme"), "acme"), f"{row.pk}{'cr'[returned]}", units)
    count(platform, "acme", units, kind=f"{'gG'[returned]}{row.pk}", policy="monthly", minute=minute)


def stored(platform: Platform, shard: int = -1) -> dict[str, int]:
    key = platform.keys.grants(shard_of("acme") if shard < 0 else shard, "acme")
    return {name.decode(): int(value) for name, value in platform.redis.hgetall(key).items()}


def ledger() -> dict[datetime, tuple[int, int]]:
    return {row.hour: (row.consumed, row.returned) for row in GrantUse.objects.all()}


def test_counted_units_are_added_to_the_ledger_and_its_sum(platform: Platform, grant: Grant) -> None:
    consume(platform, grant, 30)
    consume(platform, grant, 10, returned=True)
    drain()
    consume(platform, grant, 5)
    consume(platform, grant, 7, minute=MINUTE + 60)
    drain()
    next_hour = HOUR.replace(hour=HOUR.hour + 1)
    assert ledger() == {HOUR: (35, 10), next_hour: (7, 0)}
    assert (grant.figures.consumed, grant.figures.returned, grant.figures.used) == (42, 10, 32)


@pytest.mark.parametrize("step", ["write", "raise_grants", "finish"])
def test_a_drain_that_is_killed_is_exact(
    step: str, platform: Platform, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    consume(platform, grant, 30)

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        owner = module.UsageCounts if step == "finish" else module
        patched.setattr(owner, step, killed)
        with pytest.raises(Killed):
            drain()
    consume(platform, grant, 3)
    for _ in range(3):
        drain()
    assert ledger() == {HOUR: (33, 0)}
    assert grant.figures.used == 33
    assert stored(platform) == {f"{grant.pk}c": 33, f"{grant.pk}r": 0}


def test_a_store_restored_to_an_older_state_is_raised_by_the_next_drain(platform: Platform, grant: Grant) -> None:
    consume(platform, grant, 500)
    drain()
    platform.redis.hset(platform.keys.grants(shard_of("acme"), "acme"), f"{grant.pk}c", 100)
    consume(platform, grant, 1)
    drain()
    assert stored(platform)[f"{grant.pk}c"] == 501


def test_units_counted_in_an_earlier_shard_reach_the_new_one(platform: Platform, grant: Grant) -> None:
    organisation = rows.client("organisation")
    Client.objects.filter(key="acme").update(parent=organisation)
    clients.deliver()
    consume(platform, grant, 12)
    drain()
    assert stored(platform, shard_of("organisation"))[f"{grant.pk}c"] == 12


def test_a_grant_deleted_meanwhile_does_not_stop_the_drain(platform: Platform, grant: Grant) -> None:
    other = rows.grant(Client.objects.get(), grant.policy, starts_at=datetime(2026, 1, 1, tzinfo=UTC))
    consume(platform, grant, 30)
    consume(platform, other, 4)
    count(platform, "acme", 1, kind=f"g{2**63}", policy="monthly")
    count(platform, "acme", 9)
    grant.delete()
    assert drain()
    assert list(GrantTotal.objects.values_list("grant_id", "consumed")) == [(other.pk, 4)]


def test_an_erased_client_leaves_nothing_of_its_grants(platform: Platform, grant: Grant) -> None:
    consume(platform, grant, 30)
    erase("acme")
    assert not GrantUse.objects.exists()
    assert not Grant.history.exists()
    assert stored(platform) == {}
