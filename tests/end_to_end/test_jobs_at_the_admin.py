"""Jobs that people do at the admin, in a real browser. Leaves pictures where ``SCREENSHOTS`` names a folder."""

import os
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from limits.models import Client, Override
from tests.end_to_end.browser import LOADED, save, serious_findings
from tests.end_to_end.shop import policy, publish
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)


def picture(page: Page, name: str) -> None:
    """One for people to look at; and nothing on the page keeps somebody from using it."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert serious_findings(page) == []


def test_a_client_that_has_two_overrides_is_renamed(admin: Page) -> None:
    client = rows.client("acme", name="Acme")
    for slug in ("search", "orders"):
        rows.override_limit(rows.override(client, policy(slug, (100, 60))))
    publish()
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    admin.locator("[name=name]").fill("Acme Ltd")
    assert "Live on every server: acme." in save(admin)
    picture(admin, "client-renamed")
    assert Client.objects.get().name == "Acme Ltd"


def test_an_override_is_added_while_one_of_another_client_overlaps_in_time(admin: Page) -> None:
    row = policy("all", (100, 3_600))
    publish()
    rows.override_limit(rows.override(rows.client("globex"), row))
    client = rows.client("acme")
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    add_override(admin, 0, row.pk)
    assert "Live on every server: acme." in save(admin)
    assert Override.objects.filter(client=client).exists()
    add_override(admin, 1, row.pk)
    save(admin)
    summary = admin.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("It overlaps another override of this client and policy")
    picture(admin, "override-overlaps")
    summary.get_by_role("link", name="Override 2, starts at").click()
    expect(admin.locator("[name=overrides-1-starts_at_0]")).to_be_in_viewport()


def test_an_error_of_a_whole_override_is_shown_where_the_override_is(admin: Page) -> None:
    """Its limit is typed, and nothing of the override itself."""
    policy("all", (100, 3_600))
    publish()
    client = rows.client("acme")
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    admin.get_by_text("Add another Override").click()
    admin.locator("[name=overrides-0-limits-0-quota]").fill("500")
    admin.locator("[name=overrides-0-limits-0-window_0]").fill("1")
    admin.get_by_role("button", name="Save and continue editing").click()
    admin.wait_for_load_state(LOADED)
    expect(admin.locator("#overrides-0-errors")).to_be_visible()
    picture(admin, "error-of-an-override")
    assert not Override.objects.exists()


def add_override(admin: Page, at: int, policy_id: int) -> None:
    admin.get_by_text("Add another Override").click()
    admin.locator(f"[name=overrides-{at}-policy]").select_option(str(policy_id))
    admin.locator(f"[name=overrides-{at}-limits-0-quota]").fill("500")
    admin.locator(f"[name=overrides-{at}-limits-0-window_0]").fill("1")
