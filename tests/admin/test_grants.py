"""Grants in the admin: selling from the client's page, the list, and ending."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone

from limits.models import Client, Grant, GrantTotal, Policy
from limits.models.roles import PRODUCT_MANAGERS, SUPPORT, create_roles
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "admin:limits_grant_add"
END_OF_YEAR = {"ends_at_0": "2126-12-31", "ends_at_1": ""}
SENTENCE = (
    "acme: 10,000 more of “monthly” until 31 Dec 2126, 00:00 UTC, after the month&#x27;s own quota is used (100 per "
    "month in UTC). What is not used remains available in the next month, until the grant ends."
)


@pytest.fixture
def sold(shop: Platform) -> Platform:
    """A shop with a policy with a monthly quota."""
    rows.monthly_policy()
    return shop


def client_page(desk: Desk) -> Page:
    return desk.open(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))


def sell(desk: Desk, **fields: str) -> Page:
    """Opens the form from the client's page, and saves it."""
    path = f"{reverse(ADD)}?client={Client.objects.get().pk}"
    assert path.replace("&", "&amp;") in client_page(desk).text
    return desk.send(path, policy=str(Policy.objects.get(slug="monthly").pk), **END_OF_YEAR, **fields)


def test_more_is_sold_on_the_clients_page(desk: Desk, sold: Platform) -> None:
    page = sell(desk, amount="10000", reason="Order 7")
    assert urlsplit(page.response.redirect_chain[-1][0]).path == reverse(
        "admin:limits_client_change", args=[Client.objects.get().pk]
    )
    assert "Live on every server: acme." in page.messages
    record = sold.client("acme")
    assert record is not None
    assert [grant.amount for grant in record.grants] == [10_000]
    row = Grant.objects.get()
    assert (row.author, row.reason) == ("ada", "Order 7")
    assert timezone.now() - row.starts_at < timedelta(minutes=1)
    assert "<td>10,000</td>" in page.text
    assert "End now…" in page.text


def test_a_sentence_says_what_the_grant_does(desk: Desk, sold: Platform) -> None:
    policy = rows.policy("by-minute").pk
    monthly = Policy.objects.get(slug="monthly").pk
    given = {"client": str(Client.objects.get().pk), "policy": str(monthly), "amount": "10000", **END_OF_YEAR}
    effect = reverse("admin:limits_grant_effect")
    assert SENTENCE in desk.open(effect, **given).text
    later = desk.open(effect, **given, starts_at_0="2126-12-01").text
    assert "“monthly” from 1 Dec 2126, 00:00 UTC until" in later
    assert desk.open(effect, **given | {"policy": str(policy)}).text.strip() == ""
    assert desk.open(effect, amount="x").text.strip() == ""


def test_errors_are_at_their_fields(desk: Desk, sold: Platform) -> None:
    page = desk.add(Grant, amount="0", ends_at_0="2026-01-01")
    assert page.errors.keys() == {"client", "policy", "amount", "ends_at"}
    assert page.errors["ends_at"] == ["The end is in the past. To stop a grant, end it."]
    row = rows.grant(Client.objects.get(), Policy.objects.get(slug="monthly"))
    GrantTotal.objects.create(grant=row, consumed=300, returned=0)
    assert desk.change(row, amount="299").errors == {
        "amount": ["300 units are used already. To stop the grant, end it."]
    }
    assert "Live on every server: acme." in desk.change(row, amount="300").messages


def test_a_used_grant_is_ended_and_an_unused_one_removed(desk: Desk, sold: Platform) -> None:
    used = rows.grant(Client.objects.get(), Policy.objects.get(slug="monthly"))
    unused = rows.grant(used.client, used.policy, starts_at=timezone.now())
    GrantTotal.objects.create(grant=used, consumed=300, returned=0)
    for row in (used, unused):
        path = reverse("admin:limits_grant_end", args=[row.pk])
        page = Page(desk.client.post(path, {"why": "Ordered by mistake."}, follow=True))
        assert "Live on every server: acme." in page.messages
    assert Grant.objects.get() == used
    assert used.history.first().history_change_reason == "Ordered by mistake."
    assert Grant.objects.get().ends_at <= timezone.now()
    record = sold.client("acme")
    assert record is not None
    assert [grant.id for grant in record.grants] == [used.pk]
    assert "End now…" not in client_page(desk).text


def test_the_list_is_filtered_by_state_and_searched_by_client(desk: Desk, sold: Platform) -> None:
    policy = Policy.objects.get(slug="monthly")
    rows.grant(Client.objects.get(), policy, 1_234)
    rows.grant(rows.client("other"), policy, 5_678, days=-0.01)
    live, ended = desk.list(Grant, state="live").text, desk.list(Grant, state="ended").text
    assert ("1,234" in live, "5,678" in live) == (True, False)
    assert ("1,234" in ended, "5,678" in ended) == (False, True)
    assert "5,678" not in desk.list(Grant, q="acm").text


def test_product_managers_sell_and_support_only_looks(sold: Platform) -> None:
    create_roles(Group.objects, Permission.objects)
    row = rows.grant(Client.objects.get(), Policy.objects.get(slug="monthly"))
    for role, may in ((PRODUCT_MANAGERS, True), (SUPPORT, False)):
        user = User.objects.create_user(role, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        desk = desk_of(user)
        text = client_page(desk).text
        assert ("Add grant…" in text, "End now…" in text) == (may, may)
        assert "1,000" in text
        assert desk.open(reverse("admin:limits_grant_end", args=[row.pk])).status == (200 if may else 403)
