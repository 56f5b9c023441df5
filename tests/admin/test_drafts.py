"""Pages of rules while a user works in a draft: they show and change the draft, and nothing of it is live."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from limits.changes.lifecycle import Actor, start
from limits.changes.publication import publish
from limits.domain.edits import Edit
from limits.models import ChangeSet, Endpoint, Plan, Policy, PolicyLimit, Publication, RuleChange
from limits.publishing.rules import deliver
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.admin.test_saving import NEW_LIMIT
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draft(shop: Platform, ada: User) -> ChangeSet:
    return start("Sale", Actor.of(ada))


@pytest.fixture
def desk(ada: User, draft: ChangeSet) -> Desk:
    """Ada, who works in the draft."""
    desk = desk_of(ada)
    choose(desk, draft)
    return desk


def choose(desk: Desk, draft: ChangeSet) -> None:
    session = desk.client.session
    session["draft"] = draft.pk
    session.save()


def everything() -> Policy:
    return Policy.objects.get(slug="all")


def edits(draft: ChangeSet) -> dict[str, tuple[object, object]]:
    draft.refresh_from_db()
    return {".".join(edit.path): (edit.before, edit.after) for edit in draft.list_of_edits}


def test_a_save_goes_into_the_draft_and_not_live(desk: Desk, draft: ChangeSet, shop: Platform) -> None:
    page = desk.change(everything(), limits__0__quota="7")
    assert page.messages == ["Saved in the draft “Sale”. Nothing of it is live yet."]
    assert edits(draft) == {"policies.all.limits.60s.quota": (100, 7)}
    assert (shop.quotas, PolicyLimit.objects.get().quota) == ({"all": 100}, 100)
    assert (Publication.objects.count(), RuleChange.objects.count()) == (1, 0)
    assert desk.open(change_page(everything())).fields["limits-0-quota"] == "7"


def change_page(row: Policy | Plan) -> str:
    return reverse(f"admin:limits_{row._meta.model_name}_change", args=[row.pk])


def test_several_edits_become_one_version(desk: Desk, draft: ChangeSet, shop: Platform, ada: User) -> None:
    desk.change(everything(), limits__0__quota="7")
    desk.add(Plan, name="Gold", slug="gold")
    gold = draft_keys(draft)["plan"]["gold"]
    desk.add(Policy, name="Gold", slug="gold", plan=gold, **NEW_LIMIT)
    assert set(edits(draft)) == {"plans.gold", "policies.all.limits.60s.quota", "policies.gold"}
    publish(draft, Actor.of(ada))
    assert deliver().live
    assert shop.quotas == {"all": 7, "gold": 100}
    assert Plan.objects.get(slug="gold").pk == gold
    assert Publication.objects.count() == 2


def draft_keys(draft: ChangeSet) -> dict[str, dict[str, int]]:
    draft.refresh_from_db()
    keys: dict[str, dict[str, int]] = draft.ids
    return keys


def test_a_row_of_the_draft_has_a_page_with_a_stable_address(desk: Desk, draft: ChangeSet, shop: Platform) -> None:
    desk.add(Plan, name="Gold", slug="gold")
    address = reverse("admin:limits_plan_change", args=[draft_keys(draft)["plan"]["gold"]])
    assert desk.open(address).fields["name"] == "Gold"
    assert "Gold" in desk.list(Plan).text
    page = desk.send(address, name="Golden")
    assert page.messages == ["Saved in the draft “Sale”. Nothing of it is live yet."]
    assert edits(draft) == {"plans.gold": (None, {"slug": "gold", "name": "Golden"})}
    assert not Plan.objects.filter(slug="gold").exists()


def test_a_row_that_the_draft_deletes_stays_live(desk: Desk, draft: ChangeSet, shop: Platform) -> None:
    page = Page(
        desk.client.post(reverse("admin:limits_policy_delete", args=[everything().pk]), {"post": "yes"}, follow=True)
    )
    assert page.messages == ["Saved in the draft “Sale”. Nothing of it is live yet."]
    assert list(edits(draft)) == ["policies.all"]
    assert shop.quotas == {"all": 100}
    assert desk.open(change_page(everything())).status == 302


def test_an_invalid_form_changes_no_draft(desk: Desk, draft: ChangeSet) -> None:
    page = desk.change(everything(), limits__0__quota="-1")
    assert "limits-0-quota" in page.errors
    assert edits(draft) == {}


def test_rules_that_are_invalid_together_change_no_draft(desk: Desk, draft: ChangeSet) -> None:
    route = {"cost": "1", "routes__TOTAL_FORMS": "1", "routes__0__method": "GET", "routes__0__path": "/a"}
    desk.add(Endpoint, name="One", slug="one", **route)
    kept = edits(draft)
    assert list(kept) == ["endpoints.one"]
    page = desk.add(Endpoint, name="Two", slug="two", **route)
    assert list(page.errors) == ["routes-0-path"]
    assert edits(draft) == kept


def test_each_page_says_in_which_draft_the_user_works(desk: Desk, draft: ChangeSet) -> None:
    for page in (
        desk.open(reverse("admin:index")),
        desk.list(Policy),
        desk.open(reverse("admin:limits_client_changelist")),
    ):
        assert "You work in the draft" in page.text
        assert "“Sale”" in page.text


def test_another_user_sees_the_live_rules(desk: Desk, draft: ChangeSet, shop: Platform) -> None:
    desk.change(everything(), limits__0__quota="7")
    bob = desk_of(User.objects.create_superuser("bob", "bob@example.com", "a password of Bob"))
    page = bob.open(change_page(everything()))
    assert page.fields["limits-0-quota"] == "100"
    assert "You work in the draft" not in page.text


def test_a_draft_that_is_over_is_left(desk: Desk, draft: ChangeSet, ada: User) -> None:
    desk.change(everything(), limits__0__quota="7")
    publish(draft, Actor.of(ada))
    page = desk.list(Policy)
    assert page.messages == ["Draft “Sale” is published. You see the live rules again."]
    assert "You work in the draft" not in desk.list(Policy).text


def test_two_people_in_one_draft_lose_nothing(desk: Desk, draft: ChangeSet, shop: Platform) -> None:
    bob = desk_of(User.objects.create_superuser("bob", "bob@example.com", "a password of Bob"))
    choose(bob, draft)
    desk.change(everything(), limits__0__quota="7")
    bob.add(Plan, name="Gold", slug="gold")
    assert set(edits(draft)) == {"plans.gold", "policies.all.limits.60s.quota"}


def test_a_conflict_with_what_was_published_leads_to_the_page_of_the_draft(
    desk: Desk, draft: ChangeSet, shop: Platform, ada: User
) -> None:
    desk.change(everything(), limits__0__quota="7")
    other = start("Other", Actor.of(ada), [Edit(("policies", "all", "limits", "60s", "quota"), 100, 50)])
    publish(other, Actor.of(ada))
    response = desk.client.get(change_page(everything()))
    assert response.headers["Location"] == reverse("admin:limits_changeset_change", args=[draft.pk])
    assert edits(draft) == {"policies.all.limits.60s.quota": (100, 7)}


def test_an_edit_withdraws_the_approval(desk: Desk, draft: ChangeSet) -> None:
    ChangeSet.objects.filter(pk=draft.pk).update(state="awaiting")
    desk.change(everything(), limits__0__quota="7")
    draft.refresh_from_db()
    assert draft.state == ChangeSet.State.DRAFT
