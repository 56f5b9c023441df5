"""An organisation in the admin, in a real browser: a client gets a parent, and the page shows who uses its quota up."""

from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Client, Plan, Usage
from limits.publishing import clients
from tests.end_to_end.browser import picture, save
from tests.end_to_end.shop import ask, policy, publish
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(servers: list[WebServer]) -> Client:
    """The organisation acme on the plan pro with a team and a key; 120 other clients, and one whose key is loose."""
    policy("pro-total", (5, 3_600), plan="pro")
    acme = rows.client("acme", name="Acme Ltd", plan=Plan.objects.get(slug="pro"))
    rows.client("acme-web", parent=rows.client("team", name="Web team", parent=acme))
    rows.client("batch", name="Batch jobs", parent=acme, status="blocked")
    Client.objects.bulk_create(Client(key=f"shop-{number:03}") for number in range(120))
    rows.client("acme-loose", name="Loose key")
    publish()
    assert clients.deliver().live
    return acme


def count(key: str, requests: int, outcome: str = "admitted", ago: timedelta = timedelta(0)) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - ago
    Usage.objects.create(
        client_key=key, endpoint="search", minute=minute, outcome=outcome, requests=requests, cost=requests
    )


def choose(page: Page, beginning: str, name: str) -> None:
    """Searches in the open list of an autocomplete field, waits for the result of the search, which is this client
    alone, and selects it."""
    page.locator(".select2-search__field").fill(beginning)
    options = page.locator(".select2-results__option")
    expect(options).to_have_text([name], timeout=30_000)
    options.click()


def test_a_client_gets_a_parent_and_shares_its_quota(
    admin: Page, acme: Client, servers: list[WebServer], http: httpx.Client
) -> None:
    for _ in range(3):
        assert ask(http, servers[1], client="acme-web")["status"] == 200
    admin.goto("/admin/limits/client/?q=acme-loose")
    admin.get_by_role("link", name="acme-loose", exact=True).click()
    admin.locator(".field-parent .select2-selection").click()
    choose(admin, "acme l", "Acme Ltd")
    expect(admin.locator("#tree")).to_have_count(0)
    assert "Live on every server: acme-loose." in save(admin)
    expect(admin.locator("#tree")).to_contain_text("Acme Ltd")
    usage = admin.locator("#current-limits tr", has_text="pro-total")
    expect(usage).to_contain_text("Acme Ltd")
    expect(usage).to_contain_text("3 of 5")
    picture(admin, "client-below-a-parent")
    assert [ask(http, servers[1], client="acme-loose")["status"] for _ in range(3)] == [200, 200, 429]
    expect(usage).to_contain_text("5 of 5", timeout=15_000)


def test_the_page_of_an_organisation_shows_its_tree_and_who_uses_the_quota_up(admin: Page, acme: Client) -> None:
    count("acme-web", 800)
    count("acme-web", 40, "denied", timedelta(hours=2))
    count("acme", 160)
    admin.set_viewport_size({"width": 1280, "height": 900})
    admin.goto(f"/admin/limits/client/{acme.pk}/change/")
    most = admin.locator("#most-requests tbody tr")
    expect(most).to_have_count(2)
    expect(most.first).to_contain_text("acme-web")
    expect(most.first).to_contain_text("84 %")
    picture(admin, "organisation")
    assert admin.locator("#tree").evaluate("each => each.scrollWidth - each.clientWidth") == 0
    admin.locator("#tree").get_by_role("link", name="2 children").click()
    expect(admin.locator("#result_list tbody tr")).to_have_count(2)
    expect(admin.locator("#filtered")).to_contain_text("Children of Acme Ltd")
    picture(admin, "children")
    admin.get_by_role("link", name="Children of Acme Ltd").click()
    admin.locator("#tree").get_by_role("link", name="Web team").click()
    lines = ["Acme Ltd plan Pro", "Web team no plan of its own", "acme-web no plan of its own"]
    expect(admin.locator("#tree li")).to_have_text(lines)


def test_selected_clients_are_moved_below_a_parent(admin: Page, acme: Client) -> None:
    admin.goto("/admin/limits/client/?q=shop-00")
    admin.locator("#action-toggle").check()
    admin.locator("select[name=action]").select_option("move_below_parent")
    admin.get_by_role("button", name="Run").click()
    expect(admin.get_by_role("heading", name="Move clients below a parent")).to_be_visible()
    admin.locator(".select2-selection").click()
    choose(admin, "web t", "Web team")
    admin.locator("[name=why]").fill("They share a quota.")
    picture(admin, "move-below")
    admin.get_by_role("button", name="Move", exact=True).click()
    expect(admin.get_by_text("10 clients moved below Web team.")).to_be_visible()
    assert Client.objects.filter(parent__key="team").count() == 11
