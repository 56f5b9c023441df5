"""The admin by keyboard, and on a screen that is 390 pixels wide."""

import pytest
from playwright.sync_api import Page, expect

from limits.models import Plan
from tests.end_to_end.browser import AXE, findings, serious_findings
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


def test_the_form_of_an_alert_rule_follows_what_is_typed(admin: Page) -> None:
    admin.goto("/admin/limits/alertrule/add/")
    admin.locator("[name=threshold]").fill("50")
    admin.locator("[name=window_0]").fill("5")
    admin.locator("[name=emails]").fill("ops@example.com")
    sentence = admin.locator(".rl-rule")
    expect(sentence).to_contain_text("Notifies ops@example.com: 50 requests denied in 5 minutes; at most one message")
    expect(admin.locator("[name=min_requests]")).to_be_hidden()
    admin.locator("[name=metric]").select_option("throttled_ratio")
    expect(admin.locator("[name=min_requests]")).to_be_visible()
    expect(sentence).to_contain_text("Threshold: Must be a ratio above 0 and at most 1, such as 0.2.")
    admin.locator("[name=metric]").select_option("platform")
    expect(sentence).to_contain_text("Notifies ops@example.com: a platform problem;")
    expect(admin.locator("[name=threshold]")).to_be_hidden()
    expect(admin.get_by_text("Filters", exact=True)).to_be_hidden()
    assert serious_findings(admin) == []


@pytest.mark.parametrize("address", ["/admin/limits/endpoint/add/", "/admin/limits/plan/{pro}/copy"])
def test_a_slug_is_proposed_from_the_name(admin: Page, address: str) -> None:
    admin.goto(address.format(pro=Plan.objects.get(slug="pro").pk))
    admin.locator("[name=name]").press_sequentially("Über Team 2")
    expect(admin.locator("[name=slug]")).to_have_value("uber-team-2")
