"""The selection of a time zone in the form of a limit."""

import re

import pytest

from limits.models import Policy, PolicyLimit
from ratelimit_enforcer.domain.calendar import timezones
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def offered(page: Page, field: str = "limits-0-timezone") -> list[tuple[str, str]]:
    """Value and label of each option."""
    options = page.text.split(f'name="{field}"', 1)[1].split("</select>", 1)[0]
    return re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)</option>', options)


def chosen(page: Page, field: str = "limits-0-timezone") -> list[str]:
    options = page.text.split(f'name="{field}"', 1)[1].split("</select>", 1)[0]
    return re.findall(r'<option value="([^"]*)" selected>', options)


def calendar(zone: str) -> Policy:
    policy = Policy.objects.create(slug="monthly")
    return rows.limit(policy, algorithm="calendar", window=None, period="month", timezone=zone).policy


def policy_page(desk: Desk, policy: Policy) -> Page:
    return desk.open(f"/admin/limits/policy/{policy.pk}/change/")


def test_each_zone_is_offered_once_and_none_is_selected(desk: Desk, shop: Platform) -> None:
    page = policy_page(desk, Policy.objects.get())
    assert offered(page) == [("", "UTC or none"), *((name, name) for name in sorted(timezones()))]
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
    assert len(offered(page)) == len(timezones()) + 2


def test_the_selected_zone_is_kept_if_another_field_is_invalid(desk: Desk, shop: Platform) -> None:
    typed = {"algorithm": "calendar", "period": "day", "timezone": "Asia/Tokyo", "quota": "ten", "window_0": ""}
    page = desk.change(Policy.objects.get(), **{f"limits__0__{name}": value for name, value in typed.items()})
    assert list(page.errors) == ["limits-0-quota"]
    assert chosen(page) == ["Asia/Tokyo"]


def test_the_page_renders_no_template_per_zone(desk: Desk, shop: Platform) -> None:
    """Two templates for each zone once took most of the time of every page with limits."""
    page = policy_page(desk, Policy.objects.get())
    assert len(page.response.templates) < len(timezones())
