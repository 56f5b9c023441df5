"""Delivery of clients: each change is delivered separately, and the newest record wins."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from limits.models import Client, ClientChange, OverrideLimit
from limits.publishing import clients
from limits.store.clients import as_root
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.dates import microseconds
from ratelimit_enforcer.domain.limit import Limit
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def test_a_delivered_change_is_in_the_store_and_removed_from_the_outbox(shop: Platform) -> None:
    row = rows.client("other", plan=rows.plan("pro"), status="exempt")
    assert clients.deliver().live
    assert shop.client("other") == ClientRecord("other", row.revision, plan="pro", status="exempt")
    assert not ClientChange.objects.exists()


def test_a_client_without_a_plan_has_none_in_its_record(shop: Platform) -> None:
    assert shop.client("acme").plan is None


def test_only_the_given_clients_are_delivered(shop: Platform) -> None:
    rows.client("one")
    rows.client("two")
    assert clients.deliver(["one"]).live
    assert shop.client("one")
    assert shop.client("two") is None
    assert [change.client_key for change in ClientChange.objects.all()] == ["two"]


def test_several_changes_of_one_client_become_one_record(shop: Platform) -> None:
    for name in ("a", "b", "c"):
        Client.objects.update(name=name)
    clients.deliver()
    assert shop.client("acme").revision == Client.objects.get().revision


def test_a_deleted_client_leaves_a_tombstone(shop: Platform) -> None:
    before = shop.client("acme").revision
    Client.objects.all().delete()
    clients.deliver()
    tombstone = shop.client("acme")
    assert tombstone.deleted
    assert tombstone.revision > before


def test_a_recreated_client_replaces_its_tombstone(shop: Platform) -> None:
    Client.objects.all().delete()
    clients.deliver()
    rows.client("acme", status="blocked")
    clients.deliver()
    assert shop.client("acme").status == "blocked"


def test_the_newest_record_wins_regardless_of_the_order(shop: Platform) -> None:
    late = shop.client("acme")
    Client.objects.update(status="blocked")
    clients.deliver()
    assert shop.clients.put([as_root(late)]) == 0
    assert shop.client("acme").status == "blocked"


def test_a_repeated_delivery_changes_nothing(shop: Platform) -> None:
    Client.objects.update(status="blocked")
    waiting = list(ClientChange.objects.all())
    clients.deliver()
    delivered = shop.client("acme")
    ClientChange.objects.bulk_create(waiting)
    assert clients.deliver().live
    assert shop.client("acme") == delivered


def test_the_record_contains_overrides(shop: Platform) -> None:
    acme, now = Client.objects.get(), timezone.now()
    override = rows.override(acme, rows.policy("search"), starts_at=now, ends_at=now + timedelta(days=1))
    rows.override_limit(override, quota=7, position=1)
    rows.override_limit(override, quota=9, window=1, algorithm="token_bucket", burst=20)
    clients.deliver()
    span = (microseconds(now), microseconds(now + timedelta(days=1)))
    limits = (Limit(9, 1, "token_bucket", 20), Limit(7, 60))
    assert shop.client("acme").overrides == (Override("search", limits, *span),)


def test_a_changed_override_limit_changes_the_record(shop: Platform) -> None:
    rows.override_limit(rows.override(Client.objects.get(), rows.policy("search")))
    clients.deliver()
    OverrideLimit.objects.update(quota=3)
    clients.deliver()
    assert shop.client("acme").overrides[0].limits == (Limit(3, 60),)


def test_the_record_omits_overrides_that_ended_long_ago(shop: Platform) -> None:
    acme, policy, now = Client.objects.get(), rows.policy("search"), timezone.now()
    rows.override_limit(rows.override(acme, policy, ends_at=now - timedelta(days=2)))
    recent = rows.override(acme, policy, starts_at=now - timedelta(days=2), ends_at=now - timedelta(hours=1))
    rows.override_limit(recent, quota=3)
    clients.deliver()
    assert [override.limits for override in shop.client("acme").overrides] == [(Limit(3, 60),)]


@pytest.mark.parametrize("count", [10, 1_900])
def test_the_number_of_sql_statements_does_not_depend_on_the_number_of_clients(
    count: int, shop: Platform, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    policy = rows.policy("search")
    made = Client.objects.bulk_create(Client(key=f"client-{number}") for number in range(count))
    for row in made[:5]:
        rows.override_limit(rows.override(row, policy))
    with django_assert_max_num_queries(8):
        assert clients.deliver().live
    assert shop.client(f"client-{count - 1}")


def test_several_chunks_of_clients_are_delivered(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CHUNK_SIZE", 10)
    Client.objects.bulk_create(Client(key=f"client-{number}") for number in range(35))
    assert clients.deliver().live
    assert all(shop.client(f"client-{number}") for number in range(35))


def test_loading_writes_every_client_and_marks_every_shard(shop: Platform) -> None:
    Client.objects.bulk_create(Client(key=f"client-{number}") for number in range(50))
    ClientChange.objects.all().delete()
    shop.empty()
    assert not shop.is_complete
    assert clients.load_all()
    assert shop.is_complete
    assert all(shop.client(f"client-{number}") for number in range(50))


def test_loading_does_not_restore_clients_deleted_meanwhile(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list(clients.all_clients())
    Client.objects.all().delete()
    clients.deliver()
    monkeypatch.setattr(clients, "all_clients", lambda: iter(read))
    assert clients.load_all()
    assert shop.client("acme").deleted
