"""Repeated failed logins in a real browser."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from redis import Redis

from tests.end_to_end.browser import serious_findings
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a password of Ada"


def type_in(page: Page, password: str) -> int:
    """Submits the login form. Returns the status of the response."""
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(password)
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name="Log in").click()
    answer = navigation.value
    assert answer is not None
    return answer.status


@pytest.mark.usefixtures("redis")
def test_after_too_many_failed_logins_the_page_shows_when_to_retry(
    browser: Browser, web_servers: Callable[..., list[WebServer]], redis: Redis
) -> None:
    [server] = web_servers(1, workers=2, LOGIN_RATE_ADDRESS="3/10m")
    User.objects.create_superuser("ada", "ada@example.com", PASSWORD)
    page = browser.new_context(base_url=server.url).new_page()
    page.goto("/admin/login/?next=/admin/")

    statuses = [type_in(page, f"guess {number}") for number in range(3)] + [type_in(page, PASSWORD)]

    assert statuses == [200, 200, 200, 429]
    expect(page.get_by_text("Too many login attempts. Try again in 10 minutes.")).to_be_visible()
    expect(page.get_by_label("Username")).to_have_value("ada")
    assert serious_findings(page) == []

    redis.flushall()
    assert type_in(page, PASSWORD) == 200
    expect(page).to_have_url(f"{server.url}/admin/")
    page.context.close()
