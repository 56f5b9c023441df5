"""Resetting counters on a client's page, and the route tester."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from limits.models import Client, CounterReset, Policy
from limits.publishing import rules
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def reset_page(client: Client) -> str:
    return reverse("admin:limits_client_reset_counters", args=[client.pk])


def test_counters_are_reset_with_a_reason(desk: Desk, shop: Platform) -> None:
    client = Client.objects.get()
    engine = get_engine()
    engine.check(CheckRequest(client.key, "any"))
    assert "Reset counters" in desk.open(reverse("admin:limits_client_change", args=[client.pk])).text
    assert "Resets all counters" in desk.open(reset_page(client)).text
    assert not CounterReset.objects.exists()

    page = desk.client.post(reset_page(client), {"reason": "Paid for more."}, follow=True)

    assert f"Counters of {client.key} were reset." in page.content.decode()
    kept = CounterReset.objects.get()
    assert (kept.client_key, kept.reason, kept.author) == (client.key, "Paid for more.", "ada")
    assert engine.check(CheckRequest(client.key, "any"), consume=False).leading.remaining == 100  # type: ignore[union-attr]
    assert "Paid for more." in desk.list(CounterReset).text


def test_a_reset_frees_the_places_of_concurrent_requests(desk: Desk, shop: Platform) -> None:
    rows.limit(Policy.objects.get(), quota=1, window=600, algorithm="concurrency")
    rules.record("test")
    assert rules.deliver().live
    engine = get_engine()
    earlier = engine.check(CheckRequest("acme", "any", cost=5)).reservation or ""
    assert not engine.check(CheckRequest("acme", "any")).allowed
    page = reset_page(Client.objects.get())
    assert "and frees the places of concurrent requests" in desk.open(page).text
    desk.client.post(page, {"reason": "The service was restarted."})
    assert engine.check(CheckRequest("acme", "any", cost=7)).allowed
    assert not engine.check(CheckRequest("acme", "any")).allowed
    engine.settle(earlier, 1)
    states = engine.check(CheckRequest("acme", "any"), consume=False).limits
    assert [state.remaining for state in states] == [93, 0]


def test_a_reason_is_needed(desk: Desk, shop: Platform) -> None:
    page = desk.client.post(reset_page(Client.objects.get()), {"reason": ""})
    assert "This field is required." in page.content.decode()
    assert not CounterReset.objects.exists()


def test_users_with_view_permission_cannot_reset_counters(shop: Platform, transactional_db: None) -> None:
    viewer = User.objects.create_user("viewer", password="a password of viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_client"))
    answer = desk_of(viewer).client.post(reset_page(Client.objects.get()), {"reason": "x"})
    assert answer.status_code == 403
    assert not CounterReset.objects.exists()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("GET /search/7", "(find)"),
        ("get //search/%37/?q=1", "(find)"),
        ("POST /search/7", "Matches no endpoint"),
        ("search", "Enter a method and a path"),
    ],
)
def test_the_route_tester_shows_the_endpoint(desk: Desk, shop: Platform, asked: str, found: str) -> None:
    rows.endpoint("find", "GET /search/{id}")
    page = desk.open(reverse("admin:limits_endpoint_try_a_route"), request=asked)
    assert found in page.text
