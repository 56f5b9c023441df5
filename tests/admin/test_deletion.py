"""Deleting and changing many rows: with a reason, with history, and without a form field for each row."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from limits.admin import bulk
from limits.models import AlertRule, ApiToken, Client, Override, OverrideLimit, Plan, Policy, Publication
from limits.publishing import clients, rules
from tests.admin.desk import WHY, Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 1_100
"""More than the number of form fields that Django accepts."""

LIST = "/admin/limits/client/"


@pytest.fixture
def many(shop: Platform) -> Platform:
    """A live shop with additional clients of a campaign."""
    Client.objects.bulk_create(Client(key=f"promo-{number}") for number in range(MANY))
    assert clients.deliver().live
    return shop


def live() -> None:
    rules.record("test")
    assert rules.deliver().live


def fields_of(page: Page) -> list[str]:
    """The fields of the page's form."""
    form = page.text.split("<form method", 1)[1] if "<form method" in page.text else ""
    return re.findall(r"<(?:input|select|textarea)[ >]", form)


def all_that_match(desk: Desk, action: str, **more: str) -> Page:
    one = str(Client.objects.filter(key__startswith="promo").values_list("pk", flat=True)[0])
    sent = {"action": action, "_selected_action": one, "select_across": "1", "index": "0", **more}
    return Page(desk.client.post(f"{LIST}?q=promo", sent, follow=True))


def test_all_rows_that_match_a_search_are_deleted_with_history(desk: Desk, ada: User, many: Platform) -> None:
    page = all_that_match(desk, "delete_selected")
    assert "1,100 clients" in page.text
    assert len(fields_of(page)) < 10
    page = desk.confirm(page, "The campaign is over.")
    assert "1,100 clients deleted." in page.messages
    assert [message[-15:] for message in page.messages if "Live on every server" in message] == ["and 1,095 more."]
    assert list(Client.objects.values_list("key", flat=True)) == ["acme"]
    gone = Client.history.filter(history_type="-")
    assert set(gone.values_list("history_user", "history_change_reason")) == {(ada.pk, "The campaign is over.")}
    assert gone.count() == MANY
    record = many.client("promo-7")
    assert record
    assert record.deleted


def test_deleting_clients_shows_which_limits_apply_afterwards(desk: Desk, many: Platform) -> None:
    page = all_that_match(desk, "delete_selected")
    assert "limited by the default plan" in page.text
    assert "blocked" not in page.text
    Client.objects.filter(key__in=["promo-7", "promo-8"]).update(status="blocked")
    assert (
        "2 of the clients are blocked now, and will no longer be blocked."
        in all_that_match(desk, "delete_selected").text
    )


def test_deleting_a_blocked_client_warns_that_the_block_ends(desk: Desk, shop: Platform) -> None:
    client = rows.client("promo-7", status="blocked")
    page = desk.open(reverse("admin:limits_client_delete", args=[client.pk]))
    assert "limited by the default plan" in page.text
    assert "The client is blocked now, and will no longer be blocked." in page.text


def test_selected_rows_are_submitted_in_one_field(desk: Desk, many: Platform) -> None:
    some = Client.objects.filter(key__startswith="promo")[:150]
    sent = {"action": "delete_selected", "_selected_action": [str(row.pk) for row in some], "index": "0"}
    page = Page(desk.client.post(LIST, sent, follow=True))
    assert len(fields_of(page)) < 10
    hidden = dict(page.response.context["fields"])
    path = page.response.wsgi_request.get_full_path()
    answer = {"_delete": "1", "why": WHY, "count": "150"}
    page = Page(desk.client.post(path, hidden | answer, follow=True))
    assert "150 clients deleted." in page.messages
    assert Client.objects.count() == MANY + 1 - 150


def test_all_matching_clients_are_moved_to_a_plan_without_a_field_for_each(desk: Desk, many: Platform) -> None:
    pro = rows.plan("pro")
    page = all_that_match(desk, "move_to_plan")
    assert len(fields_of(page)) < 10
    page = all_that_match(desk, "move_to_plan", _move="1", plan=str(pro.pk), why="Sold.")
    assert "1,100 clients moved to Pro." in page.messages
    assert Client.objects.filter(plan=pro).count() == MANY
    assert Client.history.filter(history_type="~", history_change_reason="Sold.").count() == MANY


def test_nothing_is_deleted_without_a_reason(desk: Desk, shop: Platform) -> None:
    acme = Client.objects.get()
    path = reverse("admin:limits_client_delete", args=[acme.pk])
    page = Page(desk.client.post(path, {"_delete": "1", "why": "", "count": "1"}))
    assert "This field is required." in page.text
    assert Client.objects.filter(pk=acme.pk).exists()


def test_rows_that_match_only_since_the_page_was_shown_are_not_deleted(desk: Desk, many: Platform) -> None:
    page = all_that_match(desk, "delete_selected")
    rows.client("promo-late")
    page = desk.confirm(page)
    assert "The number of rows has changed." in page.text
    assert Client.objects.filter(key__startswith="promo").count() == MANY + 1


def test_deleting_a_client_deletes_its_overrides_with_history(desk: Desk, shop: Platform) -> None:
    acme = Client.objects.get()
    rows.override_limit(rows.override(acme, Policy.objects.get()))
    page = desk.delete(acme)
    assert "1 client deleted." in page.messages
    for model in (Client, Override, OverrideLimit):
        assert [record.history_change_reason for record in model.history.filter(history_type="-")] == [WHY]


def test_one_override_is_deleted_with_a_reason_and_is_live(desk: Desk, shop: Platform) -> None:
    row = rows.override(Client.objects.get(), Policy.objects.get())
    rows.override_limit(row)
    assert clients.deliver().live
    desk.delete(row)
    assert Override.history.first().history_change_reason == WHY
    record = shop.client("acme")
    assert record
    assert record.overrides == ()


def test_selected_policies_are_reviewed_before_they_are_deleted(desk: Desk, ada: User, shop: Platform) -> None:
    chosen = [rows.policy("orders"), rows.policy("search")]
    live()
    path = reverse("admin:limits_policy_changelist")
    sent = {"action": "delete_selected", "_selected_action": [str(row.pk) for row in chosen]}
    page = Page(desk.client.post(path, sent, follow=True))
    assert page.is_review
    assert page.messages == []
    assert Policy.objects.count() == 3
    page = desk.confirm(page, "They are not sold any more.")
    assert "2 policies deleted." in page.messages
    assert list(Policy.objects.values_list("slug", flat=True)) == ["all"]
    assert Publication.objects.first().reason == "They are not sold any more."  # type: ignore[union-attr]
    records = Policy.history.filter(history_type="-").values_list("history_user", "history_change_reason")
    assert list(records) == [(ada.pk, "They are not sold any more.")] * 2


def test_rows_that_prevent_a_deletion_are_named(desk: Desk, shop: Platform) -> None:
    policy = rows.policy("search", plan=rows.plan("pro"))
    page = desk.act("delete_selected", Plan.objects.get(slug="pro"))
    assert any("policy “search”" in message for message in page.messages)
    assert Policy.objects.filter(pk=policy.pk).exists()


def test_revoking_a_token_is_reviewed_and_in_the_history(desk: Desk, ada: User, shop: Platform) -> None:
    token = rows.token()
    live()
    page = desk.act("revoke", token)
    assert any("is live on every server" in message for message in page.messages)
    token.refresh_from_db()
    assert token.revoked_at
    record = ApiToken.history.first()
    assert (record.history_user, record.history_change_reason, record.history_type) == (ada, WHY, "~")


def test_the_history_of_a_former_default_plan_contains_the_change(desk: Desk, ada: User, shop: Platform) -> None:
    pro = rows.plan("pro")
    desk.change(pro, is_default="on")
    record = Plan.objects.get(slug="free").history.first()
    assert (record.is_default, record.history_user, record.history_change_reason) == (False, ada, WHY)


def test_an_alert_rule_is_deleted_with_a_reason(desk: Desk, shop: Platform) -> None:
    desk.act("delete_selected", rows.alert_rule("a"), rows.alert_rule("b"))
    assert not AlertRule.objects.exists()
    assert [record.history_change_reason for record in AlertRule.history.filter(history_type="-")] == [WHY, WHY]


def test_the_chunks_of_a_step_are_bounded(many: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 100)
    found = [len(chunk) for chunk in bulk.chunks(Client.objects.filter(key__startswith="promo"), most=300)]
    assert found == [100, 100, 100]
    everything = [key for chunk in bulk.chunks(Client.objects.all()) for key in chunk.values_list("pk", flat=True)]
    assert len(set(everything)) == len(everything) == MANY + 1
