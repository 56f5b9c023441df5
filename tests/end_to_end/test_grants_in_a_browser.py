"""More is sold on a client's page, in a real browser: the very next checks are admitted, on both servers."""

import re
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Client, Grant
from limits.publishing import clients
from tests.end_to_end.browser import SCHEMES, picture, switch_to
from tests.end_to_end.shop import ask, publish
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1400, "height": 1000}


@pytest.fixture
def acme(servers: list[WebServer]) -> Client:
    """Acme may make two requests per month."""
    rows.monthly_policy("free-total", 2, name="Free total")
    acme = rows.client("acme", name="Acme Ltd")
    publish()
    assert clients.deliver().live
    return acme


def pictures(admin: Page, name: str, address: str) -> None:
    """Of the page with this address, once it is loaded: light, dark, and on a phone, where the page itself does not
    scroll sideways."""
    admin.wait_for_url(re.compile(address))
    for scheme in SCHEMES:
        switch_to(admin, scheme)
        picture(admin, f"{name}-{scheme}", scheme)
    switch_to(admin, "light")
    admin.set_viewport_size(PHONE)  # type: ignore[arg-type]
    picture(admin, f"{name}-phone")
    assert admin.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    admin.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


def test_more_is_sold_on_the_clients_page(
    admin: Page, acme: Client, servers: list[WebServer], http: httpx.Client
) -> None:
    assert [ask(http, servers[number % 2])["status"] for number in range(3)] == [200, 200, 429]
    admin.goto(f"/admin/limits/client/{acme.pk}/change/")
    admin.get_by_role("link", name="Add grant…").click()
    admin.get_by_label("Policy").select_option(label="Free total")
    admin.get_by_label("Amount").fill("3")
    admin.locator("[name=ends_at_0]").fill((timezone.now() + timedelta(days=30)).strftime("%Y-%m-%d"))
    admin.get_by_label("Reason").fill("Order 2026-118")
    expect(admin.locator("#effect")).to_contain_text("3 more of “Free total” until")
    expect(admin.locator("#effect")).to_contain_text("after the month's own quota is used (2 per month in UTC)")
    pictures(admin, "grant-form", "/grant/add/")
    admin.get_by_role("button", name="Save", exact=True).click()

    section = admin.locator("#grants")
    expect(section).to_contain_text("Order 2026-118")
    expect(admin.locator("body")).to_contain_text("Live on every server: acme.")
    pictures(admin, "client-with-grants", "/client/.*/change/")

    assert [ask(http, servers[number % 2])["status"] for number in range(4)] == [200, 200, 200, 429]

    admin.goto("/admin/limits/grant/")
    pictures(admin, "grants", "/grant/$")
    admin.locator("#result_list").get_by_role("link", name="3", exact=True).click()
    pictures(admin, "grant", "/grant/.*/change/")
    admin.get_by_role("link", name="End now…").click()
    pictures(admin, "end-grant", "/grant/.*/end/")
    admin.get_by_label("Reason").fill("Ordered by mistake.")
    admin.get_by_role("button", name="End now").click()
    expect(admin.locator("#grants")).to_contain_text("ended")
    assert Grant.objects.get().ends_at <= timezone.now()
