"""``shadow_all``: the emergency switch."""

import pytest
from django.core.management import CommandError

from limits.models import Platform as PlatformRow
from limits.models import Publication
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.domain.enums import Mode
from tests.management.running import AWAY, Outcome, run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def effective_mode(platform: Platform) -> Mode:
    """The effective mode of the first policy."""
    return platform.ruleset.mode_of(platform.ruleset.policies[0])


def test_on_puts_every_policy_into_shadow_mode_in_a_new_version(shop: Platform) -> None:
    assert run("shadow_all", "on") == Outcome(0, "Version 2 is live.\n", "")
    assert (shop.sequence, effective_mode(shop)) == (2, Mode.SHADOW)
    assert PlatformRow.load().shadow_all


def test_a_second_on_changes_nothing(shop: Platform) -> None:
    run("shadow_all", "on")
    before = shop.content()
    assert run("shadow_all", "on") == Outcome(0, "Version 2 is live.\n", "")
    assert shop.content() == before
    assert Publication.objects.count() == 2


def test_off_makes_policies_enforce_again_in_a_new_version(shop: Platform) -> None:
    run("shadow_all", "on")
    assert run("shadow_all", "off") == Outcome(0, "Version 3 is live.\n", "")
    assert (shop.sequence, effective_mode(shop)) == (3, Mode.ENFORCE)


def test_off_without_on_changes_nothing(shop: Platform) -> None:
    assert run("shadow_all", "off") == Outcome(0, "Version 1 is live.\n", "")
    assert shop.sequence == 1


@pytest.mark.parametrize(
    ("options", "reason"), [((), "shadow_all on"), (("--reason", "Search is down."), "Search is down.")]
)
def test_the_history_contains_the_change_and_the_reason(options: tuple[str, ...], reason: str, shop: Platform) -> None:
    run("shadow_all", "on", *options)
    publication = Publication.objects.get(sequence=2)
    assert publication.reason == reason
    assert publication.changes == ["Emergency switch: off → on (policies report and do not deny)."]


def test_a_change_during_an_outage_goes_live_after_it(shop: Platform) -> None:
    shop.make_store_unavailable()
    assert run("shadow_all", "on") == Outcome(2, "", f"Saved, but not live yet. {AWAY}\n")
    shop.make_store_available()
    assert effective_mode(shop) is Mode.ENFORCE
    assert reconcile().published
    assert effective_mode(shop) is Mode.SHADOW


@pytest.mark.parametrize("arguments", [(), ("maybe",), ("On",), ("on", "off")])
def test_only_on_and_off_are_accepted(arguments: tuple[str, ...], shop: Platform) -> None:
    with pytest.raises(CommandError):
        run("shadow_all", *arguments)
    assert shop.sequence == 1
