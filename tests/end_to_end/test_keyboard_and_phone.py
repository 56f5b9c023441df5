"""The admin by keyboard, and on a screen that is 390 pixels wide."""

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.browser import AXE, findings
from tests.end_to_end.test_admin_in_a_browser import full

__all__ = ["full"]

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}
# Targets of at least 24 by 24 pixels, or with as much space around them: a rule that axe does not run by default.
TOUCH = AXE | {"rules": {"region": {"enabled": False}, "target-size": {"enabled": True}}}

PAGES = [
    "/admin/",
    "/admin/limits/client/explain/?client=globex&request=GET%20/search",
    "/admin/limits/usage/",
    "/admin/limits/client/",
    "/admin/limits/plan/compare",
]


def test_the_first_key_leads_past_the_menu_to_the_content(admin: Page) -> None:
    admin.goto("/admin/limits/plan/")
    admin.keyboard.press("Tab")
    expect(admin.get_by_role("link", name="Skip to the content")).to_be_focused()
    admin.keyboard.press("Enter")
    expect(admin.locator("#content")).to_be_focused()
    admin.keyboard.press("Tab")
    expect(admin.locator("main :focus")).to_have_count(1)


def test_the_focus_returns_from_the_filters_to_their_button(admin: Page) -> None:
    admin.goto("/admin/limits/client/")
    button = admin.get_by_role("button", name="Filters", exact=True)
    for close in (lambda: admin.keyboard.press("Escape"), lambda: admin.keyboard.press("Enter")):
        button.press("Enter")
        expect(admin.locator("#close-filters")).to_be_focused()
        close()
        expect(button).to_be_focused()
        expect(admin.locator("#changelist-filter")).to_be_hidden()


def test_pages_fit_a_phone(admin: Page, full: None) -> None:
    admin.set_viewport_size(PHONE)  # type: ignore[arg-type]
    found = {}
    for address in PAGES:
        admin.goto(address)
        width = admin.evaluate("() => document.documentElement.scrollWidth")
        found[address] = [f"{width} pixels wide"] * (width > PHONE["width"]) + findings(admin, TOUCH)
    assert {address: each for address, each in found.items() if each} == {}


def test_the_labels_of_a_chart_are_legible_on_a_phone(admin: Page, full: None) -> None:
    admin.set_viewport_size(PHONE)  # type: ignore[arg-type]
    admin.goto("/admin/")
    chart = admin.locator(".rl-chart")
    heights = chart.locator("text").evaluate_all("all => all.map(each => each.getBoundingClientRect().height)")
    assert min(heights) >= 9
    right = "all => Math.max(...all.map(each => each.getBoundingClientRect().right))"
    assert chart.locator("text").evaluate_all(right) <= chart.evaluate("each => each.getBoundingClientRect().right") + 1
