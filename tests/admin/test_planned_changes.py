"""Change sets on other pages: the home page, the pages of plans, and publications, where they are undone."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from limits.changes import publication as live
from limits.changes.lifecycle import Actor, start, submit
from limits.domain.edits import Edit
from limits.models import ChangeSet, Plan, Policy, Publication, Usage
from limits.publishing import rules
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.admin.test_change_sets import address, resolve, take, to
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

ANN = Actor("ann")


def planned(name: str, edits: list[Edit], **share: int) -> ChangeSet:
    """A change set that begins tomorrow, or is tried on a share."""
    change = start(name, ANN, edits, "Spring")
    if share:
        live.try_on(change, ANN, **share)  # type: ignore[arg-type]
    else:
        live.schedule(change, ANN, timezone.now() + timedelta(days=1))
    assert rules.deliver().live
    return change


def names(page: Page) -> list[str]:
    return [each.name for each in page.response.context.get("change_sets") or ()]


def test_the_home_page_shows_what_is_planned_and_awaits_approval(desk: Desk, shop: Platform) -> None:
    assert 'id="change-sets"' not in desk.open("/admin/").text
    scheduled = planned("Scheduled", to(20))
    planned("Tried", [Edit(("plans", "gold"), None, {"slug": "gold", "name": "Gold"})], percent=10)
    submit(start("Awaiting", ANN, to(30), "Summer"))
    start("Draft", ANN, to(40))
    page = desk.open("/admin/")
    assert names(page) == ["Scheduled", "Tried", "Awaiting"]
    assert address(scheduled) in page.text
    assert "10 % of the clients" in page.text


def test_only_those_who_may_approve_see_what_awaits_approval(shop: Platform) -> None:
    submit(start("Awaiting", ANN, to(30), "Summer"))
    user = User.objects.create_user("vic", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_changeset"))
    assert names(desk_of(user).open("/admin/")) == []
    user.user_permissions.add(Permission.objects.get(codename="approve_change"))
    assert names(desk_of(user).open("/admin/")) == ["Awaiting"]


def test_the_page_of_a_plan_shows_the_planned_changes_that_touch_it(desk: Desk, shop: Platform) -> None:
    pro = rows.plan("pro")
    rows.policy("pro-search", plan=pro)
    rules.record("test")
    assert names(desk.open(plan_page("pro"))) == []
    planned("Limit", [Edit(("policies", "pro-search", "mode"), None, "shadow")])
    planned("Name", [Edit(("plans", "pro", "name"), "Pro", "Professional")])
    limits = {"60s": {"quota": 5, "window": 60, "algorithm": "sliding_window"}}
    item = {"slug": "new", "plan": "pro", "limits": limits}
    planned("New policy", [Edit(("policies", "new"), None, item)])
    override = {"clients": {"plan": "pro"}, "policy": "all", "limits": limits}
    planned("Override", [Edit(("overrides", "plan pro all "), None, override)])
    planned("Other", to(20))
    assert names(desk.open(plan_page("pro"))) == ["Limit", "Name", "New policy", "Override"]
    assert names(desk.open(plan_page("free"))) == []


def plan_page(slug: str) -> str:
    return reverse("admin:limits_plan_change", args=[Plan.objects.get(slug=slug).pk])


def version(sequence: int) -> Publication:
    return Publication.objects.get(sequence=sequence)


def publication_page(sequence: int, name: str = "change") -> str:
    return reverse(f"admin:limits_publication_{name}", args=[version(sequence).pk])


def states(desk: Desk) -> dict[int, str]:
    page = desk.list(Publication)
    admin = page.response.context["cl"].model_admin
    return {row.sequence: admin.state_label(row) for row in page.response.context["cl"].result_list}


def found(desk: Desk, chosen: str) -> list[int]:
    return [row.sequence for row in desk.list(Publication, **{"in": chosen}).response.context["cl"].result_list]


def test_publications_are_live_replaced_scheduled_or_withdrawn(desk: Desk, shop: Platform) -> None:
    change = planned("Sale", to(20))
    assert states(desk) == {1: "replaced", 2: "live, scheduled"}
    planned("Other", [Edit(("plans", "gold"), None, {"slug": "gold", "name": "Gold"})])
    assert states(desk) == {1: "replaced", 2: "scheduled", 3: "live, scheduled"}
    assert (found(desk, "later"), found(desk, "past"), found(desk, "force")) == ([3, 2], [1], [3])
    take(desk, change, "withdraw")
    assert states(desk) == {1: "replaced", 2: "withdrawn", 3: "scheduled", 4: "live"}
    assert (found(desk, "later"), found(desk, "withdrawn"), found(desk, "past")) == ([3], [2], [1])


def test_a_publication_and_its_change_set_link_to_each_other(desk: Desk, shop: Platform) -> None:
    change = planned("Sale", to(20))
    assert address(change) in desk.open(publication_page(2)).text
    assert publication_page(2) in desk.open(address(change)).text
    assert address(change) not in desk.open(publication_page(1)).text


def undo(desk: Desk, sequence: int) -> Page:
    return Page(desk.client.post(publication_page(sequence, "undo"), follow=True))


def test_the_live_version_is_undone(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    assert "Undo this change" in desk.open(publication_page(2)).text
    assert "<ins>100 per minute</ins>" in desk.open(publication_page(2, "undo")).text
    assert not ChangeSet.objects.exists()
    page = undo(desk, 2)
    change = ChangeSet.objects.get()
    assert page.response.redirect_chain[-1][0] == address(change)
    assert (change.name, change.reason, change.author) == ("Undo version 2", "Undoes version 2.", "ada")
    assert take(desk, change, "publish").messages == ["Version 3 is live on every server."]
    assert shop.quotas == {"all": 100}


def test_an_earlier_version_is_undone_and_later_changes_of_it_conflict(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7", mode="shadow")
    desk.change(Policy.objects.get(), limits__0__quota="8")
    assert "Policy all, limit 8 per minute, quota" in desk.open(publication_page(2, "undo")).text
    undo(desk, 2)
    change = ChangeSet.objects.get()
    resolve(desk, change, "theirs")
    take(desk, change, "publish")
    assert shop.quotas == {"all": 8}
    assert Policy.objects.get().mode == "enforce"


def test_a_version_is_undone_by_one_draft_at_a_time(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    undo(desk, 2)
    page = undo(desk, 2)
    assert page.messages == ["This change set undoes version 2 already."]
    assert page.response.redirect_chain[-1][0] == address(ChangeSet.objects.get())


def test_what_changed_no_rules_cannot_be_undone(desk: Desk, shop: Platform) -> None:
    rows.token()
    rules.record("test")
    (message,) = Page(desk.client.get(publication_page(2, "undo"), follow=True)).messages
    assert "there is nothing to undo" in message
    assert not ChangeSet.objects.exists()


def test_undoing_requires_the_permission_to_add_change_sets(shop: Platform) -> None:
    user = User.objects.create_user("vic", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_publication", "change_changeset"]))
    desk = desk_of(user)
    assert "Undo this change" not in desk.open(publication_page(1)).text
    assert desk.client.post(publication_page(1, "undo")).status_code == 403
    assert not ChangeSet.objects.exists()


def test_what_is_tried_begins_at_once_whatever_is_scheduled(shop: Platform) -> None:
    planned("Pilot", to(20), percent=10)
    planned("Later", [Edit(("plans", "gold"), None, {"slug": "gold", "name": "Gold"})])
    (sentence,) = version(3).changes
    assert sentence.startswith("Change set “Later” added (begins: ")


def test_the_groups_of_a_trial_are_compared(desk: Desk, shop: Platform) -> None:
    change = start("Pilot", ANN, to(20), "Spring")
    live.try_on(change, ANN, tag="beta")
    rows.client("beta", tags=["beta"])
    assert "less than a minute" in desk.open(address(change, "groups")).text
    ChangeSet.objects.update(tried_since=timezone.now() - timedelta(minutes=5))
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    for client, outcome, requests in (("beta", "admitted", 60), ("beta", "denied", 20), ("acme", "admitted", 1000)):
        counted = {"minute": minute, "client_key": client, "endpoint": "", "outcome": outcome}
        Usage.objects.create(**counted, requests=requests, cost=requests)
    page = desk.open(address(change, "groups"))
    assert [tuple(line) for line in page.response.context["lines"]] == [
        ("Requests", "80", "1,000"),
        ("Denied requests", "20", "0"),
        ("Denial rate", "25 %", "0 %"),
        ("Clients with requests", "1", "1"),
        ("Clients with denied requests", "1", "0"),
    ]
    assert address(change, "groups") in desk.open(address(change)).text


def test_only_a_trial_has_groups(desk: Desk, shop: Platform) -> None:
    change = start("Sale", ANN, to(20), "Spring")
    page = Page(desk.client.get(address(change, "groups"), follow=True))
    assert page.messages == ["The change set is not being tried on a share of the clients."]


def test_what_has_begun_cannot_be_withdrawn(desk: Desk, shop: Platform) -> None:
    change = planned("Scheduled", to(20))
    ChangeSet.objects.filter(pk=change.pk).update(publish_at=timezone.now() - timedelta(minutes=1))
    page = take(desk, change, "withdraw")
    assert page.messages == ["The change set is published."]
    change.refresh_from_db()
    assert change.state == ChangeSet.State.PUBLISHED
