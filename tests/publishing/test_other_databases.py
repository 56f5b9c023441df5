"""A store with rules of another database, or of a later state of this one."""

from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from limits.models import Client, ClientChange, PolicyLimit, Publication
from limits.models import Platform as PlatformRow
from limits.publishing import clients, rules
from limits.publishing.reconciler import reconcile
from limits.store.clients import as_root
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.rules import Plan
from ratelimit_enforcer.domain.ruleset import Ruleset, Version, digest_of
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

HINT = (
    "Redis has version {} of the ruleset, which this database did not publish. "
    "To replace it with the rules of this database, run: python manage.py publish_ruleset --take-over"
)


def publish(quota: int) -> None:
    PolicyLimit.objects.update(quota=quota)
    rules.record("test")
    assert rules.deliver().live


@pytest.fixture
def restored(shop: Platform) -> Platform:
    """The store is at version 3; the database was restored from a backup that ends with version 1."""
    publish(2)
    publish(3)
    Client.objects.update(status="blocked")
    rows.client("newcomer")
    clients.deliver()
    Publication.objects.filter(sequence__gt=1).delete()
    PolicyLimit.objects.update(quota=100)
    Client.objects.filter(key="newcomer").delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('limits_client_revision', 1)")
    Client.objects.update(status="active")
    ClientChange.objects.all().delete()
    return shop


@pytest.fixture
def foreign(platform: Platform) -> Platform:
    """The store has version 9 and a client of another database; this database has a plan and a client."""
    data = Ruleset(plans=(Plan("theirs", "Theirs"),), default_plan="theirs").to_bytes()
    platform.rules.publish(Version("theirs", 9, digest_of(data)), data, lambda current: True)
    assert platform.clients.load_all([as_root(ClientRecord("their-client", 7))])
    rows.default_plan("ours")
    rows.client("acme")
    rules.record("test")
    return platform


@pytest.fixture(params=["restored", "foreign"])
def unknown(request: pytest.FixtureRequest) -> tuple[Platform, int]:
    """A platform whose store has rules that the database did not publish, and their version."""
    return request.getfixturevalue(request.param), {"restored": 3, "foreign": 9}[request.param]


ATTEMPTS: dict[str, Callable[[], object]] = {
    "rules": rules.deliver,
    "clients": clients.deliver,
    "some clients": lambda: clients.deliver(["late"]),
    "the reconciler": reconcile,
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_unknown_rules_are_not_overwritten(attempt: Callable[[], object], unknown: tuple[Platform, int]) -> None:
    platform, version = unknown
    PolicyLimit.objects.update(quota=4)
    rows.client("late")
    rules.record("test")
    before = platform.content()
    assert attempt().problem == HINT.format(version)
    assert platform.content() == before


def test_rejected_changes_and_publications_are_kept(unknown: tuple[Platform, int]) -> None:
    rows.client("late")
    reconcile()
    assert ClientChange.objects.filter(client_key="late").exists()
    assert set(Publication.objects.exclude(state="live").values_list("state", flat=True)) <= {"pending"}


def test_publishing_from_a_restored_backup_is_rejected_repeatedly(restored: Platform) -> None:
    for quota in range(10, 15):
        PolicyLimit.objects.update(quota=quota)
        rules.record("test")
        assert rules.deliver().problem == HINT.format(3)
    assert restored.quotas == {"all": 3}


def test_a_take_over_has_a_new_epoch_and_a_higher_version(unknown: tuple[Platform, int]) -> None:
    platform, version = unknown
    theirs, ours = platform.version.epoch, PlatformRow.load().epoch
    assert rules.take_over("Ada", reason="Backup of Monday.").version == version + 1
    assert platform.sequence == version + 1
    assert platform.version.epoch not in (theirs, ours)
    assert platform.version.epoch == PlatformRow.load().epoch


def test_a_take_over_removes_all_previous_clients(unknown: tuple[Platform, int]) -> None:
    platform, _ = unknown
    rules.take_over("test")
    assert not platform.is_complete
    assert [platform.client(key) for key in ("acme", "newcomer", "their-client")] == [None] * 3


def test_the_command_takes_over_and_loads_all_clients(unknown: tuple[Platform, int]) -> None:
    platform, version = unknown
    call_command("publish_ruleset", take_over=True)
    assert platform.sequence == version + 1
    assert platform.is_complete
    assert platform.client("acme").revision == Client.objects.get().revision
    assert [platform.client(key) for key in ("newcomer", "their-client")] == [None, None]


def test_publishing_works_after_a_take_over(restored: Platform) -> None:
    call_command("publish_ruleset", take_over=True)
    publish(55)
    assert (restored.sequence, restored.quotas) == (5, {"all": 55})
    Client.objects.update(status="exempt")
    assert clients.deliver().live
    assert restored.client("acme").status == "exempt"


def test_the_reconciler_loads_the_clients_after_an_interrupted_take_over(restored: Platform) -> None:
    rules.take_over("test")
    assert reconcile().clients_loaded
    assert restored.is_complete
    assert restored.client("acme").status == "active"


def test_a_take_over_that_loses_the_store_asks_to_repeat_it(
    restored: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = rules.record_take_over

    def record_and_lose_the_store(*arguments: object) -> Publication:
        restored.make_store_unavailable()
        return record(*arguments)

    monkeypatch.setattr(rules, "record_take_over", record_and_lose_the_store)
    delivery = rules.take_over("test")
    assert not delivery.live
    assert "publish_ruleset --take-over" in delivery.problem
    restored.make_store_available()
    monkeypatch.undo()
    assert reconcile().problem == HINT.format(3)
    assert rules.take_over("test").live


def test_namespaces_isolate_two_platforms_on_one_redis(shop: Platform, settings: Settings) -> None:
    before = shop.content()
    second = Platform(settings, shop.url)
    reconcile()
    assert second.quotas == {"all": 100}
    publish(7)
    second.empty()
    assert reconcile().published
    assert second.quotas == {"all": 7}
    assert shop.content() == before
    second.empty()
    assert shop.content() == before
    second.redis.close()
