"""Change sets in the admin: the list, and every button of a page."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from limits.changes.lifecycle import Actor, start, submit
from limits.domain.edits import Edit
from limits.models import ChangeSet, Client, Plan, Policy, PolicyLimit, Publication
from limits.models.roles import OPERATORS, PRODUCT_MANAGERS, SUPPORT, VIEWERS, create_roles
from limits.publishing import rules
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

QUOTA = ("policies", "all", "limits", "60s", "quota")
State = ChangeSet.State


def to(quota: int, before: int = 100) -> list[Edit]:
    return [Edit(QUOTA, before, quota)]


def address(change: ChangeSet, step: str = "change") -> str:
    return reverse(f"admin:limits_changeset_{step}", args=[change.pk])


def take(desk: Desk, change: ChangeSet, step: str, **values: Any) -> Page:
    """Opens the page of a change set, and presses a button; what the button's form contains is sent too."""
    seen = desk.open(address(change)).response.context["seen"]
    return Page(desk.client.post(address(change, step), {"seen": seen} | values, follow=True))


def buttons(desk: Desk, change: ChangeSet) -> list[str]:
    return [step.name for step in desk.open(address(change)).response.context["steps"]]


def state_of(change: ChangeSet) -> str:
    change.refresh_from_db()
    return change.state


@pytest.fixture
def ann(shop: Platform) -> User:
    """A product manager."""
    return product_manager("ann")


@pytest.fixture
def bob(shop: Platform) -> User:
    """Another product manager."""
    return product_manager("bob")


def product_manager(name: str) -> User:
    return member(name, PRODUCT_MANAGERS)


def member(name: str, role: str) -> User:
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def approval(settings: Settings) -> None:
    """Changes need the approval of another person."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}


@pytest.fixture
def draft_of(ann: User) -> Callable[..., ChangeSet]:
    def draft(name: str = "Sale", edits: list[Edit] | None = None, reason: str = "Spring", by: User = ann) -> ChangeSet:
        return start(name, Actor.of(by), to(20) if edits is None else edits, reason)

    return draft


Drafts = Callable[..., ChangeSet]


def test_a_new_draft_is_empty_and_the_one_that_its_author_works_in(ann: User) -> None:
    desk = desk_of(ann)
    page = desk.add(ChangeSet, name="Sale", reason="Spring")
    change = ChangeSet.objects.get()
    assert (change.author, change.user, change.state, change.edits) == ("ann", ann, State.DRAFT, [])
    assert change.base == Publication.objects.get()
    assert desk.client.session["draft"] == change.pk
    assert any("You now work in the draft “Sale”" in message for message in page.messages)
    assert page.response.redirect_chain[-1][0] == address(change)
    assert buttons(desk, change) == ["leave", "discard"]
    assert "Nothing yet." in page.text


def test_an_unfinished_change_set_keeps_its_name(ann: User, draft_of: Drafts) -> None:
    draft_of("Sale")
    page = desk_of(ann).add(ChangeSet, name="Sale", reason="")
    assert page.errors == {"name": ["An unfinished change set has this name."]}
    ChangeSet.objects.update(state=State.DISCARDED)
    desk_of(ann).add(ChangeSet, name="Sale", reason="")
    assert ChangeSet.objects.count() == 2


def test_the_list_says_what_each_changes_and_when(ann: User, draft_of: Drafts) -> None:
    draft_of("Sale", [*to(20), Edit(("plans", "gold"), None, {"slug": "gold"})])
    begins = timezone.now().replace(second=0, microsecond=0) + timedelta(days=1)
    ChangeSet.objects.filter(pk=draft_of("Later").pk).update(state=State.SCHEDULED, publish_at=begins)
    desk = desk_of(ann)
    page = desk.list(ChangeSet)
    admin = page.response.context["cl"].model_admin
    rows = {row.name: (admin.state_label(row), admin.what_changes(row)) for row in page.response.context["cl"].queryset}
    assert rows == {"Sale": ("draft", "Policy all, Plan gold (new)"), "Later": ("scheduled", "Policy all")}
    assert f"from {begins:%-d %b %Y, %H:%M} UTC" in page.text
    found = desk.list(ChangeSet, state__exact="scheduled").response.context["cl"].queryset
    assert [row.name for row in found] == ["Later"]


def test_the_page_says_what_the_draft_changes_and_whom(ann: User, draft_of: Drafts) -> None:
    text = desk_of(ann).open(address(draft_of())).text
    assert "<del>100 per minute</del>" in text
    assert "<ins>20 per minute</ins>" in text
    assert "Affects 1 registered client and all unregistered clients." in text


def test_names_that_servers_do_not_know_are_differences_too(ann: User, draft_of: Drafts) -> None:
    text = desk_of(ann).open(address(draft_of(edits=[Edit(("policies", "all", "name"), None, "Everything")]))).text
    assert "<ins>Everything</ins>" in text


ALL_DRAFT = ["work", "publish", "schedule", "share", "discard"]


def test_the_buttons_of_each_state(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    for state, names in {
        State.DRAFT: ALL_DRAFT,
        State.AWAITING: ["work", "publish", "schedule", "share", "back", "discard"],
        State.APPROVED: ["work", "publish", "schedule", "share", "back", "discard"],
        State.SCHEDULED: ["withdraw"],
        State.TRIAL: ["widen", "finish", "withdraw"],
        State.PUBLISHED: [],
        State.REVERTED: [],
        State.WITHDRAWN: [],
        State.DISCARDED: [],
    }.items():
        ChangeSet.objects.update(state=state)
        assert buttons(desk, change) == names, state


def test_where_approval_is_required_one_submits_and_another_approves(
    ann: User, bob: User, draft_of: Drafts, approval: None
) -> None:
    change = draft_of()
    assert buttons(desk_of(ann), change) == ["work", "submit", "discard"]
    ChangeSet.objects.update(state=State.AWAITING)
    assert buttons(desk_of(ann), change) == ["work", "back", "discard"]
    assert buttons(desk_of(bob), change) == ["work", "approve", "back", "discard"]
    ChangeSet.objects.update(state=State.APPROVED, approved_by=bob, approved_at=timezone.now())
    assert buttons(desk_of(ann), change) == ["work", "publish", "schedule", "share", "back", "discard"]


def test_who_may_publish_alone_needs_no_approval(ann: User, draft_of: Drafts, approval: None) -> None:
    ann.user_permissions.add(Permission.objects.get(codename="publish_alone"))
    assert buttons(desk_of(User.objects.get(pk=ann.pk)), draft_of()) == [
        "work",
        "publish",
        "schedule",
        "share",
        "submit",
        "discard",
    ]


@pytest.mark.parametrize("role", [VIEWERS, SUPPORT, OPERATORS])
@pytest.mark.parametrize("state", [State.DRAFT, State.AWAITING, State.TRIAL])
def test_other_roles_see_a_change_set_and_change_nothing(
    draft_of: Drafts, approval: None, role: str, state: str
) -> None:
    change, desk = draft_of(), desk_of(member("vic", role))
    ChangeSet.objects.update(state=state)
    assert buttons(desk, change) == []
    for step in (*ALL_DRAFT, "leave", "submit", "approve", "back", "widen", "finish", "withdraw", "resolve"):
        assert desk.client.post(address(change, step), {"seen": "x"}).status_code == 403, step
    assert state_of(change) == state
    assert Publication.objects.count() == 1


def test_the_buttons_demand_a_token_against_forgery(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    desk.client.handler.enforce_csrf_checks = True
    assert desk.client.post(address(change, "discard")).status_code == 403
    assert state_of(change) == State.DRAFT


def test_opening_a_button_by_its_address_takes_no_step(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    for step in (*ALL_DRAFT, "leave", "submit", "approve", "back", "widen", "finish", "withdraw", "resolve"):
        desk.open(address(change, step))
    assert (state_of(change), Publication.objects.count()) == (State.DRAFT, 1)


def test_a_draft_is_published_as_one_version(ann: User, shop: Platform, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    take(desk, change, "work")
    page = desk.open(address(change, "publish"))
    assert "<ins>20 per minute</ins>" in page.text
    page = take(desk, change, "publish")
    assert page.messages == ["Version 2 is live on every server."]
    assert (state_of(change), shop.quotas) == (State.PUBLISHED, {"all": 20})
    assert "draft" not in desk.client.session
    newest = Publication.objects.latest("sequence")
    assert (newest.author, newest.user, newest.reason) == ("ann", ann, "Spring")
    assert "What it changed" in page.text
    assert reverse("admin:limits_publication_change", args=[newest.pk]) in page.text


def test_without_redis_it_is_published_later(ann: User, shop: Platform, draft_of: Drafts) -> None:
    change = draft_of()
    shop.make_store_unavailable()
    (message,) = take(desk_of(ann), change, "publish").messages
    assert message.startswith("Saved, but not live yet.")
    assert state_of(change) == State.PUBLISHED


def test_the_reason_is_asked_for_if_there_is_none(ann: User, shop: Platform, draft_of: Drafts) -> None:
    change, desk = draft_of(reason=""), desk_of(ann)
    page = take(desk, change, "publish")
    assert page.response.context["form"].errors == {"why": ["This field is required."]}
    assert Publication.objects.count() == 1
    take(desk, change, "publish", why="Summer")
    assert Publication.objects.latest("sequence").reason == "Summer"


def test_what_was_edited_since_the_page_was_opened_is_shown_again(ann: User, shop: Platform, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    seen = desk.open(address(change)).response.context["seen"]
    change.set_edits(to(30))
    change.save()
    page = Page(desk.client.post(address(change, "publish"), {"seen": seen}))
    assert "edited in the meantime" in page.text
    assert "<ins>30 per minute</ins>" in page.text
    assert Publication.objects.count() == 1
    again = page.response.context["form"]["seen"].value()
    desk.client.post(address(change, "publish"), {"seen": again})
    assert shop.quotas == {"all": 30}


def test_invalid_rules_are_refused_with_the_place(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(edits=[Edit(("policies", "all", "limits", "60s"), LIMIT, None)]), desk_of(ann)
    assert "Cannot be published: policies all, limits: " in desk.open(address(change)).text
    (error,) = take(desk, change, "publish").response.context["form"].non_field_errors()
    assert error.startswith("policies all, limits: ")
    assert (state_of(change), Publication.objects.count()) == (State.DRAFT, 1)


LIMIT = {"quota": 100, "window": 60, "algorithm": "sliding_window"}


def test_a_row_in_use_is_refused(ann: User, shop: Platform, draft_of: Drafts) -> None:
    plan = Plan.objects.create(slug="pro", name="Pro")
    Client.objects.update(plan=plan)
    rules.record("test")
    change = draft_of(edits=[Edit(("plans", "pro"), {"slug": "pro", "name": "Pro"}, None)])
    (error,) = take(desk_of(ann), change, "publish").response.context["form"].non_field_errors()
    assert "acme" in error
    assert state_of(change) == State.DRAFT


def test_a_schedule_names_its_times(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    assert take(desk, change, "schedule").response.context["form"].errors == {"publish_at": ["This field is required."]}
    past = {"publish_at_0": "2020-01-01", "publish_at_1": "12:00"}
    page = take(desk, change, "schedule", **past)
    assert page.response.context["form"].errors == {"publish_at": ["This time has passed."]}
    assert page.response.context["form"]["publish_at"].value() == ["2020-01-01", "12:00"]
    year = timezone.now().year + 1
    times = {"publish_at_0": f"{year}-11-30", "revert_at_0": f"{year}-11-29"}
    page = take(desk, change, "schedule", **times)
    assert page.response.context["form"].errors == {
        "revert_at": ["The change set would be reverted before it is published."]
    }
    page = take(desk, change, "schedule", **times | {"revert_at_0": f"{year}-12-14", "revert_at_1": "08:30"})
    assert page.messages == [
        f"“Sale” begins on 30 Nov {year}, 00:00 UTC, and ends on 14 Dec {year}, 08:30 UTC.",
        "Version 2 is live on every server.",
    ]
    assert state_of(change) == State.SCHEDULED
    (variant, end) = rules.compile_ruleset().variants
    assert (variant.change, end.change) == ("Sale", "")
    assert desk.change(change, name="Other").status == 403
    take(desk, change, "withdraw")
    assert (state_of(change), rules.compile_ruleset().variants) == (State.WITHDRAWN, ())


def test_a_share_is_tried_widened_and_finished(ann: User, shop: Platform, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    for wrong in ({}, {"percent": "10", "tag": "vip"}):
        errors = take(desk, change, "share", **wrong).response.context["form"].errors
        assert errors == {"percent": ["Enter either a share of the clients or a tag."]}
    assert set(take(desk, change, "share", percent="100").response.context["form"].errors) == {"percent"}
    assert set(take(desk, change, "share", tag="Größe!").response.context["form"].errors) == {"tag"}
    page = take(desk, change, "share", percent="10", max_denial_rate="5")
    assert page.messages == ["“Sale” applies to 10 % of the clients.", "Version 2 is live on every server."]
    assert (state_of(change), change.percent, change.max_denial_rate) == (State.TRIAL, 10, 5)
    form = desk.open(address(change, "widen")).response.context["form"]
    assert (form["percent"].value(), form["max_denial_rate"].value()) == (10, 5)
    take(desk, change, "widen", percent="50", max_denial_rate="5")
    share = rules.compile_ruleset().share
    assert share is not None
    assert share.percent == 50
    assert take(desk, change, "finish").messages == ["Version 4 is live on every server."]
    assert (state_of(change), shop.quotas) == (State.PUBLISHED, {"all": 20})


def test_only_one_share_at_a_time(ann: User, draft_of: Drafts) -> None:
    first, second, desk = draft_of("First"), draft_of("Second"), desk_of(ann)
    take(desk, first, "share", tag="vip")
    errors = take(desk, second, "share", percent="10").response.context["form"].errors
    assert errors == {"percent": ["Another change set is being tried on a share of the clients."]}
    assert state_of(second) == State.DRAFT


def test_what_cannot_be_tried_on_a_share_is_said(ann: User, draft_of: Drafts) -> None:
    change = draft_of(edits=[Edit(("endpoints", "new"), None, {"slug": "new", "name": "New", "routes": ["GET /a"]})])
    (error,) = take(desk_of(ann), change, "share", percent="5").response.context["form"].non_field_errors()
    assert error.startswith("Endpoints cannot differ for a share of the clients")


def test_another_person_approves_what_they_saw(
    ann: User, bob: User, shop: Platform, draft_of: Drafts, approval: None
) -> None:
    change, author, approver = draft_of(reason=""), desk_of(ann), desk_of(bob)
    assert take(author, change, "submit").messages == [
        "Enter the reason first, and save: whoever approves the change set reads it."
    ]
    author.change(change, reason="Spring")
    take(author, change, "submit")
    assert state_of(change) == State.AWAITING
    take(author, change, "approve")
    assert state_of(change) == State.AWAITING
    page = approver.open(address(change))
    assert "Spring" in page.text
    assert "<ins>20 per minute</ins>" in page.text
    seen = page.response.context["seen"]
    change.edits = [{"path": list(QUOTA), "before": 100, "after": 9000}]
    change.save()
    approver.client.post(address(change, "approve"), {"seen": seen})
    assert state_of(change) == State.AWAITING
    take(approver, change, "approve")
    assert (state_of(change), change.approved_by) == (State.APPROVED, bob)
    assert take(author, change, "publish").messages == ["Version 2 is live on every server."]
    assert shop.quotas == {"all": 9000}


def test_nobody_approves_what_they_edited_in_the_draft_of_another(
    ann: User, bob: User, draft_of: Drafts, approval: None
) -> None:
    change = draft_of()
    PolicyLimit.objects.update(quota=50)
    rules.record("test")
    resolve(desk_of(bob), change, "mine")
    submit(ChangeSet.objects.get())
    assert "approve" not in buttons(desk_of(bob), change)
    take(desk_of(bob), change, "approve")
    assert state_of(change) == State.AWAITING


def test_another_name_keeps_the_approval_and_another_reason_withdraws_it(
    ann: User, bob: User, draft_of: Drafts, approval: None
) -> None:
    change, desk = draft_of(), desk_of(ann)
    take(desk, change, "submit")
    take(desk_of(bob), change, "approve")
    desk.change(change, name="Spring sale")
    assert (state_of(change), change.name, change.approved_by) == (State.APPROVED, "Spring sale", bob)
    page = desk.change(change, reason="Something else")
    assert "The approval was given for another reason: submit the change set again." in page.messages
    assert (state_of(change), change.approved_at, change.edits) == (State.DRAFT, None, draft_of("x").edits)


def test_a_change_set_is_sent_back(ann: User, bob: User, draft_of: Drafts, approval: None) -> None:
    change = draft_of()
    take(desk_of(ann), change, "submit")
    take(desk_of(bob), change, "back")
    assert state_of(change) == State.DRAFT


def test_the_author_finds_the_draft_rebased(ann: User, bob: User, draft_of: Drafts) -> None:
    change = draft_of(edits=[*to(20), Edit(("policies", "all", "mode"), None, "shadow")])
    Policy.objects.update(mode="shadow")
    newest = rules.record("test")
    desk_of(bob).open(address(change))
    change.refresh_from_db()
    assert len(change.edits) == 2
    desk_of(ann).open(address(change))
    change.refresh_from_db()
    assert (change.list_of_edits, change.base) == (to(20), newest)


@pytest.fixture
def conflicting(draft_of: Drafts) -> ChangeSet:
    """The draft changes 100 to 20; meanwhile another person published 50."""
    change = draft_of()
    PolicyLimit.objects.update(quota=50)
    rules.record("test")
    return change


def resolve(desk: Desk, change: ChangeSet, value: str) -> Page:
    (conflict,) = desk.open(address(change)).response.context["conflicts"]
    return Page(desk.client.post(address(change, "resolve"), {"conflict": conflict.key, "value": value}, follow=True))


def test_a_conflict_is_shown_at_its_place(ann: User, conflicting: ChangeSet) -> None:
    page = desk_of(ann).open(address(conflicting))
    (found,) = page.response.context["conflicts"]
    assert (found.place, found.before, found.mine, found.theirs, found.can_keep) == (
        "Policy all, limit 50 per minute, quota",
        "100",
        "20",
        "50",
        True,
    )
    assert "Keep mine" in page.text
    page = take(desk_of(ann), conflicting, "publish")
    assert page.messages == [
        "Nothing was done: others published changes at the same places. Choose a value for each of them below."
    ]
    assert state_of(conflicting) == State.DRAFT


@pytest.mark.parametrize(("value", "edits"), [("mine", to(20, before=50)), ("theirs", [])])
def test_a_conflict_is_resolved(ann: User, conflicting: ChangeSet, value: str, edits: list[Edit]) -> None:
    page = resolve(desk_of(ann), conflicting, value)
    conflicting.refresh_from_db()
    assert (conflicting.list_of_edits, page.response.context["conflicts"]) == (edits, [])


def test_a_button_for_other_values_resolves_nothing(ann: User, conflicting: ChangeSet) -> None:
    desk = desk_of(ann)
    (conflict,) = desk.open(address(conflicting)).response.context["conflicts"]
    PolicyLimit.objects.update(quota=60)
    answer = desk.client.post(address(conflicting, "resolve"), {"conflict": conflict.key, "value": "mine"}, follow=True)
    assert Page(answer).messages == ["This conflict has changed in the meantime. Check the values below."]
    conflicting.refresh_from_db()
    assert conflicting.list_of_edits == to(20)


def test_what_was_removed_cannot_be_kept(ann: User, conflicting: ChangeSet) -> None:
    Policy.objects.all().delete()
    rules.record("test")
    page = desk_of(ann).open(address(conflicting))
    assert not page.response.context["conflicts"][0].can_keep
    assert "Keep mine" not in page.text


def test_a_draft_is_chosen_and_left(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(), desk_of(ann)
    take(desk, change, "work")
    assert desk.client.session["draft"] == change.pk
    assert buttons(desk, change)[0] == "leave"
    take(desk, change, "leave")
    assert "draft" not in desk.client.session


def test_a_draft_is_discarded_after_a_question(ann: User, draft_of: Drafts) -> None:
    change, desk = draft_of(reason=""), desk_of(ann)
    assert "cannot be published any more" in desk.open(address(change, "discard")).text
    take(desk, change, "discard")
    assert state_of(change) == State.DISCARDED
