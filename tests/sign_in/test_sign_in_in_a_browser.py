"""Sign-in in a real browser, and how its pages look."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.browser import SCHEMES, Scheme, Watch, picture, switch_to
from tests.support.provider import Provider
from tests.support.web import WebServer

pytestmark = [pytest.mark.xdist_group("sign-in"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(browser: Browser, provider: Provider, platform: WebServer) -> Page:
    """A page whose browser does not know the provider's authority."""
    context = browser.new_context(base_url=platform.url, ignore_https_errors=True)
    return context.new_page()


def fill_in_at_the_provider(page: Page, subject: str) -> None:
    page.get_by_placeholder("Enter any login").fill(subject)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()


def test_somebody_signs_in_works_and_logs_out_of_both(page: Page, provider: Provider) -> None:
    seen = Watch()
    page.goto("/admin/limits/override/")
    page.on("console", seen.console)
    page.get_by_role("link", name="Sign in with Example").click()
    fill_in_at_the_provider(page, "ada")

    expect(page).to_have_title("Select override to change | Rate limits")
    expect(page.get_by_role("link", name="Add an override")).to_be_visible()
    expect(page.get_by_role("link", name="Emergency switch")).to_be_visible()
    page.evaluate("document.querySelector('form[action=\"/admin/logout/\"]').submit()")
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
    picture(page, "logged-out")
    assert [error for error in seen.errors if "fonts.googleapis" not in error] == []

    page.get_by_role("link", name="Log out at the provider, too").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_label("Username")).to_be_visible()
    page.get_by_role("link", name="Sign in with Example").click()
    expect(page.get_by_placeholder("Enter any login")).to_be_visible()
    page.context.close()


def test_without_a_role_another_account_may_be_used(page: Page) -> None:
    page.goto("/admin/sign-in/")
    fill_in_at_the_provider(page, "ben")
    expect(page.get_by_role("heading", name="Your account has no role here")).to_be_visible()
    expect(page.get_by_role("main")).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, "no-role")
    page.get_by_role("link", name="Use another account").click()
    fill_in_at_the_provider(page, "ada")
    expect(page).to_have_title("Home | Rate limits")
    page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_login_page_fits_on_screens(page: Page, scheme: Scheme, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/admin/login/")
    switch_to(page, scheme)
    expect(page.get_by_role("link", name="Sign in with Example")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"login-{width}-{scheme}", scheme)
    page.context.close()
