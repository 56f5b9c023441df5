"""Rollback to an earlier version, as a new one."""

import pytest
from django.urls import reverse

from limits.models import ApiToken, Client, Endpoint, Plan, Policy, Publication
from limits.models import Platform as PlatformRow
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def roll_back(desk: Desk, version: int) -> Page:
    publication = Publication.objects.get(sequence=version)
    return desk.open(reverse("admin:limits_publication_roll_back", args=[publication.pk]))


def confirm(desk: Desk, version: int, why: str = "It was a mistake.") -> Page:
    page = roll_back(desk, version)
    path = page.response.wsgi_request.get_full_path()
    answer = {"_confirm": "1", "why": why, "reviewed_version": page.response.context["version"]}
    return Page(desk.client.post(path, answer, follow=True))


def test_the_review_of_a_rollback_changes_nothing(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    page = roll_back(desk, 1)
    assert [str(change) for change in page.response.context["changes"]] == [
        "Policy all, limits: 7 per minute → 100 per minute."
    ]
    assert (shop.quotas, Publication.objects.count()) == ({"all": 7}, 2)


def test_a_confirmed_rollback_is_live_as_a_new_version(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    page = confirm(desk, 1)
    assert "Version 3 is live on every server." in page.messages
    assert (shop.quotas, Publication.objects.get(sequence=3).reason) == ({"all": 100}, "It was a mistake.")
    assert Policy.objects.get().limits.get().quota == 100


def test_a_rollback_deletes_later_rows_and_restores_deleted_ones(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), name="Everything")
    desk.delete(Policy.objects.get())
    plan, endpoint = rows.plan("pro"), rows.endpoint("search", "GET /search")
    rows.policy("search", plan=plan, endpoint=endpoint)
    desk.change(plan, name="Pro")
    confirm(desk, 1)
    assert shop.quotas == {"all": 100}
    assert (Plan.objects.count(), Endpoint.objects.count(), Policy.objects.get().name) == (1, 0, "Everything")


def test_a_rollback_does_not_affect_tokens_and_the_emergency_switch(desk: Desk, shop: Platform) -> None:
    token = rows.token()
    desk.change(Policy.objects.get(), limits__0__quota="7")
    desk.act("revoke", token)
    desk.change(PlatformRow.load(), shadow_all="on")
    desk.change(Policy.objects.get(), limits__0__quota="9")
    confirm(desk, 2)
    assert shop.quotas == {"all": 7}
    assert shop.ruleset.tokens == ()
    assert ApiToken.objects.get().revoked_at is not None
    assert shop.ruleset.shadow_all


def test_a_rollback_is_rejected_if_it_would_delete_rows_in_use(desk: Desk, shop: Platform) -> None:
    desk.add(Plan, name="Pro", slug="pro")
    Client.objects.update(plan=Plan.objects.get(slug="pro"))
    page = desk.client.get(
        reverse("admin:limits_publication_roll_back", args=[Publication.objects.get(sequence=1).pk]), follow=True
    )
    (message,) = Page(page).messages
    assert "Nothing was changed." in message
    assert "acme" in message
    assert Plan.objects.filter(slug="pro").exists()


def test_a_rollback_to_the_present_rules_is_reported(desk: Desk, shop: Platform) -> None:
    publication = Publication.objects.get()
    page = Page(desk.client.get(reverse("admin:limits_publication_roll_back", args=[publication.pk]), follow=True))
    assert "The current rules are already those of version 1." in page.messages
    assert Publication.objects.count() == 1


def test_the_page_of_a_version_shows_its_changes(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    text = desk.open(reverse("admin:limits_publication_change", args=[Publication.objects.get(sequence=2).pk])).text
    assert "<del>100 per minute</del>" in text
    assert "<ins>7 per minute</ins>" in text


def test_the_history_of_restored_rows_has_author_and_reason(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    confirm(desk, 1)
    record = Policy.objects.get().limits.get().history.latest()
    assert (record.quota, record.history_user.username, record.history_change_reason) == (
        100,
        "ada",
        "It was a mistake.",
    )
