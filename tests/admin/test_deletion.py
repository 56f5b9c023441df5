"""Deleting and changing many rows: with a reason, in the history, and without a field for each row."""

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
"""More than Django takes as fields of one form."""

LIST = "/admin/limits/client/"


@pytest.fixture
def many(shop: Platform) -> Platform:
    """Clients of a campaign beside the shop's own, all live."""
    Client.objects.bulk_create(Client(key=f"promo-{number}") for number in range(MANY))
    assert clients.deliver().live
    return shop


def live() -> None:
    rules.record("test")
    assert rules.deliver().live


def fields_of(page: Page) -> list[str]:
    """Fields of the page's own form."""
    form = page.text.split("<form method", 1)[1] if "<form method" in page.text else ""
    return re.findall(r"<(?:input|select|textarea)[ >]", form)


def all_that_match(desk: Desk, action: str, **more: str) -> Page:
    one = str(Client.objects.filter(key__startswith="promo").values_list("pk", flat=True)[0])
    sent = {"action": action, "_selected_action": one, "select_across": "1", "index": "0", **more}
    return Page(desk.client.post(f"{LIST}?q=promo", sent, follow=True))


def test_all_that_match_a_search_are_deleted_live_and_in_the_history(desk: Desk, ada: User, many: Platform) -> None:
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


def test_who_deletes_clients_is_told_what_limits_their_requests_then(desk: Desk, many: Platform) -> None:
    page = all_that_match(desk, "delete_selected")
    assert "limited by the default plan" in page.text
    assert "blocked" not in page.text
    Client.objects.filter(key__in=["promo-7", "promo-8"]).update(status="blocked")
    assert (
        "2 of the clients are blocked now, and will no longer be blocked."
        in all_that_match(desk, "delete_selected").text
    )


def test_who_deletes_a_blocked_client_is_told_that_this_ends_the_block(desk: Desk, shop: Platform) -> None:
    client = rows.client("promo-7", status="blocked")
    page = desk.open(reverse("admin:limits_client_delete", args=[client.pk]))
    assert "limited by the default plan" in page.text
    assert "The client is blocked now, and will no longer be blocked." in page.text


def test_a_selection_of_rows_travels_in_one_field(desk: Desk, many: Platform) -> None:
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


def test_all_that_match_are_moved_to_a_plan_without_a_field_for_each(desk: Desk, many: Platform) -> None:
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


def test_what_matches_since_the_page_was_shown_is_not_deleted_unseen(desk: Desk, many: Platform) -> None:
    page = all_that_match(desk, "delete_selected")
    rows.client("promo-late")
    page = desk.confirm(page)
    assert "The number of rows has changed." in page.text
    assert Client.objects.filter(key__startswith="promo").count() == MANY + 1


def test_an_override_and_its_limits_go_with_their_client_and_are_in_the_history(desk: Desk, shop: Platform) -> None:
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


def test_what_holds_on_to_selected_rows_is_named(desk: Desk, shop: Platform) -> None:
    policy = rows.policy("search", plan=rows.plan("pro"))
    page = desk.act("delete_selected", Plan.objects.get(slug="pro"))
    assert any("policy “search”" in message for message in page.messages)
    assert Policy.objects.filter(pk=policy.pk).exists()


def test_a_revoked_token_is_reviewed_and_in_the_history(desk: Desk, ada: User, shop: Platform) -> None:
    token = rows.token()
    live()
    page = desk.act("revoke", token)
    assert any("is live on every server" in message for message in page.messages)
    token.refresh_from_db()
    assert token.revoked_at
    record = ApiToken.history.first()
    assert (record.history_user, record.history_change_reason, record.history_type) == (ada, WHY, "~")


def test_a_plan_that_stops_being_the_default_says_so_in_its_history(desk: Desk, ada: User, shop: Platform) -> None:
    pro = rows.plan("pro")
    desk.change(pro, is_default="on")
    record = Plan.objects.get(slug="free").history.first()
    assert (record.is_default, record.history_user, record.history_change_reason) == (False, ada, WHY)


def test_an_alert_rule_is_deleted_with_a_reason(desk: Desk, shop: Platform) -> None:
    desk.act("delete_selected", rows.alert_rule("a"), rows.alert_rule("b"))
    assert not AlertRule.objects.exists()
    assert [record.history_change_reason for record in AlertRule.history.filter(history_type="-")] == [WHY, WHY]


def test_a_step_takes_no_more_than_its_bound(many: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 100)
    found = [len(chunk) for chunk in bulk.chunks(Client.objects.filter(key__startswith="promo"), most=300)]
    assert found == [100, 100, 100]
    everything = [key for chunk in bulk.chunks(Client.objects.all()) for key in chunk.values_list("pk", flat=True)]
    assert len(set(everything)) == len(everything) == MANY + 1
