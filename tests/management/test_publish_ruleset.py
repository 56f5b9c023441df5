"""``publish_ruleset``, the repair command. Tests of taking over are also in ``tests/publishing``."""

import getpass

import pytest

from limits.models import Platform as PlatformRow
from limits.models import Policy, PolicyLimit, Publication
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.store.keys import client_field, shard_of
from tests.management.running import Outcome, run
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def test_changes_made_outside_the_admin_are_published(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    assert run("publish_ruleset") == Outcome(0, "Version 2 is live.\n", "")
    assert shop.quotas == {"all": 5}


def test_unchanged_rules_create_no_new_version(shop: Platform) -> None:
    assert run("publish_ruleset") == Outcome(0, "Version 1 is live.\n", "")
    assert (shop.sequence, Publication.objects.count()) == (1, 1)


def test_an_emptied_store_is_restored(shop: Platform) -> None:
    before = shop.content()
    shop.empty()
    assert run("publish_ruleset") == Outcome(0, "Version 1 is live.\n", "")
    assert (shop.is_complete, shop.is_registered("acme")) == (True, True)
    assert shop.content().keys() == before.keys()


def test_all_clients_are_loaded_again(shop: Platform) -> None:
    shop.redis.hdel(shop.keys.shards[shard_of("acme")], client_field("acme"))
    assert shop.client("acme") is None
    run("publish_ruleset")
    assert shop.is_registered("acme")


def test_an_empty_platform_publishes_version_1(platform: Platform) -> None:
    assert run("publish_ruleset") == Outcome(0, "Version 1 is live.\n", "")
    assert platform.is_complete


@pytest.mark.parametrize(
    ("options", "reason"), [((), "publish_ruleset"), (("--reason", "After the outage."), "After the outage.")]
)
def test_the_history_contains_user_and_reason(options: tuple[str, ...], reason: str, shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    run("publish_ruleset", *options)
    publication = Publication.objects.get(sequence=2)
    assert (publication.author, publication.reason) == (f"{getpass.getuser()} (command)", reason)


@pytest.mark.parametrize("options", [(), ("--take-over",)], ids=["publish", "take over"])
def test_invalid_rules_are_rejected(options: tuple[str, ...], shop: Platform) -> None:
    PolicyLimit.objects.all().delete()
    on_mars = {"window": None, "algorithm": "calendar", "period": "day", "timezone": "Mars"}
    rows.limit(Policy.objects.create(slug="everyone"), **on_mars)
    before, epoch = shop.content(), PlatformRow.load().epoch
    outcome = run("publish_ruleset", *options)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        "policies.all.limits: must have at least one limit.",
        "policies.everyone.limits.0.timezone: “Mars” is not a time zone; an example is “Europe/Berlin”.",
    ]
    assert (shop.content(), PlatformRow.load().epoch) == (before, epoch)


def test_rules_published_during_an_outage_go_live_after_it(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    shop.make_store_unavailable()
    outcome = run("publish_ruleset")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("Saved, but not live yet. Redis is unavailable")
    shop.make_store_available()
    assert reconcile().published
    assert shop.quotas == {"all": 5}


def test_a_take_over_during_an_outage_changes_nothing(shop: Platform) -> None:
    epoch = PlatformRow.load().epoch
    shop.make_store_unavailable()
    assert run("publish_ruleset", "--take-over").status == 2
    assert (PlatformRow.load().epoch, Publication.objects.count()) == (epoch, 1)


def test_rules_of_another_database_are_not_overwritten(shop: Platform) -> None:
    PlatformRow.objects.update(epoch="another")
    before = shop.content()
    outcome = run("publish_ruleset")
    assert (outcome.status, outcome.out) == (2, "")
    assert "python manage.py publish_ruleset --take-over" in outcome.err
    assert shop.content() == before


def test_a_take_over_replaces_rules_of_another_database(shop: Platform) -> None:
    PlatformRow.objects.update(epoch="another")
    PolicyLimit.objects.update(quota=5)
    assert run("publish_ruleset", "--take-over") == Outcome(0, "Version 2 is live.\n", "")
    assert (shop.quotas, shop.is_complete, shop.version.epoch) == ({"all": 5}, True, PlatformRow.load().epoch)
