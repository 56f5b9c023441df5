"""The review shows what a save would publish; nothing is live before the confirmation."""

import pytest
from django.urls import reverse

from limits.models import Plan, Policy, PolicyLimit, Publication
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def change_page(row: Policy | Plan) -> str:
    return reverse(f"admin:limits_{row._meta.model_name}_change", args=[row.pk])


def send_quota(desk: Desk, quota: str = "7", **more: str) -> Page:
    return desk.send(change_page(Policy.objects.get(slug="all")), limits__0__quota=quota, **more)


def confirm(desk: Desk, page: Page, **answer: str) -> Page:
    path = page.response.wsgi_request.get_full_path()
    data = {"_confirm": "1", "why": "A sale.", "reviewed_version": page.response.context["version"]} | answer
    return Page(desk.client.post(path, page.sent_again | data, follow=True))


def test_a_review_shows_the_changes_and_affected_clients_without_saving(desk: Desk, shop: Platform) -> None:
    page = send_quota(desk)
    assert page.is_review
    assert [(str(change), change.before, change.after) for change in page.response.context["changes"]] == [
        ("Policy all, limits: 100 per minute → 7 per minute.", "100 per minute", "7 per minute")
    ]
    assert "Affects 1 registered client and all unregistered clients." in page.text
    assert page.messages == []
    assert (shop.quotas, PolicyLimit.objects.get().quota, Publication.objects.count()) == ({"all": 100}, 100, 1)


def test_a_confirmed_review_is_live_with_its_reason(desk: Desk, shop: Platform) -> None:
    page = confirm(desk, send_quota(desk))
    assert "Version 2 is live on every server." in page.messages
    assert shop.quotas == {"all": 7}
    assert Publication.objects.get(sequence=2).reason == "A sale."


@pytest.mark.parametrize(
    ("why", "message"), [("", "required"), ("a\tb", "control characters"), ("a\0b", ""), ("x" * 501, "500")]
)
def test_a_confirmation_requires_a_reason(desk: Desk, shop: Platform, why: str, message: str) -> None:
    page = confirm(desk, send_quota(desk), why=why)
    assert page.is_review
    assert message in page.response.context["form"].errors["why"][0]
    assert shop.quotas == {"all": 100}


def test_after_a_concurrent_publication_the_review_is_shown_again(desk: Desk, shop: Platform) -> None:
    page = send_quota(desk)
    desk.add(Plan, name="Pro", slug="pro")
    again = confirm(desk, page)
    assert again.is_review
    assert "Another version was published in the meantime." in again.text
    assert (again.response.context["version"], again.response.context["form"].initial["why"]) == (3, "A sale.")
    assert "Version 3 is live on every server." in confirm(desk, again).messages


def test_editing_again_shows_the_form_with_the_typed_values(desk: Desk, shop: Platform) -> None:
    page = send_quota(desk, name="Everything")
    path = page.response.wsgi_request.get_full_path()
    form = Page(desk.client.post(path, page.sent_again | {"_edit_again": "1"}))
    assert (form.fields["name"], form.fields["limits-0-quota"]) == ("Everything", "7")
    assert form.errors == {}
    assert Policy.objects.get().name == ""


def test_changes_that_do_not_affect_the_ruleset_are_saved_without_a_review(desk: Desk, shop: Platform) -> None:
    page = desk.send(change_page(Policy.objects.get()), name="Everything")
    assert not page.is_review
    assert Policy.objects.get().name == "Everything"
    assert Publication.objects.count() == 1


def test_a_deletion_is_reviewed_too(desk: Desk, shop: Platform) -> None:
    path = reverse("admin:limits_policy_delete", args=[Policy.objects.get().pk])
    page = Page(desk.client.post(path, {"post": "yes"}, follow=True))
    assert [str(change) for change in page.response.context["changes"]] == ["Policy all removed."]
    assert Policy.objects.exists()
    confirm(desk, page)
    assert shop.quotas == {}


def test_affected_clients_are_counted_by_plan_without_those_with_an_override(desk: Desk, shop: Platform) -> None:
    pro = rows.plan("pro")
    policy = rows.policy("pro", plan=pro)
    for key in ("globex", "initech"):
        rows.client(key, plan=pro)
    rows.override_limit(rows.override(rows.client("hooli", plan=pro), policy))
    page = desk.send(change_page(policy), limits__0__quota="9")
    assert page.response.context["impact"].sentence == (
        "Affects 3 registered clients. 1 client with overrides keeps individual limits."
    )


def test_a_plan_without_clients_affects_no_clients(desk: Desk, shop: Platform) -> None:
    page = desk.send(reverse("admin:limits_plan_add"), name="Pro", slug="pro")
    assert page.response.context["impact"].sentence == "Affects no clients."
