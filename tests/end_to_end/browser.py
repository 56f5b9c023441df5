"""A real Chromium at the admin, and what must never happen in it."""

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from limits.models.roles import create_roles
from tests.support.web import WebServer

LOADED = "domcontentloaded"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; the tests fail where there is none."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "The browser tests need Chromium: apt-get install chromium"
    # Playwright's loop runs in this thread from now on; Django takes that for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, servers: list[WebServer]) -> Iterator[Page]:
    """A page at the first server. The test fails on any error in the console and on any request to
    another host."""
    seen = Watch()
    context = browser.new_context(base_url=servers[0].url, viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.on("console", seen.console)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", seen.request)
    yield page
    context.close()
    assert seen.errors == []
    assert seen.hosts == {"127.0.0.1"}


class Watch:
    """What the page said and whom it asked."""

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


def serious_findings(page: Page) -> list[str]:
    """What axe-core finds on this page that keeps somebody from using it: rule and first element."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:200]}" for each in serious]


def log_in(page: Page, user: User) -> None:
    """Opens the admin as somebody who has logged in; the form for it has a test of its own."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}])
    page.goto("/admin/")


def log_in_as(page: Page, role: str, name: str) -> None:
    """Opens the admin as a new member of a group, in place of whoever was logged in."""
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    page.context.clear_cookies()
    log_in(page, user)


def save(page: Page) -> str:
    """Presses “Save and continue editing”, confirms the review where there is one, and returns what
    the page says then."""
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_load_state(LOADED)
    if page.locator("#review").count():
        publish(page)
    return page.locator("body").inner_text()


def publish(page: Page, why: str = "Somebody asked for it.") -> None:
    """Confirms a review."""
    page.get_by_label("Why?").fill(why)
    page.get_by_role("button", name="Publish version").click()
    page.wait_for_load_state(LOADED)
