"""Where changes need approval, a save becomes a change set that awaits it; what helps in an emergency does not."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from pytest_django import Settings

from limits.changes.lifecycle import Actor, approve
from limits.changes.publication import publish
from limits.models import Block, ChangeSet, PolicyLimit, Publication
from limits.models import Platform as Switch
from limits.models.roles import OPERATORS, PRODUCT_MANAGERS, create_roles
from limits.publishing.rules import deliver
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk
from tests.admin.test_blocks import CHRISTMAS
from tests.admin.test_drafts import everything
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pam(shop: Platform, settings: Settings) -> User:
    """A product manager of a platform where changes need approval."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user("pam", "pam@example.com", "a password of Pam", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=(PRODUCT_MANAGERS, OPERATORS)))
    return user


@pytest.fixture
def desk(pam: User) -> Desk:
    return desk_of(pam)


def test_a_save_awaits_approval_and_is_published_with_it(desk: Desk, pam: User, ada: User, shop: Platform) -> None:
    review = desk.send(reverse("admin:limits_policy_change", args=[everything().pk]), limits__0__quota="7")
    assert "Send for approval" in review.text
    page = desk.confirm(review, "A sale.")
    change = ChangeSet.objects.get()
    assert page.messages == [f"“{change}” awaits the approval of another person. Nothing of it is live yet."]
    assert (change.state, change.reason, change.user) == (ChangeSet.State.AWAITING, "A sale.", pam)
    assert (shop.quotas, PolicyLimit.objects.get().quota, Publication.objects.count()) == ({"all": 100}, 100, 1)
    approve(change, ada)
    publish(change, Actor.of(pam))
    assert deliver().live
    assert shop.quotas == {"all": 7}


def test_a_deletion_awaits_approval(desk: Desk, shop: Platform) -> None:
    desk.delete(everything())
    assert ChangeSet.objects.get().state == ChangeSet.State.AWAITING
    assert shop.quotas == {"all": 100}


def test_two_saves_in_one_minute_are_two_change_sets(desk: Desk) -> None:
    for quota in ("7", "8"):
        desk.change(everything(), limits__0__quota=quota)
    assert len(set(ChangeSet.objects.values_list("name", flat=True))) == 2


def test_a_name_that_servers_do_not_know_needs_no_approval(desk: Desk, shop: Platform) -> None:
    desk.change(everything(), name="Another name")
    assert everything().name == "Another name"
    assert not ChangeSet.objects.exists()


def test_the_emergency_switch_and_blocks_remain_one_step(desk: Desk, shop: Platform) -> None:
    page = desk.change(Switch.load(), shadow_all="on")
    assert "Version 2 is live on every server." in page.messages
    assert shop.ruleset.shadow_all
    desk.add(Block, whom="network", network="203.0.113.7", reason="scraping", **CHRISTMAS)
    assert Block.objects.exists()
    assert not ChangeSet.objects.exists()


def test_who_may_publish_alone_publishes(desk: Desk, ada: User, shop: Platform) -> None:
    page = desk_of(ada).change(everything(), limits__0__quota="7")
    assert "Version 2 is live on every server." in page.messages
    assert shop.quotas == {"all": 7}
