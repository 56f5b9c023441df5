"""The admin in a real Chromium, and checks that apply to every page."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from limits.models.roles import create_roles
from tests.support.chromium import chromium
from tests.support.web import WebServer

LOADED = "domcontentloaded"

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

# Omits what takes time without changing the findings: passing nodes, and a rule of moderate impact.
# Includes text on pseudo-elements, which axe by default leaves to manual review.
AXE: dict[str, object] = {
    "resultTypes": ["violations"],
    "reporter": "no-passes",
    "rules": {"region": {"enabled": False}},
    "checks": {"color-contrast": {"options": {"ignorePseudo": True}}},
}
# All other rules have the same findings in light and dark mode.
DARK = AXE | {"runOnly": ["color-contrast", "link-in-text-block"]}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine; the tests fail if it is not installed."""
    # From now on Playwright's event loop runs in this thread, which Django mistakes for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser: Browser, lasting_servers: list[WebServer]) -> Iterator[BrowserContext]:
    """One context for all tests, because a new one would fetch and compile every static file again."""
    context = browser.new_context(base_url=lasting_servers[0].url, viewport={"width": 1400, "height": 1000})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, servers: list[WebServer]) -> Iterator[Page]:
    """A page of the first server, without state of earlier tests. The test fails on any error in the console and on
    any request to another host."""
    seen = Watch()
    page = context.new_page()
    everything = {"origin": servers[0].url, "storageTypes": "cookies,local_storage"}
    context.new_cdp_session(page).send("Storage.clearDataForOrigin", everything)
    page.on("console", seen.console)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", seen.request)
    yield page
    page.close()
    assert seen.errors == []
    assert seen.hosts == {"127.0.0.1"}


class Watch:
    """The console errors of a page, and the hosts of its requests."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.hosts: set[str | None] = set()

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({message.location})")

    def request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https"):
            self.hosts.add(address.hostname)


def serious_findings(page: Page, scheme: Scheme = "light") -> list[str]:
    """The serious accessibility findings of axe-core on this page: rule and first element.

    ``scheme``: the present scheme of the page; in dark mode only the rules about colours are run.
    """
    assert page.locator("html.dark").count() == (scheme == "dark")
    return findings(page, AXE if scheme == "light" else DARK)


def findings(page: Page, options: dict[str, object]) -> list[str]:
    """The serious findings of axe-core with these options: rule and first element."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:200]}" for each in serious]


def picture(page: Page, name: str, scheme: Scheme = "light") -> None:
    """Asserts that the page has no serious accessibility finding. Saves a picture into the folder ``SCREENSHOTS``, if
    it is set."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert serious_findings(page, scheme) == []


def switch_to(page: Page, scheme: Scheme) -> None:
    """Selects a colour scheme, like the menu of the page; it also applies to pages opened later."""
    page.evaluate("scheme => Alpine.$data(document.documentElement).switchTheme(scheme)", scheme)
    # Colours change gradually, so the animations are finished first.
    page.evaluate("() => document.getAnimations().forEach(each => each.finish())")


def log_in(page: Page, user: User) -> None:
    """Logs a user in without the login form, which has a separate test."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}])


def log_in_as(page: Page, role: str, name: str) -> None:
    """Opens the admin as a new user in a group, instead of the user who was logged in."""
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    page.context.clear_cookies()
    log_in(page, user)
    page.goto("/admin/")


def save(page: Page) -> str:
    """Clicks “Save and continue editing”, confirms the review if there is one, and returns the text of
    the next page."""
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_load_state(LOADED)
    if page.locator("#review").count():
        publish(page)
    return page.locator("body").inner_text()


def publish(page: Page, why: str = "Somebody asked for it.") -> None:
    """Confirms a review."""
    page.get_by_label("Reason").fill(why)
    page.get_by_role("button", name="Publish version").click()
    page.wait_for_load_state(LOADED)
