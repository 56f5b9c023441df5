"""The choice of a time zone in the form of a limit."""

import re

import pytest

from limits.models import Policy, PolicyLimit
from ratelimit_enforcer.domain.calendar import timezones
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def offered(desk: Desk, page: Page) -> list[tuple[str, str]]:
    """Value and label of each choice: none, which the empty field shows, then the suggestions, and the value of the
    page if it is none of these."""
    empty = re.findall(r'placeholder="([^"]*)"', field_of(page, "limits-0-timezone"))
    suggestions = desk.client.get("/admin/limits/policy/time-zones/").json()["names"]
    own = [zone for zone in chosen(page) if zone and zone not in suggestions]
    return [("", *empty), *((name, name) for name in [*suggestions, *own])]


def chosen(page: Page, field: str = "limits-0-timezone") -> list[str]:
    return re.findall(r'value="([^"]*)"', field_of(page, field)) or [""]


def field_of(page: Page, name: str) -> str:
    (field,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page.text)
    return str(field)


def calendar(zone: str) -> Policy:
    policy = Policy.objects.create(slug="monthly")
    return rows.limit(policy, algorithm="calendar", window=None, period="month", timezone=zone).policy


def policy_page(desk: Desk, policy: Policy) -> Page:
    return desk.open(f"/admin/limits/policy/{policy.pk}/change/")


def test_each_zone_is_offered_once_and_none_is_selected(desk: Desk, shop: Platform) -> None:
    page = policy_page(desk, Policy.objects.get())
    assert offered(desk, page) == [("", "UTC or none"), *((name, name) for name in sorted(timezones()))]
    assert chosen(page) == [""]


def test_the_saved_zone_is_selected(desk: Desk, shop: Platform) -> None:
    page = policy_page(desk, calendar("Europe/Berlin"))
    assert chosen(page) == ["Europe/Berlin"]
    assert chosen(page, "limits-__prefix__-timezone") == [""]


def test_a_zone_that_no_longer_exists_is_kept(desk: Desk, shop: Platform) -> None:
    policy = calendar("Europe/Berlin")
    PolicyLimit.objects.filter(policy=policy).update(timezone="Mars/Olympus&Co")
    page = policy_page(desk, policy)
    assert chosen(page) == ["Mars/Olympus&amp;Co"]
    assert len(offered(desk, page)) == len(timezones()) + 2


def test_the_selected_zone_is_kept_if_another_field_is_invalid(desk: Desk, shop: Platform) -> None:
    typed = {"algorithm": "calendar", "period": "day", "timezone": "Asia/Tokyo", "quota": "ten", "window_0": ""}
    page = desk.change(Policy.objects.get(), **{f"limits__0__{name}": value for name, value in typed.items()})
    assert list(page.errors) == ["limits-0-quota"]
    assert chosen(page) == ["Asia/Tokyo"]


def test_the_page_renders_no_template_per_zone(desk: Desk, shop: Platform) -> None:
    """Two templates for each zone once took most of the time of every page with limits."""
    page = policy_page(desk, Policy.objects.get())
    assert len(page.response.templates) < len(timezones())


@pytest.mark.parametrize("typed", ["europe/berlin", " Europe/Berlin ", "EUROPE/BERLIN"])
def test_a_zone_may_be_typed_in_any_case(desk: Desk, shop: Platform, typed: str) -> None:
    desk.change(calendar("UTC"), limits__0__timezone=typed)
    assert PolicyLimit.objects.get(policy__slug="monthly").timezone == "Europe/Berlin"


def test_an_unknown_zone_is_refused_at_its_field(desk: Desk, shop: Platform) -> None:
    page = desk.change(calendar("UTC"), limits__0__timezone="Mars/Olympus")
    assert list(page.errors) == ["limits-0-timezone"]
    assert chosen(page) == ["Mars/Olympus"]


def test_the_page_of_a_client_with_two_overrides_is_small(desk: Desk, shop: Platform) -> None:
    """Each limit, and each empty row for another one, once contained the names of all time zones."""
    client = rows.client("globex")
    for policy in (Policy.objects.get(), calendar("UTC")):
        rows.override_limit(rows.override(client, policy))
    page = desk.open(f"/admin/limits/client/{client.pk}/change/")
    assert len(page.response.content) < 240_000


def test_the_browser_keeps_the_suggestions(desk: Desk, shop: Platform) -> None:
    assert desk.client.get("/admin/limits/policy/time-zones/")["Cache-Control"] == "private, max-age=86400"
