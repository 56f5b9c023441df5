"""A save publishes: the change is live when the next page is shown."""

import pytest
from django.contrib.auth.models import User

from limits.models import ApiToken, Client, Endpoint, Override, Plan, Policy, Publication
from limits.models import Platform as PlatformRow
from limits.publishing.reconciler import reconcile
from tests.admin.desk import WHY, Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

NEW_LIMIT = {
    "limits__TOTAL_FORMS": "1",
    "limits__0__quota": "100",
    "limits__0__window_0": "1",
    "limits__0__window_1": "60",
    "limits__0__algorithm": "sliding_window",
}


def live(version: int) -> list[str]:
    return [f"Version {version} is live on every server."]


def published_of(page_messages: list[str]) -> list[str]:
    """The messages without Django's message about the row."""
    return [message for message in page_messages if "live" in message.lower()]


def test_a_changed_quota_is_live_when_the_next_page_is_shown(desk: Desk, shop: Platform) -> None:
    page = desk.change(Policy.objects.get(), limits__0__quota="7")
    assert published_of(page.messages) == live(2)
    assert shop.quotas == {"all": 7}


def test_the_publication_records_author_and_changes(desk: Desk, ada: User, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    publication = Publication.objects.get(sequence=2)
    assert (publication.author, publication.user, publication.state) == ("ada", ada, "live")
    assert publication.reason == WHY
    assert any("100 per minute" in change and "7 per minute" in change for change in publication.changes)


def test_a_save_without_changes_creates_no_version(desk: Desk, shop: Platform) -> None:
    page = desk.change(Policy.objects.get())
    assert published_of(page.messages) == live(1)
    assert shop.sequence == 1


def test_added_rows_are_live(desk: Desk, shop: Platform) -> None:
    desk.add(Plan, name="Pro", slug="pro")
    desk.add(
        Endpoint,
        name="Orders",
        slug="orders",
        cost="5",
        routes__TOTAL_FORMS="1",
        routes__0__method="POST",
        routes__0__path="/orders",
    )
    plan, endpoint = Plan.objects.get(slug="pro"), Endpoint.objects.get()
    page = desk.add(Policy, slug="pro-orders", name="Orders", plan=plan.pk, endpoint=endpoint.pk, **NEW_LIMIT)
    assert published_of(page.messages) == live(4)
    ruleset = shop.ruleset
    assert [plan.slug for plan in ruleset.plans] == ["free", "pro"]
    assert [(each.slug, each.cost, str(each.routes[0])) for each in ruleset.endpoints] == [
        ("orders", 5, "POST /orders")
    ]
    added = ruleset.policies[1]
    assert (added.slug, added.plan, added.endpoint) == ("pro-orders", "pro", "orders")


def test_a_new_default_plan_replaces_the_former_one(desk: Desk, shop: Platform) -> None:
    assert published_of(desk.add(Plan, name="Pro", slug="pro", is_default="on").messages) == live(2)
    assert shop.ruleset.default_plan == "pro"
    assert published_of(desk.change(Plan.objects.get(slug="free"), is_default="on").messages) == live(3)
    assert shop.ruleset.default_plan == "free"
    assert [plan.slug for plan in Plan.objects.filter(is_default=True)] == ["free"]


def test_a_deleted_policy_no_longer_applies(desk: Desk, shop: Platform) -> None:
    page = desk.delete(Policy.objects.get())
    assert published_of(page.messages) == live(2)
    assert shop.quotas == {}


def test_several_policies_are_deleted_in_one_version(desk: Desk, shop: Platform) -> None:
    page = desk.act("delete_selected", Policy.objects.get(), rows.policy("other"))
    assert published_of(page.messages) == live(2)
    assert shop.quotas == {}
    assert Publication.objects.get(sequence=2).reason == WHY


def test_a_changed_plan_of_a_client_is_live(desk: Desk, shop: Platform) -> None:
    pro = rows.plan("pro")
    page = desk.change(Client.objects.get(), plan=pro.pk)
    assert published_of(page.messages) == ["Live on every server: acme."]
    assert shop.client("acme").plan == "pro"
    assert shop.sequence == 1


def test_an_added_client_is_live(desk: Desk, shop: Platform) -> None:
    desk.add(Client, key="globex", name="Globex", status="blocked")
    assert shop.client("globex").status == "blocked"


@pytest.mark.parametrize("several", [False, True])
def test_a_deleted_client_is_deleted_in_the_store(desk: Desk, shop: Platform, several: bool) -> None:
    row = Client.objects.get()
    page = desk.act("delete_selected", row) if several else desk.delete(row)
    assert published_of(page.messages) == ["Live on every server: acme."]
    assert shop.client("acme").deleted


def test_an_override_is_live_until_its_row_is_deleted(desk: Desk, ada: User, shop: Platform) -> None:
    client, policy = Client.objects.get(), Policy.objects.get()
    desk.add(Override, client=client.pk, policy=policy.pk, reason="Sale", **NEW_LIMIT)
    override = Override.objects.get()
    assert override.created_by == ada
    assert [limit.quota for limit in shop.client("acme").overrides[0].limits] == [100]
    desk.change(override, limits__0__quota="900")
    assert [limit.quota for limit in shop.client("acme").overrides[0].limits] == [900]
    desk.delete(override)
    assert shop.client("acme").overrides == ()


def test_the_emergency_switch_is_live_and_shown_on_every_page(desk: Desk, shop: Platform) -> None:
    page = desk.change(PlatformRow.load(), shadow_all="on", why="Something is wrong tonight.")
    assert published_of(page.messages) == live(2)
    assert Publication.objects.get(sequence=2).reason == "Something is wrong tonight."
    assert shop.ruleset.shadow_all
    assert "Emergency switch is on: limits not enforced (blocks stay)" in desk.list(Plan).text
    desk.change(PlatformRow.load(), shadow_all=None)
    assert not shop.ruleset.shadow_all
    assert "Emergency switch is on" not in desk.list(Plan).text


def test_without_the_store_a_save_is_reported_as_not_live(desk: Desk, shop: Platform) -> None:
    shop.make_store_unavailable()
    rule = desk.change(Policy.objects.get(), limits__0__quota="7")
    client = desk.change(Client.objects.get(), status="blocked")
    sentence = "Saved, but not live yet. Redis is unavailable; the change will go live automatically."
    assert [published_of(page.messages) for page in (rule, client)] == [[sentence]] * 2
    assert Publication.objects.get(sequence=2).state == "pending"
    shop.make_store_available()
    assert shop.quotas == {"all": 100}
    reconcile()
    assert shop.quotas == {"all": 7}
    assert shop.client("acme").status == "blocked"
    assert Publication.objects.get(sequence=2).state == "live"


def test_rules_of_another_database_are_not_overwritten(desk: Desk, shop: Platform) -> None:
    Publication.objects.all().delete()
    page = desk.change(Policy.objects.get(), limits__0__quota="7")
    assert "publish_ruleset --take-over" in published_of(page.messages)[0]
    assert shop.quotas == {"all": 100}


def test_a_renamed_token_keeps_its_digest(desk: Desk, shop: Platform) -> None:
    token = rows.token("shop")
    desk.change(token, scopes="clients")
    assert ApiToken.objects.get().digest == token.digest
    assert [scope.value for scope in shop.ruleset.tokens[0].scopes] == ["clients"]
