"""Repairs by the reconciler: killed publishers, emptied and damaged stores, rows changed outside the admin."""

from collections.abc import Callable

import pytest
from django.test import Client as HttpClient

from limits.models import Client, ClientChange, PolicyLimit, Publication, RuleChange
from limits.publishing import clients, rules
from limits.publishing.reconciler import Reconciliation, reconcile
from limits.store.clients import ClientWriter
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, shard_of
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Stands for kill -9."""


def change(quota: int) -> None:
    PolicyLimit.objects.update(quota=quota)
    rules.record("test")


def test_the_reconciler_changes_nothing_in_an_intact_store(shop: Platform) -> None:
    before = shop.content()
    assert reconcile() == Reconciliation()
    assert shop.content() == before


def test_a_publisher_killed_before_it_wrote_to_the_store(shop: Platform) -> None:
    change(7)
    assert shop.quotas == {"all": 100}
    assert reconcile().published
    assert (shop.sequence, shop.quotas) == (2, {"all": 7})
    assert Publication.objects.get(sequence=2).state == "live"


def test_a_publisher_killed_after_it_wrote_to_the_store(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = RulesetWriter.publish

    def publish_and_die(*arguments: object) -> None:
        publish(*arguments)  # type: ignore[arg-type]
        raise Killed

    change(7)
    with monkeypatch.context() as patch:
        patch.setattr(RulesetWriter, "publish", publish_and_die)
        with pytest.raises(Killed):
            rules.deliver()
    assert (shop.sequence, Publication.objects.get(sequence=2).state) == (2, "pending")
    assert reconcile().published
    assert Publication.objects.get(sequence=2).state == "live"
    assert shop.sequence == 2


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_a_publisher_of_clients_killed_before_or_after_its_write(
    shop: Platform, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    put = ClientWriter.put

    def put_and_die(*arguments: object) -> None:
        if written:
            put(*arguments)  # type: ignore[arg-type]
        raise Killed

    Client.objects.update(status="blocked")
    with monkeypatch.context() as patch:
        patch.setattr(ClientWriter, "put", put_and_die)
        with pytest.raises(Killed):
            clients.deliver()
    assert ClientChange.objects.exists()
    assert reconcile().clients_delivered
    assert shop.client("acme").status == "blocked"
    assert not ClientChange.objects.exists()


def test_rules_and_clients_of_an_emptied_store_are_restored(shop: Platform) -> None:
    before = shop.content()
    shop.empty()
    found = reconcile()
    assert (found.published, found.clients_loaded) == (True, True)
    assert shop.content().keys() == before.keys()
    assert (shop.sequence, shop.quotas, shop.is_complete) == (1, {"all": 100}, True)
    assert reconcile() == Reconciliation()


def lose_the_pointer(shop: Platform) -> None:
    shop.redis.delete(shop.keys.pointer)


def lose_a_shard(shop: Platform) -> None:
    shop.redis.delete(shop.keys.shards[7])


def lose_a_token(shop: Platform) -> None:
    shop.redis.hdel(shop.keys.shards[7], TOKEN_FIELD)


def lose_a_mark(shop: Platform) -> None:
    shop.redis.hdel(shop.keys.shards[7], COMPLETE_FIELD)


def have_an_older_token(shop: Platform) -> None:
    shop.redis.hset(shop.keys.shards[7], TOKEN_FIELD, "epoch:0:older")


def lose_the_ruleset(shop: Platform) -> None:
    shop.redis.delete(shop.keys.ruleset(str(shop.version)))


def corrupt_the_ruleset(shop: Platform) -> None:
    shop.redis.set(shop.keys.ruleset(str(shop.version)), b"{}")


def overwrite_a_shard(shop: Platform) -> None:
    shop.redis.set(shop.keys.shards[7], "not a shard")


def overwrite_the_shard_of_a_client(shop: Platform) -> None:
    shard = shop.keys.shards[shard_of("acme")]
    shop.redis.delete(shard)
    shop.redis.rpush(shard, "not a shard")


def overwrite_the_pointer(shop: Platform) -> None:
    shop.redis.delete(shop.keys.pointer)
    shop.redis.sadd(shop.keys.pointer, "no pointer")


def corrupt_the_pointer(shop: Platform) -> None:
    shop.redis.set(shop.keys.pointer, b"\xff nonsense")


def overwrite_the_ruleset(shop: Platform) -> None:
    key = shop.keys.ruleset(str(shop.version))
    shop.redis.delete(key)
    shop.redis.zadd(key, {"no ruleset": 1})


def corrupt_a_token(shop: Platform) -> None:
    shop.redis.hset(shop.keys.shards[7], TOKEN_FIELD, b"\xff nonsense")


DAMAGE = [
    overwrite_a_shard,
    overwrite_the_shard_of_a_client,
    overwrite_the_pointer,
    corrupt_the_pointer,
    overwrite_the_ruleset,
    corrupt_a_token,
    lose_the_pointer,
    lose_a_shard,
    lose_a_token,
    lose_a_mark,
    have_an_older_token,
    lose_the_ruleset,
    corrupt_the_ruleset,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_store_is_repaired(shop: Platform, damage: Callable[[Platform], None]) -> None:
    damage(shop)
    assert reconcile() != Reconciliation()
    assert (shop.sequence, shop.quotas, shop.is_complete) == (1, {"all": 100}, True)
    assert shop.client("acme").revision == Client.objects.get().revision
    assert reconcile() == Reconciliation()


def test_a_new_installation_becomes_ready_without_a_save(platform: Platform, client: HttpClient) -> None:
    assert client.get("/readyz").status_code == 503
    found = reconcile()
    assert (found.recorded, found.published) == (True, True)
    assert (platform.sequence, platform.ruleset) == (1, Ruleset())
    assert client.get("/readyz").json()["status"] == "ready"
    assert Publication.objects.get().reason == "The first ruleset of a new installation."
    assert reconcile() == Reconciliation()


def test_an_empty_database_publishes_nothing_to_a_store_with_rules(shop: Platform) -> None:
    """The database may be about to be restored from a backup."""
    before = shop.content()
    Publication.objects.all().delete()
    assert reconcile() == Reconciliation()
    assert (shop.content(), Publication.objects.count()) == (before, 0)


def test_rows_changed_outside_the_admin_are_published(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=9)
    assert reconcile().recorded
    assert shop.quotas == {"all": 9}
    assert not RuleChange.objects.exists()
    assert Publication.objects.get(sequence=2).author == "reconciler"


def test_invalid_rows_are_not_published_until_they_are_corrected(shop: Platform) -> None:
    rows.plan("pro")
    RuleChange.objects.all().delete()
    Client.objects.update(plan=None)
    PolicyLimit.objects.update(quota=9)
    limit = PolicyLimit.objects.get()
    PolicyLimit.objects.filter(pk=limit.pk).delete()
    assert not reconcile().recorded
    assert shop.quotas == {"all": 100}
    assert RuleChange.objects.exists()
    limit.save(force_insert=True)
    assert reconcile().recorded
    assert shop.quotas == {"all": 9}
