"""Grants are published in the client's record, and what was used of them is restored from the ledger."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from limits.models import Client, Grant, GrantTotal
from limits.publishing import clients
from limits.publishing.reconciler import reconcile
from limits.store.clients import ClientWriter
from limits.store.grants import KEPT_AFTER_END
from ratelimit_enforcer.domain.dates import microseconds
from ratelimit_enforcer.domain.grants import Grant as DomainGrant
from ratelimit_enforcer.store.keys import shard_of
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

Use = dict[str, int]


def use_of(platform: Platform, client: str, root: str = "") -> Use:
    """The stored fields of a client's grants."""
    fields = platform.redis.hgetall(platform.keys.grants(shard_of(root or client), client))
    return {name.decode(): int(value) for name, value in fields.items()}


def used(row: Grant, consumed: int, returned: int = 0) -> None:
    GrantTotal.objects.update_or_create(grant=row, defaults={"consumed": consumed, "returned": returned})


@pytest.fixture
def grant(shop: Platform) -> Grant:
    """10,000 units for acme, published."""
    row = rows.grant(Client.objects.get(), rows.monthly_policy(), 10_000)
    assert clients.deliver().live
    return row


def test_the_record_contains_the_grant_and_the_store_what_was_used(shop: Platform, grant: Grant) -> None:
    record = shop.client("acme")
    dates = microseconds(grant.starts_at), microseconds(grant.ends_at)
    assert record is not None
    assert record.grants == (DomainGrant(grant.pk, "monthly", 10_000, *dates, 0),)
    assert use_of(shop, "acme") == {f"{grant.pk}c": 0, f"{grant.pk}r": 0}
    kept_until = shop.redis.pttl(shop.keys.grants(shard_of("acme"), "acme")) / 1_000
    assert kept_until == pytest.approx((grant.ends_at + KEPT_AFTER_END - timezone.now()).total_seconds(), abs=60)


def test_a_grant_that_ended_long_ago_is_left_out(shop: Platform, grant: Grant) -> None:
    Grant.objects.update(starts_at=timezone.now() - timedelta(days=9), ends_at=timezone.now() - timedelta(days=2))
    clients.deliver()
    record = shop.client("acme")
    assert record is not None
    assert record.grants == ()


def test_figures_are_in_the_store_before_the_record(
    shop: Platform, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Use] = []
    write: Callable[..., Any] = ClientWriter._write

    def recording(*arguments: Any) -> Any:
        seen.append(use_of(shop, "acme"))
        return write(*arguments)

    monkeypatch.setattr(ClientWriter, "_write", recording)
    second = rows.grant(Client.objects.get(), grant.policy, starts_at=timezone.now())
    clients.deliver()
    assert f"{second.pk}c" in seen[0]


def test_figures_are_raised_but_never_lowered(shop: Platform, grant: Grant) -> None:
    used(grant, 500, 20)
    Grant.objects.update(amount=20_000)
    clients.deliver()
    assert use_of(shop, "acme") == {f"{grant.pk}c": 500, f"{grant.pk}r": 20}
    shop.redis.hincrby(shop.keys.grants(shard_of("acme"), "acme"), f"{grant.pk}c", 7)
    Grant.objects.update(amount=30_000)
    clients.deliver()
    assert use_of(shop, "acme") == {f"{grant.pk}c": 507, f"{grant.pk}r": 20}


def test_an_emptied_store_gets_the_ledger_with_the_clients(shop: Platform, grant: Grant) -> None:
    used(grant, 4_000, 100)
    shop.empty()
    assert use_of(shop, "acme") == {}
    assert reconcile().clients_loaded
    assert use_of(shop, "acme") == {f"{grant.pk}c": 4_000, f"{grant.pk}r": 100}
    assert shop.is_complete


def test_a_client_in_another_shard_keeps_what_it_used(shop: Platform, grant: Grant) -> None:
    """What was consumed since the last drain too, which the ledger does not know yet."""
    used(grant, 500)
    shop.redis.hset(shop.keys.grants(shard_of("acme"), "acme"), f"{grant.pk}c", 512)
    parent = rows.client("organisation")
    assert shard_of("organisation") != shard_of("acme")
    Client.objects.filter(key="acme").update(parent=parent)
    assert clients.deliver().live
    assert use_of(shop, "acme", root="organisation") == {f"{grant.pk}c": 512, f"{grant.pk}r": 0}


def test_a_key_of_another_type_is_replaced(shop: Platform, grant: Grant) -> None:
    shop.redis.set(shop.keys.grants(shard_of("acme"), "acme"), "damaged")
    Grant.objects.update(amount=20_000)
    clients.deliver()
    assert use_of(shop, "acme") == {f"{grant.pk}c": 0, f"{grant.pk}r": 0}
